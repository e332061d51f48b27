//! Finds the place in a spec that names a missing source.

use pipeline_spec::{Node, Span, SpecPath, StageSpec, Value};

/// The param of `stage` whose path or name the messages mention, else the stage's name.
pub fn span<'a>(stage: &'a StageSpec, messages: &[String]) -> &'a Span {
    let is_named = |name: &str| messages.iter().any(|message| message.contains(&format!("`{name}`")));
    let is_missed = |node: &Node| {
        let path = pipeline_spec::params::<SpecPath>(node).ok();
        path.is_some_and(|path| is_named(path.written()) || is_named(&path.path().to_string_lossy()))
    };
    find(&stage.params, &is_missed).unwrap_or(&stage.span)
}

/// The first text below `node` that is missing.
fn find<'a>(node: &'a Node, is_missed: &dyn Fn(&Node) -> bool) -> Option<&'a Span> {
    match &node.value {
        Value::Str(_) if is_missed(node) => Some(&node.span),
        Value::List(items) => items.iter().find_map(|item| find(item, is_missed)),
        Value::Map(entries) => entries.iter().find_map(|(_, value)| find(value, is_missed)),
        _ => None,
    }
}

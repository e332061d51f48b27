//! `${var}`: named texts that are replaced in kinds, inputs, params and published paths.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::merge::Entries;
use crate::{Node, Span, Spanned, SpecError, Value};

/// The deepest nesting of vars in vars.
const MAX_DEPTH: usize = 32;
/// The most bytes of a text after its vars are replaced.
const MAX_BYTES: usize = 64 * 1024;
/// The most bytes of all texts of a spec after vars are replaced.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// The vars of a spec with their final texts.
#[derive(Debug, Default)]
pub(crate) struct Vars {
    /// Text nodes by name.
    resolved: BTreeMap<String, Node>,
    /// The bytes of all texts in which vars were replaced.
    n_bytes: Cell<usize>,
}

/// A text after its vars were replaced.
struct Expanded {
    text: String,
    /// The folder of the var at the start of the text.
    folder: Option<Arc<Path>>,
}

impl Vars {
    /// Resolves the entries of `vars`.
    ///
    /// # Errors
    /// When a name is not valid for a var, or a value is not text, a number or a bool. When a var needs an unknown one
    /// or itself.
    pub(crate) fn resolve(entries: &Entries) -> Result<Self, SpecError> {
        let mut defined = HashMap::new();
        for (name, node) in entries {
            if !is_var_name(&name.value) {
                return Err(SpecError::at(&name.span, format!("`{}` cannot name a var", name.value))
                    .with_help("a var's name is a letter or `_`, then letters, digits, `_` or `-`"));
            }
            defined.insert(name.value.as_str(), (text_of(name, node)?, node));
        }
        let mut resolver = Resolver { defined, resolved: BTreeMap::new(), open: Vec::new() };
        for (name, _) in entries {
            resolver.var(&name.value, &name.span)?;
        }
        Ok(Self { resolved: resolver.resolved, n_bytes: Cell::new(0) })
    }

    /// The text nodes by name.
    pub(crate) fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.resolved
    }

    /// Replaces the vars in every text of a value.
    ///
    /// # Errors
    /// When a text names an unknown var.
    pub(crate) fn replace(&self, node: &mut Node) -> Result<(), SpecError> {
        match &mut node.value {
            Value::List(items) => items.iter_mut().try_for_each(|item| self.replace(item)),
            Value::Map(entries) => entries.iter_mut().try_for_each(|(_, node)| self.replace(node)),
            Value::Str(text) if text.contains("${") => {
                let mut find = |name: &str, span: &Span| match self.resolved.get(name) {
                    Some(node) => Ok(node.clone()),
                    None => Err(unknown_var(name, span, self.resolved.keys().map(String::as_str))),
                };
                let expanded = expand(text, &node.span, &mut find)?;
                self.n_bytes.set(self.n_bytes.get() + expanded.text.len());
                if self.n_bytes.get() > MAX_TOTAL_BYTES {
                    let message = format!("vars make the spec longer than {} MiB", MAX_TOTAL_BYTES >> 20);
                    return Err(SpecError::at(&node.span, message));
                }
                *text = expanded.text;
                if let Some(folder) = expanded.folder {
                    node.set_own_folder(folder);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Resolves vars that contain other vars, in any order of definition.
struct Resolver<'a> {
    defined: HashMap<&'a str, (String, &'a Node)>,
    resolved: BTreeMap<String, Node>,
    /// The vars that are being resolved; each is needed by the one before it.
    open: Vec<String>,
}

impl Resolver<'_> {
    fn var(&mut self, name: &str, span: &Span) -> Result<Node, SpecError> {
        if let Some(node) = self.resolved.get(name) {
            return Ok(node.clone());
        }
        let Some((text, node)) = self.defined.get(name).cloned() else {
            let mut known: Vec<&str> = self.defined.keys().copied().collect();
            known.sort_unstable();
            return Err(unknown_var(name, span, known));
        };
        if let Some(idx) = self.open.iter().position(|open| open == name) {
            let cycle = [&self.open[idx..], &[name.to_owned()]].concat().join(" -> ");
            return Err(SpecError::at(&reference(name, span), format!("vars need each other in a cycle: `{cycle}`")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(SpecError::at(span, format!("vars are made of vars more than {MAX_DEPTH} deep")));
        }
        self.open.push(name.to_owned());
        let expanded = expand(&text, &node.span, &mut |name, span| self.var(name, span))?;
        self.open.pop();
        let mut resolved = Node::new(Value::Str(expanded.text), node.span.clone());
        resolved.set_own_folder(expanded.folder.unwrap_or_else(|| node.folder().clone()));
        self.resolved.insert(name.to_owned(), resolved.clone());
        Ok(resolved)
    }
}

/// The text of a var; numbers and bools as written.
fn text_of(name: &Spanned<String>, node: &Node) -> Result<String, SpecError> {
    match &node.value {
        Value::Str(text) => Ok(text.clone()),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => Ok(node.span.text().to_owned()),
        Value::Null => Err(SpecError::at(&name.span, format!("var `{}` has no value", name.value))
            .with_help("write `\"\"` for an empty text")),
        Value::List(_) | Value::Map(_) => {
            Err(SpecError::at(&node.span, format!("var `{}` must be text, found {}", name.value, node.describe())))
        }
    }
}

/// Replaces `${name}` by the result of `find`, and `$${` by `${`.
fn expand(
    text: &str,
    span: &Span,
    find: &mut dyn FnMut(&str, &Span) -> Result<Node, SpecError>,
) -> Result<Expanded, SpecError> {
    let mut expanded = Expanded { text: String::with_capacity(text.len()), folder: None };
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            expanded.text.push_str(before);
            expanded.text.push_str("${");
            rest = &reference[2..];
            continue;
        }
        expanded.text.push_str(before);
        let Some(end) = reference.find('}') else {
            return Err(SpecError::at(&span.narrow(reference), "`${` is never closed").with_help(ESCAPE_HELP));
        };
        let name = &reference[2..end];
        if !is_var_name(name) {
            let span = span.narrow(&reference[..=end]);
            return Err(SpecError::at(&span, format!("`{name}` cannot name a var")).with_help(ESCAPE_HELP));
        }
        let node = find(name, span)?;
        if rest.len() == text.len() && start == 0 {
            expanded.folder = Some(node.folder().clone());
        }
        expanded.text.push_str(node.as_str().unwrap_or_default());
        if expanded.text.len() > MAX_BYTES {
            return Err(SpecError::at(span, format!("vars make this text longer than {MAX_BYTES} bytes")));
        }
        rest = &reference[end + 1..];
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

const ESCAPE_HELP: &str = "`${name}` is a var of the spec; write `$${` for a `${` that is to stay";

fn unknown_var<'a>(name: &str, span: &Span, known: impl IntoIterator<Item = &'a str, IntoIter: Clone>) -> SpecError {
    let error = SpecError::unknown("var", name, &reference(name, span), known);
    if is_variable_of_programs(name) {
        return error.with_help(format!(
            "`${{…}}` is a var of the spec: define it under `vars`, or write the path itself; a shell that `run` names \
            replaces `${name}`, or `$${{{name}}}`"
        ));
    }
    if error.help.is_some() { error } else { error.with_help("the spec defines no `vars`") }
}

/// True for names such as `INPUT_B` or `HOME`, which look like variables of the environment.
fn is_variable_of_programs(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The place of the var's name within the text at `span`.
fn reference(name: &str, span: &Span) -> Span {
    span.narrow(&format!("${{{name}}}"))
}

/// A letter or `_`, then letters, digits, `_` or `-`.
pub(crate) fn is_var_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// The text with `${` escaped, so that it survives the replacement of vars.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains("${") { text.replace("${", "$${").into() } else { text.into() }
}

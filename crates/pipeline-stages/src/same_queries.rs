//! Refuses text features of other queries than those beside them, as far as the spec shows it.

use pipeline_core::StageId;
use pipeline_spec::{Node, SpecError, StageSpec};

use crate::kind::BuildContext;

/// The params of `load-queries` that decide which queries there are and which ids they have.
const OF_ROWS: [&str; 3] = ["path", "split", "group"];

/// The columns that do.
const COLUMNS: [&str; 2] = ["text", "id"];

/// Whether two stages load the same rows: the images that they name may differ.
fn have_same_rows(own: &Node, other: &Node) -> bool {
    let is_same = |one: Option<&Node>, other: Option<&Node>| match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    };
    let column = |params: &Node, name: &str| params.get("columns").and_then(|columns| columns.get(name)).cloned();
    // Where nothing says which the columns are, they are found by their usual names, in any form.
    OF_ROWS.iter().all(|name| is_same(own.get(name), other.get(name)))
        && COLUMNS.iter().all(|name| is_same(column(own, name).as_ref(), column(other, name).as_ref()))
}

/// Kinds that make a vector of each query of their input `queries`.
const PER_QUERY: [&str; 2] = ["extract-text", "import-text-features"];

/// Refuses a stage whose input `text_slot` has features of the queries of another stage than its input `queries_slot`.
/// Two stages that are written alike load the same queries. Without a meaning where a program makes the features.
///
/// # Errors
/// When they differ, at the place of the features.
pub(crate) fn check(context: &BuildContext<'_>, queries_slot: &str, text_slot: &str) -> Result<(), SpecError> {
    let (Some(queries), Some(text)) = (context.stage.input(queries_slot), context.stage.input(text_slot)) else {
        return Ok(());
    };
    let spec = context.spec;
    let loaded = |id: &StageId| spec.stage(id).filter(|stage| stage.kind.value == "load-queries");
    let of_queries = |maker: &StageSpec| {
        let maker = Some(maker).filter(|maker| PER_QUERY.contains(&maker.kind.value.as_str()))?;
        loaded(&maker.input("queries")?.value)
    };
    let (Some(own), Some(other)) = (loaded(&queries.value), spec.stage(&text.value).and_then(of_queries)) else {
        return Ok(());
    };
    if own.id == other.id || have_same_rows(&own.params, &other.params) {
        return Ok(());
    }
    let message = format!(
        "`{}` has a row for each query of `{}`, and `{queries_slot}` are those of `{}`",
        text.value, other.id, own.id
    );
    let fitting = spec.stages.iter().filter(|stage| of_queries(stage).is_some_and(|queries| queries.id == own.id));
    let fitting: Vec<String> = fitting.map(|stage| format!("`{text_slot}: {}`", stage.id)).collect();
    let way = match fitting.as_slice() {
        [] => format!("`{queries_slot}: {}`", other.id),
        several => format!("{}, or `{queries_slot}: {}`", several.join(" or "), other.id),
    };
    let help = format!("write {way}; with `allow_mismatch: true` only their ids must be the same");
    Err(SpecError::at(&text.span, message).with_help(help))
}

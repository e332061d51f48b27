//! Demand: lost bytes are computed again once a stage that runs, or a published path, needs them.

use pipeline_core::{Reader, RunReason};
use pipeline_store::StoreError;

use crate::decision::{Decision, Unpublished};
use crate::resolver::Resolver;

/// The inputs of the stage at `idx` whose bytes are lost. Checks only inputs that have a result.
pub(crate) fn lost_inputs(
    resolver: &mut Resolver<'_>,
    idx: usize,
    has_result: impl Fn(usize) -> bool,
) -> Result<Vec<usize>, StoreError> {
    let mut lost = Vec::new();
    for &input in resolver.graph.inputs(idx) {
        if has_result(input) && !resolver.has_bytes(input)? {
            lost.push(input);
        }
    }
    Ok(lost)
}

/// The path that demands the bytes of a stage: one that must be written again, when the bytes are lost.
pub(crate) fn demanding_path(
    resolver: &mut Resolver<'_>,
    idx: usize,
    unpublished: &[Unpublished],
) -> Result<Option<Reader>, StoreError> {
    match unpublished.iter().find_map(Unpublished::stale) {
        Some(path) if !resolver.has_bytes(idx)? => Ok(Some(Reader::Path(path.display().to_string()))),
        _ => Ok(None),
    }
}

/// The stage at `idx` as a reader.
pub(crate) fn by_stage(resolver: &Resolver<'_>, idx: usize) -> Reader {
    Reader::Stage(resolver.graph.nodes()[idx].id.clone())
}

/// The decision to recompute the bytes of a stage, once it has a key.
pub(crate) fn decision(resolver: &Resolver<'_>, idx: usize, reader: Reader) -> Option<Decision> {
    let (_, key) = resolver.resolved(idx)?;
    Some(Decision::Run { key: *key, why: RunReason::Demanded { reader } })
}

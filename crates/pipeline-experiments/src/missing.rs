//! The files that a spec needs and that are not there.

use pipeline_engine::Graph;
use pipeline_spec::PipelineSpec;

use crate::open::fault_span;
use crate::open_error::CannotRun;

/// The stages with a missing source, such as a model or a data file. Reads no data.
pub fn missing_sources(spec: &PipelineSpec, graph: &Graph) -> Vec<CannotRun> {
    let missing = graph.nodes().iter().filter_map(|node| {
        let source = node.stage.sources().err()?;
        let span = spec.stage(&node.id).map(|stage| fault_span(stage, &source, &source).clone());
        Some(CannotRun { stage: node.id.clone(), span, source: Box::new(source) })
    });
    missing.collect()
}

//! The stage kinds: one file per kind and a registry table; the only place where data, models and [`Stage`] meet.
//!
//! ```
//! let spec = pipeline_spec::parse(
//!     "stages:\n  queries:\n    kind: load-queries\n    params: { path: queries.jsonl }\n",
//!     std::path::Path::new("/data/demo.yaml"),
//! )
//! .unwrap();
//! let stages = pipeline_stages::build(&spec, &Default::default()).unwrap();
//! assert_eq!(stages[0].kind(), "load-queries");
//! ```

mod artifact;
mod command;
mod decode_images;
mod distinct_rows;
mod encoders;
pub mod environment;
mod evaluate_recall;
mod export;
mod extract_image;
mod extract_text;
mod extraction;
mod feature_spaces;
pub mod finished;
mod guard;
mod import_features;
mod kind;
mod known_queries;
mod load_queries;
mod missing_file;
mod model;
mod pooled;
mod predictions;
mod published;
mod query_shards;
mod recent_vectors;
mod relevance;
mod results;
mod same_queries;
mod search;
mod seconds;
mod shard_sizes;
mod split;
mod table_files;
mod thumbnails;
mod tokens;
mod train_projection;
mod unicode_forms;

use pipeline_core::{Stage, StageId};
use pipeline_spec::{PipelineSpec, SpecError, StageSpec};

pub use artifact::{device, without_shards};
pub use decode_images::{ListFolder, decodes_images, stores_no_pixels};
pub use environment::Environment;
pub use export::{Side, VectorFormat, Vectors, write_events};
pub use guard::{GUARD_ARGUMENT, Guards, guard_programs};
pub use kind::{Format, Kind, Slot, meant_kinds};
pub use predictions::{PredictionsError, write_predictions};
pub use results::{read_results, relevant_ranks};
pub use search::{
    Found, FoundImages, FoundQuery, ImageSearch, Place, Query, QueryOfImage, Relevant, SearchPool, TextSearch,
};
pub use thumbnails::{Pictures, PoolThumbnails, image_sources, pictures_of_pixels, pictures_of_source, thumbnail_of};

/// Every stage kind, in the order of a pipeline.
///
/// Adding a kind is a file and a line here.
pub static KINDS: &[&Kind] = &[
    &load_queries::KIND,
    &decode_images::KIND,
    &extract_text::KIND,
    &extract_image::KIND,
    &import_features::TEXT_KIND,
    &import_features::IMAGE_KIND,
    &train_projection::KIND,
    &train_projection::unfrozen::KIND,
    &evaluate_recall::KIND,
    &command::KIND,
];

/// The settings of stages beside the spec; only the command line reads the environment.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folders in which models with bare names are searched.
    pub model_search: pipeline_models::text::ModelSearch,
    /// The environment, from which `command` stages may inherit declared variables.
    pub environment: Environment,
    /// The guards of the programs of `command` stages, which cannot run without them.
    pub guards: Guards,
}

/// The kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// Whether stages of the kind with this name make artifacts of this format.
pub fn makes(kind_name: &str, format: Format) -> bool {
    kind(kind_name).is_some_and(|kind| kind.produces == format || kind.tokens == Some(format))
}

/// The stage whose queries a training is measured on while it runs; `None` for other stages, and without such data.
pub fn held_out_queries(stage: &StageSpec) -> Option<&StageId> {
    let queries = stage.input(train_projection::HELD_OUT_QUERIES.name);
    queries.filter(|_| makes(&stage.kind.value, Format::Projection)).map(|from| &from.value)
}

/// The format of the artifact of a stage; any files where its kind is unknown.
pub fn format_of(stage: &StageSpec) -> Format {
    kind(&stage.kind.value).map_or(Format::Files, |kind| kind.makes(&stage.params))
}

/// Checks kinds, inputs and params of every stage and builds the stages, in the spec's order.
///
/// # Errors
/// The first mistake, with its place in the spec.
pub fn build(spec: &PipelineSpec, settings: &Settings) -> Result<Vec<Box<dyn Stage>>, SpecError> {
    let stages = build_where(spec, settings, &mut |_| true)?;
    Ok(stages.into_iter().flatten().collect())
}

/// Like [`build`], but only for the selected stages; `None` stands for the others, whose kinds and inputs are checked,
/// too.
///
/// # Errors
/// As [`build`].
pub fn build_where(
    spec: &PipelineSpec,
    settings: &Settings,
    is_wanted: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Option<Box<dyn Stage>>>, SpecError> {
    kind::check_inputs(spec)?;
    spec.stages.iter().try_for_each(|stage| match kind::of(stage)?.files {
        [] => Ok(()),
        files => published::check(stage, files),
    })?;
    let build = |(idx, stage)| match is_wanted(idx) {
        true => Ok(Some((kind::of(stage)?.build)(kind::BuildContext { spec, stage, settings })?)),
        false => Ok(None),
    };
    spec.stages.iter().enumerate().map(build).collect()
}

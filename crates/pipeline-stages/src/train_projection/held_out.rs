//! The held-out queries and images on which a training is measured, if it has them.

use std::path::Path;

use pipeline_core::{StageContext, StageError};
use pipeline_models::Device;
use pipeline_models::train::Validation;
use pipeline_spec::{SpecError, StageSpec};

use super::inputs::{self, Inputs};
use super::pairs::must_align;
use super::params::TrainProjectionParams;
use crate::artifact;
use crate::kind::{Format, Slot};
use crate::relevance::{Asked, has_text, names_images};

/// The inputs: all or none of them are given.
pub(crate) const QUERIES: Slot =
    Slot::optional("valid_queries", Format::Queries, "held-out queries with the ids of their relevant images");
pub(super) const TEXT: Slot =
    Slot::optional("valid_text", Format::TextFeatures, "the text features of those queries").or_tokens();
/// The second of them for layers that are trained on tokens.
pub(super) const TOKENS: Slot = Slot::optional(TEXT.name, Format::TextTokens, "the tokens of those queries");
/// The third of them where image features are pooled.
pub(super) const POOLED_IMAGES: Slot =
    Slot::optional(IMAGES.name, Format::ImageFeatures, "the image features of the images to find");
pub(super) const IMAGES: Slot =
    Slot::optional("valid_images", Format::ImageFeatures, "the image features of the images to find").or_tokens();
const ALL: [Slot; 3] = [QUERIES, TEXT, IMAGES];

/// The features of both sides, and the relevant images of the queries.
pub(super) struct HeldOut {
    text: Inputs,
    images: Inputs,
    relevant: Vec<Vec<usize>>,
}

/// Whether a stage has the inputs.
///
/// # Errors
/// When it has only some of them.
pub(super) fn are_given(stage: &StageSpec) -> Result<bool, SpecError> {
    let place = |slot: &Slot| stage.inputs.iter().find(|(name, _)| name.value == slot.name).map(|(name, _)| name);
    let Some(given) = ALL.iter().find_map(place) else { return Ok(false) };
    let missing: Vec<_> = ALL.iter().filter(|slot| place(slot).is_none()).collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let names: Vec<_> = missing.iter().map(|slot| format!("`{}`", slot.name)).collect();
    let help: Vec<_> = missing.iter().map(|slot| format!("`{}`: {}", slot.name, slot.summary)).collect();
    Err(SpecError::at(&given.span, format!("input `{}` needs {} beside it", given.value, names.join(" and ")))
        .with_help(help.join("; ")))
}

impl HeldOut {
    /// Opens the inputs; `None` when they are not given, or contain nothing to measure. `keeps_tokens` is whether texts
    /// go through layers of their encoder, `scratch` the folder of the stage.
    ///
    /// # Errors
    /// When an input cannot be read.
    pub(super) fn read(
        context: &StageContext<'_>,
        params: &TrainProjectionParams,
        keeps_tokens: bool,
        scratch: &Path,
    ) -> Result<Option<Self>, StageError> {
        let [queries, text, images] = ALL.map(|slot| context.inputs.get(slot.name));
        let (Some(queries), Some(text), Some(images)) = (queries, text, images) else { return Ok(None) };
        let queries = artifact::queries(queries)?;
        let text = match keeps_tokens {
            true => inputs::unpooled(text, TEXT.name, scratch)?,
            false => inputs::read(text, TEXT.name, params.text_pool, scratch, context.n_threads)?,
        };
        let images = inputs::read(images, IMAGES.name, params.image_pool, scratch, context.n_threads)?;
        must_align(&queries, &text).map_err(|error| {
            error.with_help("the inputs `valid_queries` and `valid_text` must come from the same queries")
        })?;
        // The queries that count in an evaluation.
        let asked = Asked::new(&queries, &images, |query| has_text(query) && names_images(query));
        if asked.rows.is_empty() || images.ids.is_empty() {
            let missing = if images.ids.is_empty() { "no images" } else { "no query that names its relevant images" };
            context
                .host
                .warn(format!("the held-out data have {missing}, so that the heads of the last epoch are kept"));
            return Ok(None);
        }
        if asked.rows.len() < queries.len() {
            context.host.warn(format!(
                "{} of {} held-out queries have no text or name no relevant images and do not count",
                queries.len() - asked.rows.len(),
                queries.len()
            ));
        }
        Ok(Some(Self { text: text.vectors.with_rows(asked.rows), images: images.vectors, relevant: asked.relevant }))
    }

    /// For a training with these params, which ranks images on `device` if that pays.
    pub(super) fn validation(&self, params: &TrainProjectionParams, device: Device) -> Validation<'_> {
        let Self { text, images, relevant } = self;
        let TrainProjectionParams { patience, measures_start, .. } = *params;
        Validation { text: text.features(), images: images.features(), relevant, patience, measures_start, device }
    }
}

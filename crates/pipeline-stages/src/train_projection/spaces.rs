//! The feature spaces of a training: its heads record them, and every other input must match.

use std::path::Path;

use pipeline_core::{StageContext, StageError};
use pipeline_models::checkpoint::{FeatureSpace, TrainedOn};

use super::held_out;
use super::params::TrainProjectionParams;
use super::widths::Widths;
use crate::artifact;
use crate::feature_spaces::{Named, Width, must_match};
use crate::pooled::{PoolName, TOKEN_POOL};

/// The spaces of the two sides; `None` where an artifact of an earlier version has none.
pub(super) struct Spaces {
    text: Option<FeatureSpace>,
    images: Option<FeatureSpace>,
}

impl Spaces {
    /// The spaces of the inputs `text` and `images`, with the pools of their tokens.
    ///
    /// # Errors
    /// When an artifact cannot be read.
    pub(super) fn read(context: &StageContext<'_>, params: &TrainProjectionParams) -> Result<Self, StageError> {
        let space = |slot: &str, pool: Option<PoolName>| {
            let mut space = artifact::feature_space(artifact::input(context, slot))?;
            if let (Some(space), Some(pool)) = (&mut space, pool) {
                space.properties.insert(TOKEN_POOL.to_owned(), pool.name().to_owned());
            }
            Ok::<_, StageError>(space)
        };
        Ok(Self { text: space("text", params.text_pool)?, images: space("images", params.image_pool)? })
    }

    /// Refuses held-out features of other spaces.
    ///
    /// # Errors
    /// When a space differs and `allows` is false, or an artifact cannot be read.
    pub(super) fn must_match_held_out(&self, context: &StageContext<'_>, allows: bool) -> Result<(), StageError> {
        let sides = [(held_out::TEXT.name, "text", &self.text), (held_out::IMAGES.name, "images", &self.images)];
        for (slot, own_slot, own) in sides {
            let Some(input) = context.inputs.get(slot) else { continue };
            let space = artifact::feature_space(input)?;
            let (held_out, own_name) = (format!("input `{slot}`"), format!("input `{own_slot}`"));
            let features = Named { name: &held_out, space: space.as_ref() };
            must_match(context, &features, &Named { name: &own_name, space: own.as_ref() }, allows)?;
        }
        Ok(())
    }

    /// Refuses features of other spaces than those of the initial heads in `path`.
    ///
    /// # Errors
    /// When a space differs and `allows` is false.
    pub(super) fn must_match_start(
        &self,
        context: &StageContext<'_>,
        path: &Path,
        trained_on: &TrainedOn,
        allows: bool,
    ) -> Result<(), StageError> {
        let heads = format!("the heads of `{}`", path.display());
        for (slot, own, trained_on) in
            [("text", &self.text, &trained_on.text), ("images", &self.images, &trained_on.images)]
        {
            let features = Named { name: &format!("input `{slot}`"), space: own.as_ref() };
            must_match(context, &features, &Named { name: &heads, space: Some(trained_on) }, allows)?;
        }
        Ok(())
    }

    /// The space of the texts.
    pub(super) fn text(&self) -> Option<&FeatureSpace> {
        self.text.as_ref()
    }

    /// The widths of features in these spaces.
    pub(super) fn widths(&self, d_text: usize, d_image: usize) -> Widths {
        let width = |dim, space: &Option<FeatureSpace>| {
            let pooling = space.as_ref().and_then(|space| space.properties.get("pooling").cloned());
            Width { dim, pooling }
        };
        Widths { text: width(d_text, &self.text), images: width(d_image, &self.images) }
    }

    /// The spaces for the heads to record.
    pub(super) fn trained_on(self) -> Option<TrainedOn> {
        Some(TrainedOn { text: self.text?, images: self.images? })
    }
}

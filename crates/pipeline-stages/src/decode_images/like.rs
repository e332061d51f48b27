//! `like`: the geometry of the pixels of a model, from the model's own files.

use std::path::PathBuf;

use pipeline_core::StageError;
use pipeline_models::EncoderSide;
use pipeline_models::image::{self, ModelError, ModelSearch};
use pipeline_models::preprocessing::{
    ExpectedFit, ExpectedOffset, ImageExpectations, expectation_files, image_expectations,
};

use super::params::{AlphaName, CropOffsetName, FitName, Geometry, MAX_EDGE, MAX_SIDE, Resize};
use crate::model::{Family, ModelName};

const HELP: &str = "say `size`, `resize`, `fit`, `edge` and `crop_offset` instead of `like`";

/// Any model may be named, since none is computed here.
const FAMILY: Family = Family { side: EncoderSide::Image, near: image::image_models_near, of_name: |_| None };

/// A geometry, and the files that say it.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) geometry: Geometry,
    pub(super) files: Vec<PathBuf>,
}

/// Reads the geometry of a model's images.
///
/// # Errors
/// When the model is not there or its files say too little, or something that is not done here.
pub(super) fn resolve(model: &ModelName, alpha: AlphaName, search: &ModelSearch) -> Result<Resolved, StageError> {
    let failed = |error: ModelError| {
        let is_missing = matches!(error, ModelError::NotFound { .. });
        let failure = FAMILY.failure(model, search, error);
        if is_missing { failure } else { failure.with_help(HELP) }
    };
    let files = image::find_image_model(&model.to_find(), search).map_err(failed)?;
    let expectations = image_expectations(&files).map_err(failed)?;
    let geometry = geometry(&expectations, alpha).map_err(|why| {
        let message = format!("images cannot be decoded like those of `{}`: {why}", model.written());
        StageError::new(message).with_help(HELP)
    })?;
    Ok(Resolved { geometry, files: expectation_files(&files) })
}

/// A missing model is no mistake of a spec.
///
/// # Errors
/// When the model is there and cannot be followed.
pub(super) fn check_missing(model: &ModelName, error: StageError) -> Result<(), StageError> {
    FAMILY.check_missing(model, error)
}

fn geometry(expectations: &ImageExpectations, alpha: AlphaName) -> Result<Geometry, String> {
    let ImageExpectations { size, interpolation, fit } = expectations;
    let (Some(size), Some(fit)) = (size, fit) else {
        return Err("no file of the model says their size and fit".into());
    };
    let name = interpolation.as_deref().ok_or("no file of the model says the filter of their resize")?;
    let resize = Resize::of_name(name).ok_or_else(|| format!("their resize is `{name}`, which is not done here"))?;
    let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let [height, width] = size.map(side);
    let sizes = height.zip(width).ok_or_else(|| format!("their size {size:?} is not from 1 to {MAX_SIDE}"))?;
    let (fit, edge, crop_offset) = match fit {
        ExpectedFit::Squash => (FitName::Squash, None, CropOffsetName::Down),
        ExpectedFit::Crop { edge, offset } => {
            let edge = u32::try_from(*edge).ok().filter(|edge| (1..=MAX_EDGE).contains(edge));
            let edge = edge.ok_or_else(|| format!("the edge before their crop is not from 1 to {MAX_EDGE}"))?;
            let offset = match offset {
                ExpectedOffset::Down => CropOffsetName::Down,
                ExpectedOffset::HalfEven => CropOffsetName::HalfEven,
            };
            (FitName::Crop, Some(edge), offset)
        }
        ExpectedFit::Other(what) => return Err(format!("they are {what}")),
    };
    Ok(Geometry { size: [sizes.0, sizes.1], resize, fit, edge, crop_offset, alpha }.plain())
}

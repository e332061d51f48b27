//! The files of an image encoder.

use std::path::Path;

use super::super::{ImageModelFiles, hub};
use super::forms::{self, Form};
use super::{Fault, ambiguous, known, unread};
use crate::encoder::EncoderSide;
use crate::families;

/// The image encoder at a place, found as `model`.
pub(super) fn files(place: &Path, model: &str) -> Result<ImageModelFiles, Fault> {
    if place.is_file() {
        let bare = || ImageModelFiles::beside(vec![place.to_owned()], model);
        return Ok(Form::of_file(place).map_or_else(bare, |form| image_model(form, model)));
    }
    let folder = hub::model_folder(place)?;
    unread::no_adapter(&folder)?;
    let several = |paths| Fault::Wrong(ambiguous(model, &hub::IMAGE, paths));
    let form = Form::in_folder(&folder, EncoderSide::Image, &several)
        .or_else(|fault| known(&folder, families::check_image).and(Err(fault)))?;
    form.map_or_else(|| undescribed(&folder, model), |form| Ok(image_model(form, model)))
}

/// The image encoder of a form, with the files beside it.
fn image_model(form: Form, model: &str) -> ImageModelFiles {
    let beside = ImageModelFiles::beside(form.weights, model);
    // OpenCLIP's file says itself how images are prepared.
    let preprocessor = beside.preprocessor.filter(|_| form.open_clip.is_none());
    ImageModelFiles { config: form.config, open_clip: form.open_clip, preprocessor, ..beside }
}

/// Weights of any name that nothing describes, as torchvision's are.
fn undescribed(folder: &Path, model: &str) -> Result<ImageModelFiles, Fault> {
    if let Some(weights) = forms::weights(folder, &hub::WEIGHT_FILES)? {
        return Ok(ImageModelFiles::beside(weights, model));
    }
    let found = hub::checkpoints_in(folder);
    match found.len() {
        0 => known(folder, families::check_image).and(Err(format!("no checkpoint{}", unread::instead(folder)).into())),
        1 => Ok(ImageModelFiles::beside(found, model)),
        _ => Err(Fault::Wrong(ambiguous(model, &hub::IMAGE, found))),
    }
}

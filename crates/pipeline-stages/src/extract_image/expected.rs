//! Compares the decoding that a model's own files expect with that of the pixels.

use std::sync::atomic::{AtomicBool, Ordering};

use pipeline_core::{StageContext, StageError};
use pipeline_data::{PixelsInfo, Resized};
use pipeline_models::EncoderModel;
use pipeline_models::preprocessing::{ExpectedFit, ExpectedOffset, ImageExpectations};

/// Refuses pixels of a size that a model does not take.
pub(super) fn must_take(size: [u32; 2], model: &dyn EncoderModel) -> Result<(), StageError> {
    match model.refuses_size(size) {
        None => Ok(()),
        Some(why) => {
            Err(StageError::new(why).with_help("`decode-images` with `like` gives pixels of the model's size"))
        }
    }
}

/// The decoding of the images of a running stage, compared with the model's own.
pub(super) struct Decoding<'a> {
    context: &'a StageContext<'a>,
    /// True once the user knows that the model expects another one.
    has_warned: AtomicBool,
}

impl<'a> Decoding<'a> {
    pub(super) fn new(context: &'a StageContext<'a>) -> Self {
        Self { context, has_warned: AtomicBool::new(false) }
    }

    /// Checks the pixels of one shard.
    ///
    /// # Errors
    /// When the model does not take images of this size.
    pub(super) fn check(&self, model: &dyn EncoderModel, info: &PixelsInfo) -> Result<(), StageError> {
        must_take([info.height, info.width], model)?;
        // Other shards may have been resized where this one was not, and then the warning says more.
        if info.resized.is_some() {
            self.warn(model, info);
        }
        Ok(())
    }

    /// The properties of the pixels of all shards: their size, and the resize if an image had another size.
    pub(super) fn properties(&self, infos: Vec<PixelsInfo>, model: &dyn EncoderModel) -> Vec<(&'static str, String)> {
        let resized = infos.iter().find_map(|info| info.resized.clone());
        let Some(info) = infos.into_iter().next().map(|first| PixelsInfo { resized, ..first }) else {
            return Vec::new();
        };
        self.warn(model, &info);
        let size = ("size", format!("[{}, {}]", info.height, info.width));
        std::iter::once(size).chain(info.properties()).collect()
    }

    fn warn(&self, model: &dyn EncoderModel, info: &PixelsInfo) {
        let Some(note) = differences(&model.expectations(), info) else { return };
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            self.context.host.warn(note);
        }
    }
}

/// The differences between the model's own image decoding and that of the pixels, if there are any.
fn differences(expected: &ImageExpectations, pixels: &PixelsInfo) -> Option<String> {
    let mut differences = Vec::new();
    let size = [pixels.height, pixels.width];
    if let Some([height, width]) = expected.size.filter(|expected| *expected != size.map(u64::from)) {
        differences.push(format!("{height}×{width} pixels and not {}×{}", size[0], size[1]));
    }
    // Images that had the size already are the same by any filter and fit.
    if let Some(resized) = &pixels.resized {
        let filter = &resized.filter;
        let other = expected.interpolation.as_ref().filter(|expected| *expected != filter);
        differences.extend(other.map(|expected| format!("`{expected}` resizing and not `{filter}`")));
        differences.extend(expected.fit.as_ref().and_then(|fit| other_fit(fit, resized, size)));
    }
    let list = differences.join(", ");
    (!list.is_empty()).then(|| {
        format!(
            "the model's own files expect {list}; its vectors differ from other tools' by that (`decode-images` with \
             `like` follows them)"
        )
    })
}

/// The treatment of other shapes that a model expects, if another one was done.
fn other_fit(expected: &ExpectedFit, resized: &Resized, size: [u32; 2]) -> Option<String> {
    let done = match &resized.fit {
        None => "squash".to_owned(),
        Some(fit) => {
            let offset = resized.crop_offset.as_deref().unwrap_or("down");
            format!("{fit}, edge {}, {offset}", resized.edge.unwrap_or(size[0]))
        }
    };
    let wanted = match expected {
        ExpectedFit::Squash => "squash".to_owned(),
        ExpectedFit::Crop { edge, offset } => {
            let offset = if *offset == ExpectedOffset::Down { "down" } else { "half-even" };
            format!("crop, edge {edge}, {offset}")
        }
        ExpectedFit::Other(what) => return Some(format!("images that are {what}")),
    };
    (wanted != done).then(|| format!("`fit: {wanted}` and not `{done}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(fit: ExpectedFit) -> ImageExpectations {
        ImageExpectations { size: Some([224, 224]), interpolation: Some("bicubic".into()), fit: Some(fit) }
    }

    #[test]
    fn only_what_shows_in_the_pixels_is_named() {
        let squash = Resized { filter: "bicubic".into(), fit: None, edge: None, crop_offset: None };
        let crop = Resized { fit: Some("crop".into()), edge: Some(256), ..squash.clone() };
        let torch = Resized { crop_offset: Some("half-even".into()), ..crop.clone() };
        let bilinear = Resized { filter: "bilinear".into(), ..squash.clone() };
        let pixels = |resized| PixelsInfo { height: 224, width: 224, resized, alpha: None };
        let down = || ExpectedFit::Crop { edge: 256, offset: ExpectedOffset::Down };
        for (fit, resized, named) in [
            (ExpectedFit::Squash, None, None),
            (ExpectedFit::Squash, Some(squash.clone()), None),
            (down(), Some(crop.clone()), None),
            (down(), Some(squash.clone()), Some("`fit: crop, edge 256, down` and not `squash`")),
            (ExpectedFit::Squash, Some(crop), Some("`fit: squash` and not `crop, edge 256, down`")),
            (down(), Some(torch), Some("`fit: crop, edge 256, down` and not `crop, edge 256, half-even`")),
            (ExpectedFit::Squash, Some(bilinear), Some("`bicubic` resizing and not `bilinear`")),
            (ExpectedFit::Other("upside down".into()), Some(squash), Some("images that are upside down")),
        ] {
            let found = differences(&expected(fit), &pixels(resized.clone()));
            match named {
                None => assert_eq!(found, None, "{resized:?}"),
                Some(part) => assert!(found.is_some_and(|found| found.contains(part)), "{resized:?}"),
            }
        }
        let small = PixelsInfo { height: 32, width: 48, ..pixels(None) };
        let found = differences(&expected(ExpectedFit::Squash), &small).unwrap();
        assert!(found.contains("224×224 pixels and not 32×48"), "{found}");
    }
}

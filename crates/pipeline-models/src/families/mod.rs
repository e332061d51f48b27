//! The families of encoders, a file or folder each, and the table that finds a model's family.
//!
//! A new family is a reader here, a function in `open` and a line in [`TEXT`] or [`IMAGE`].

use crate::encoder::{EncoderModel, EncoderSide};
use crate::weights::{Description, ImageModelFiles, ModelError, TextModelFiles};
use image::ImageOptions;
use mark::{Mark, Tower};
use text::TextOptions;

pub mod bert;
pub(crate) mod clip;
pub(crate) mod convnext;
mod fields;
#[cfg(test)]
pub(crate) mod goldens;
mod image;
mod mark;
mod open;
pub(crate) mod pooling;
mod reader;
mod refused;
pub mod resnet;
mod siglip;
mod text;
#[cfg(test)]
mod unfrozen;
mod vit;

/// A model whose small files have been read, or the reason why it cannot be used.
type Opened = Result<Box<dyn EncoderModel>, ModelError>;

/// A family of encoders of one side.
struct Family<Files, Options> {
    /// The marks of its models, each of which is enough.
    marks: &'static [Mark],
    /// Reads the small files of a model.
    open: fn(&Files, &Options) -> Opened,
}

/// The families of text encoders; the first one that has a mark of a model opens it.
const TEXT: &[Family<TextModelFiles, TextOptions>] = &[
    Family { marks: &[Mark::ModelType("bert"), Mark::Class("Bert"), Mark::Unsaid], open: bert::open },
    Family { marks: &[Mark::ModelType("roberta"), Mark::ModelType("xlm-roberta")], open: bert::open_roberta },
    Family { marks: &[Mark::ModelType("chinese_clip")], open: open::chinese_clip_text },
    Family { marks: &[Mark::ModelType("clip")], open: open::clip_text },
    Family { marks: &[Mark::ModelType("metaclip_2")], open: open::metaclip_text },
    Family { marks: &[Mark::ModelType("siglip")], open: open::siglip_text },
    Family { marks: &[Mark::OpenClip(Tower::Text)], open: open::open_clip_text },
    Family { marks: &[Mark::CnClip(Tower::Text)], open: open::cn_clip_text },
];

/// The families of image encoders; the first one that has a mark of a model opens it.
const IMAGE: &[Family<ImageModelFiles, ImageOptions>] = &[
    Family {
        marks: &[
            Mark::ModelType("resnet"),
            Mark::Class("ResNet"),
            Mark::Timm(&["resnet", "wide_resnet", "tv_resnet"]),
            Mark::Unsaid,
        ],
        open: resnet::open,
    },
    Family {
        marks: &[Mark::ModelType("chinese_clip"), Mark::ModelType("clip"), Mark::ModelType("metaclip_2")],
        open: open::clip_image,
    },
    Family { marks: &[Mark::ModelType("siglip")], open: open::siglip_image },
    Family { marks: &[Mark::ModelType("vit"), Mark::Timm(&["vit_"])], open: open::vit_image },
    Family { marks: &[Mark::ModelType("dinov2")], open: open::dinov2_image },
    Family { marks: &[Mark::ModelType("convnext"), Mark::Timm(&["convnext_"])], open: open::convnext_image },
    Family { marks: &[Mark::OpenClip(Tower::Transformer), Mark::CnClip(Tower::Transformer)], open: open::openai_image },
    Family { marks: &[Mark::OpenClip(Tower::ResNet), Mark::CnClip(Tower::ResNet)], open: open::clip_resnet },
];

/// Reads the small files of a text encoder of any family.
///
/// # Errors
/// When a file cannot be read, or the model is of no family or needs an unsupported computation.
pub fn open_text_model(files: &TextModelFiles, options: &TextOptions) -> Result<Box<dyn EncoderModel>, ModelError> {
    (family(TEXT, &files.describe()?, EncoderSide::Text)?.open)(files, options)
}

/// Reads the small files of an image encoder of any family.
///
/// # Errors
/// When a file cannot be read, or the model is of no family or needs an unsupported computation.
pub fn open_image_model(files: &ImageModelFiles, options: &ImageOptions) -> Result<Box<dyn EncoderModel>, ModelError> {
    (family(IMAGE, &files.describe()?, EncoderSide::Image)?.open)(files, options)
}

/// Refuses a model that is of no family of text encoders, or of a variant that no family knows.
pub(crate) fn check_text(model: &Description) -> Result<(), ModelError> {
    family(TEXT, model, EncoderSide::Text).map(drop)
}

/// Refuses a model that is of no family of image encoders, or of a variant that no family knows.
pub(crate) fn check_image(model: &Description) -> Result<(), ModelError> {
    family(IMAGE, model, EncoderSide::Image).map(drop)
}

/// The models of a side that are computed, for messages: `bert`, … and OpenCLIP's.
pub fn supported(side: EncoderSide) -> String {
    match side {
        EncoderSide::Text => listed(TEXT),
        EncoderSide::Image => listed(IMAGE),
    }
}

fn listed<Files, Options>(families: &[Family<Files, Options>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in families.iter().flat_map(|family| family.marks).filter_map(|mark| mark.shown()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// The first family with a mark of the model, unless the model is a variant that no family knows.
fn family<'a, Files, Options>(
    families: &'a [Family<Files, Options>],
    model: &Description,
    side: EncoderSide,
) -> Result<&'a Family<Files, Options>, ModelError> {
    if let Some(what) = refused::variant(model, side) {
        return Err(ModelError::Unsupported { path: model.path.clone(), what });
    }
    let known = families.iter().find(|family| family.marks.iter().any(|mark| mark.fits(model)));
    known.filter(|_| !refused::has_own_code(model)).ok_or_else(|| refused::unknown(model, side, listed(families)))
}

#[cfg(test)]
mod tests;

//! The image processors of transformers: `preprocessor_config.json`, or their part of `processor_config.json`.

use std::path::Path;

use serde_json::Value;

use super::expectations::{ExpectedFit, ExpectedOffset, ImageExpectations, both_edges};
use super::numbers::{FACTOR, Preprocessing, channels};
use super::{Config, timm};
use crate::weights::ModelError;

/// The names of Pillow's filters, by their numbers.
const FILTERS: [&str; 6] = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];

/// ConvNeXt's processor squashes images from this size on.
const SQUASHED_FROM: u64 = 384;

/// The description of one image processor.
pub(super) struct Transformers {
    pub(super) factor: f64,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) expectations: ImageExpectations,
}

/// A class of image processors: the values of fields that a file leaves out.
struct Class {
    /// Its name without `ImageProcessor`.
    name: &'static str,
    /// The `model_type`s of models that use it.
    model_types: &'static [&'static str],
    size: ResizedTo,
    /// The side of the crop, for classes that crop by default.
    crop: Option<u64>,
    /// The part that is left, for ConvNeXt's own way.
    crop_pct: Option<f64>,
    resample: usize,
    numbers: Preprocessing,
}

/// The aim of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResizedTo {
    Shortest(u64),
    Both([u64; 2]),
}

const CLIP: Class = Class {
    name: "CLIP",
    model_types: &["clip"],
    size: ResizedTo::Shortest(224),
    crop: Some(224),
    crop_pct: None,
    resample: 3,
    numbers: Preprocessing::CLIP,
};

const CLASSES: &[Class] = &[
    CLIP,
    Class { name: "ChineseCLIP", model_types: &["chinese_clip"], ..CLIP },
    Class {
        name: "Siglip",
        model_types: &["siglip"],
        size: ResizedTo::Both([224, 224]),
        crop: None,
        crop_pct: None,
        resample: 3,
        numbers: Preprocessing::HALF,
    },
    Class {
        name: "ViT",
        model_types: &["vit"],
        size: ResizedTo::Both([224, 224]),
        crop: None,
        crop_pct: None,
        resample: 2,
        numbers: Preprocessing::HALF,
    },
    Class { name: "Bit", model_types: &["bit", "dinov2", "dinov2_with_registers"], ..CLIP },
    Class {
        name: "ConvNext",
        model_types: &["convnext", "convnextv2"],
        size: ResizedTo::Shortest(384),
        crop: None,
        crop_pct: Some(224.0 / 256.0),
        resample: 3,
        numbers: Preprocessing::HALF,
    },
];

/// The image processor in a file: newer versions of transformers keep it beside the processor of texts.
pub(super) fn image_processor(file: &Config) -> &Config {
    file.get("image_processor").and_then(Value::as_object).unwrap_or(file)
}

impl Class {
    /// The class that a processor names; without a name it is that of its model. `None` for another one.
    fn of(config: &Config, model_type: Option<&str>) -> Option<&'static Self> {
        let names = ["image_processor_type", "feature_extractor_type"];
        match names.into_iter().find_map(|name| config.get(name)?.as_str()) {
            Some(name) => {
                let name = ["Fast", "Pil"].into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
                let ends = ["ImageProcessor", "FeatureExtractor"];
                let bare = ends.into_iter().find_map(|end| name.strip_suffix(end))?;
                CLASSES.iter().find(|class| class.name == bare)
            }
            None => CLASSES.iter().find(|class| model_type.is_some_and(|name| class.model_types.contains(&name))),
        }
    }
}

impl Transformers {
    /// The processor that a file at `path` describes, of a model of that type.
    pub(super) fn of(config: &Config, model_type: Option<&str>, path: &Path) -> Result<Self, ModelError> {
        // The processor of transformers' wrapper of timm has timm's description within.
        if let Some(data) = config.get("pretrained_cfg").and_then(Value::as_object) {
            let (mean, std) = timm::channels(data, path)?;
            let Preprocessing { factor, mean: own_mean, std: own_std } = Preprocessing::IMAGENET;
            let expectations = timm::expectations(data, None);
            return Ok(Self { factor, mean: mean.unwrap_or(own_mean), std: std.unwrap_or(own_std), expectations });
        }
        let unsupported = |what: String| ModelError::Unsupported { path: path.to_owned(), what };
        for name in ["do_flip_channel_order", "do_convert_grayscale", "do_grayscale", "rescale_offset", "offset"] {
            if flag(config, name) == Some(true) {
                return Err(unsupported(format!("`{name}` is true")));
            }
        }
        let factor = match (flag(config, "do_rescale"), config.get("rescale_factor")) {
            (Some(false), _) => 1.0,
            (_, None | Some(Value::Null)) => FACTOR,
            (_, Some(factor)) => factor
                .as_f64()
                .filter(|factor| factor.is_finite() && *factor > 0.0)
                .ok_or_else(|| unsupported(format!("`rescale_factor` is {factor}")))?,
        };
        // 0.00392156862745098, as files write it.
        let factor = if (factor / FACTOR - 1.0).abs() < 1e-6 { FACTOR } else { factor };
        let class = Class::of(config, model_type);
        let (mean, std) = match flag(config, "do_normalize") {
            Some(false) => ([0.0; 3], [1.0; 3]),
            _ => {
                let said = |name, default: Option<[f32; 3]>| {
                    channels(config, name, path)?.or(default).ok_or_else(|| {
                        unsupported(format!("it has no `{name}`, and libraries differ in what that means"))
                    })
                };
                let numbers = class.map(|class| &class.numbers);
                let (mean, std) = (numbers.map(|own| own.mean), numbers.map(|own| own.std));
                (said("image_mean", mean)?, said("image_std", std)?)
            }
        };
        Ok(Self { factor, mean, std, expectations: expectations(config, class) })
    }
}

fn flag(config: &Config, name: &str) -> Option<bool> {
    config.get(name).and_then(Value::as_bool)
}

fn expectations(config: &Config, class: Option<&Class>) -> ImageExpectations {
    if flag(config, "do_resize") == Some(false) {
        return ImageExpectations::default();
    }
    let resample = config.get("resample").and_then(Value::as_u64).map(|idx| idx as usize);
    let resample = resample.or(class.map(|class| class.resample));
    let interpolation = resample.and_then(|idx| FILTERS.get(idx)).map(|name| (*name).to_owned());
    let (size, fit) = size_and_fit(config, class);
    ImageExpectations { size, interpolation, fit }
}

fn size_and_fit(config: &Config, class: Option<&Class>) -> (Option<[u64; 2]>, Option<ExpectedFit>) {
    let resized = match config.get("size") {
        None | Some(Value::Null) => class.map(|class| class.size),
        Some(size) => resized(size, class),
    };
    let part = config.get("crop_pct").and_then(Value::as_f64).or(class.and_then(|class| class.crop_pct));
    if let (Some(ResizedTo::Shortest(side)), Some(part)) = (resized, part.filter(|part| *part > 0.0)) {
        let crop = ExpectedFit::Crop { edge: (side as f64 / part) as u64, offset: ExpectedOffset::Down };
        let fit = if side < SQUASHED_FROM { crop } else { ExpectedFit::Squash };
        return (Some([side, side]), Some(fit));
    }
    let crops = flag(config, "do_center_crop").unwrap_or(class.is_some_and(|class| class.crop.is_some()));
    let crop = config.get("crop_size").and_then(whole).or(class.and_then(|class| class.crop).map(|side| [side, side]));
    match (resized, crop.filter(|_| crops)) {
        (Some(ResizedTo::Shortest(edge)), Some(crop)) => {
            (Some(crop), Some(ExpectedFit::Crop { edge, offset: ExpectedOffset::Down }))
        }
        (Some(ResizedTo::Shortest(edge)), None) => {
            let what = format!("resized to a shorter edge of {edge} and not cropped, so that their sizes differ");
            (Some([edge, edge]), class.map(|_| ExpectedFit::Other(what)))
        }
        (Some(ResizedTo::Both(size)), Some(crop)) if crop != size => {
            (Some(crop), Some(ExpectedFit::Other(format!("squashed to {size:?} and then cropped to {crop:?}"))))
        }
        (Some(ResizedTo::Both(size)), _) => (Some(size), Some(ExpectedFit::Squash)),
        // A number of which nothing says whether it is one edge or both.
        (None, crop) => (crop.or_else(|| config.get("size").and_then(whole)), None),
    }
}

/// The meaning of a `size`; `None` where it says too little, or something unknown.
fn resized(size: &Value, class: Option<&Class>) -> Option<ResizedTo> {
    if let Some(edge) = size.as_u64() {
        return class.map(|class| match class.size {
            ResizedTo::Shortest(_) => ResizedTo::Shortest(edge),
            ResizedTo::Both(_) => ResizedTo::Both([edge, edge]),
        });
    }
    match (size.get("shortest_edge").and_then(Value::as_u64), whole(size)) {
        (Some(edge), _) if size.get("longest_edge").is_none_or(Value::is_null) => Some(ResizedTo::Shortest(edge)),
        (None, Some(both)) => Some(ResizedTo::Both(both)),
        _ => None,
    }
}

/// Height and width, written in any way; one edge stands for both.
fn whole(size: &Value) -> Option<[u64; 2]> {
    let edge = |name| size.get(name).and_then(Value::as_u64);
    let shortest = || edge("shortest_edge").map(|edge| [edge, edge]);
    both_edges(size).or_else(|| Some([edge("height")?, edge("width")?])).or_else(shortest)
}

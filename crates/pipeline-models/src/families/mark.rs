//! The marks by which a family knows its models.

use serde_json::Value;

use crate::weights::{Description, Said};

/// A mark of a family in what the files of a model say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// This `model_type` of transformers.
    ModelType(&'static str),
    /// A class of transformers that begins so, where a configuration has no `model_type`.
    Class(&'static str),
    /// An `architecture` of timm that begins so, the usual beginning first.
    Timm(&'static [&'static str]),
    /// `open_clip_config.json`, with such an image tower where the side is the image's.
    OpenClip(Tower),
    /// The tensors of cn_clip without a configuration, with such an image tower where the side is the image's.
    CnClip(Tower),
    /// Nothing says what the model is.
    Unsaid,
}

/// A tower of a model in OpenAI's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tower {
    /// The text tower.
    Text,
    /// A vision transformer.
    Transformer,
    /// CLIP's ResNet with attention pooling.
    ResNet,
}

/// A tensor of CLIP's ResNet.
const RESNET_TENSOR: &str = "visual.layer1.0.conv1.weight";

impl Mark {
    /// Whether a model has this mark.
    pub(super) fn fits(self, model: &Description) -> bool {
        match self {
            Self::ModelType(name) => model.text("model_type") == Some(name),
            Self::Class(start) => {
                model.text("model_type").is_none() && model.class().is_some_and(|class| class.starts_with(start))
            }
            Self::Timm(starts) => {
                model.architecture().is_some_and(|name| starts.iter().any(|start| name.starts_with(start)))
            }
            Self::OpenClip(tower) => matches!(&model.said, Said::OpenClip(_)) && tower.fits_open_clip(model),
            Self::CnClip(tower) => model.is_cn_clip() && tower.fits_tensors(model),
            Self::Unsaid => is_unsaid(model),
        }
    }

    /// The mark as a list of what is computed has it.
    pub(super) fn shown(self) -> Option<String> {
        match self {
            Self::ModelType(name) => Some(format!("`{name}`")),
            Self::Timm(starts) => Some(format!("timm's `{}…`", starts[0])),
            Self::OpenClip(_) => Some("OpenCLIP's".to_owned()),
            Self::CnClip(_) => Some("cn_clip's".to_owned()),
            Self::Class(_) | Self::Unsaid => None,
        }
    }
}

impl Tower {
    /// In OpenCLIP's files the blocks of a ResNet are a list, one number a stage.
    fn fits_open_clip(self, model: &Description) -> bool {
        let layers = model.open_clip_part("vision_cfg").and_then(|vision| vision.get("layers"));
        match self {
            Self::Text => true,
            Self::Transformer => !layers.is_some_and(Value::is_array),
            Self::ResNet => layers.is_some_and(Value::is_array),
        }
    }

    fn fits_tensors(self, model: &Description) -> bool {
        match self {
            Self::Text => true,
            Self::Transformer => !model.has_tensor(RESNET_TENSOR),
            Self::ResNet => model.has_tensor(RESNET_TENSOR),
        }
    }
}

/// The parts of a configuration that only models of several encoders have.
pub(super) const TOWERS: [&str; 5] = ["vision_config", "text_config", "vision_cfg", "text_cfg", "model_cfg"];

fn is_unsaid(model: &Description) -> bool {
    match &model.said {
        Said::Config(config) => {
            let is_there = |name: &&str| config.get(*name).is_some_and(|value| !value.is_null());
            let is_wrapper = model.text("model_type") == Some("timm_wrapper");
            let says = ["model_type", "architectures"]
                .iter()
                .filter(|_| !is_wrapper)
                .chain(["architecture"].iter())
                .chain(&TOWERS);
            !says.into_iter().any(is_there)
        }
        Said::OpenClip(_) => false,
        Said::Tensors(_) => !model.is_cn_clip(),
    }
}

//! ConvNeXt as transformers and as timm save it.

mod cpu;
pub(crate) mod weights;

use std::path::Path;

use serde_json::{Map, Value};

pub(super) use cpu::CpuConvNeXt;
pub(crate) use weights::ConvNeXtWeights;
use weights::{HUB, TIMM};

use super::fields::Fields;
use super::pooling::{ImagePooling, MapPooling};
use crate::weights::{Checklist, Family, ModelError};

/// Added to the variance in every norm but the last one of the hub's form, unless a model says otherwise.
const EPSILON: f64 = 1e-6;

/// Arguments of timm that change no feature, or whose effect follows from the weights.
const FREE: &[&str] = &[
    "depths",
    "dims",
    "num_classes",
    "norm_eps",
    "drop_rate",
    "drop_path_rate",
    "ls_init_value",
    "conv_mlp",
    "pretrained",
];

/// The values of other arguments in a plain ConvNeXt.
fn plain() -> Vec<(&'static str, Value)> {
    vec![
        ("in_chans", 3.into()),
        ("global_pool", "avg".into()),
        ("output_stride", 32.into()),
        ("patch_size", 4.into()),
        ("stem_type", "patch".into()),
        ("kernel_sizes", 7.into()),
        ("act_layer", "gelu".into()),
        ("head_norm_first", false.into()),
        ("conv_bias", true.into()),
        ("use_grn", false.into()),
    ]
}

/// Pixels of an image for each place of the last map.
pub(super) const STRIDE: usize = 32;

/// Reads the weights of a ConvNeXt whose small files have been read.
pub(super) struct ConvNeXtReader {
    pub(super) pooling: MapPooling,
    family: &'static Family,
    /// Added to the variance in every norm but the last.
    epsilon: f64,
    /// Added to the variance in the last norm.
    last_epsilon: f64,
}

impl ConvNeXtReader {
    /// A model of `model_type: convnext`.
    ///
    /// # Errors
    /// When the configuration is not usable, or has no such pooling.
    pub(super) fn hub(
        config: &Map<String, Value>,
        path: &Path,
        pooling: Option<ImagePooling>,
    ) -> Result<Self, ModelError> {
        let fields = Fields::new(config, path);
        if fields.text("hidden_act").is_some_and(|name| name != "gelu") {
            return Err(fields.wrong("`hidden_act` is not `gelu`".to_owned()));
        }
        if fields.size("patch_size", 4)? != 4 {
            return Err(fields.wrong("`patch_size` is not 4".to_owned()));
        }
        let pooling = MapPooling::of(pooling, path)?;
        let last_epsilon = fields.number("layer_norm_eps", 1e-12)?;
        Ok(Self { pooling, family: &HUB, epsilon: EPSILON, last_epsilon })
    }

    /// A model of timm's `convnext_…`.
    ///
    /// # Errors
    /// When the configuration is not usable, or has no such pooling.
    pub(super) fn timm(
        config: &Map<String, Value>,
        path: &Path,
        pooling: Option<ImagePooling>,
    ) -> Result<Self, ModelError> {
        let pooling = MapPooling::of(pooling, path)?;
        let (top, empty) = (Fields::new(config, path), Map::new());
        let args = top.part("model_args", &empty);
        args.only("model_args", FREE, &plain())?;
        let is_largest = top.text("architecture").is_some_and(|name| name.starts_with("convnext_xxlarge"));
        let epsilon = args.number("norm_eps", if is_largest { 1e-5 } else { EPSILON })?;
        Ok(Self { pooling, family: &TIMM, epsilon, last_epsilon: epsilon })
    }

    /// The names of its tensors.
    pub(super) fn family(&self) -> &'static Family {
        self.family
    }

    /// Takes the weights; depths and widths follow from the tensors that are there.
    pub(super) fn read(&self, list: &mut Checklist) -> ConvNeXtWeights {
        weights::read(list, self.pooling, self.epsilon, self.last_epsilon)
    }

    /// Numbers of a feature: the width of the last stage.
    pub(super) fn dim(&self, list: &Checklist) -> Option<usize> {
        list.shape("norm.weight").and_then(|shape| shape.first().copied())
    }
}

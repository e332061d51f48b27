//! The shape of a ResNet, from the files beside its weights.

mod arguments;

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::weights::{ImageModelFiles, ModelError, read_config, undescribed_image_family};

/// The number of blocks per stage of the named depths.
const DEPTHS: &[(&str, [usize; 4])] = &[
    ("resnet18", [2, 2, 2, 2]),
    ("resnet26", [2, 2, 2, 2]),
    ("resnet34", [3, 4, 6, 3]),
    ("resnet50", [3, 4, 6, 3]),
    ("resnet101", [3, 4, 23, 3]),
    ("resnet152", [3, 8, 36, 3]),
    ("resnet200", [3, 24, 36, 3]),
    ("wide_resnet50_2", [3, 4, 6, 3]),
    ("wide_resnet101_2", [3, 4, 23, 3]),
];

/// The most blocks of a stage: many times that of the deepest ResNet.
const MOST_BLOCKS: usize = 1000;

/// The relevant fields of timm's and transformers' configurations.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ResNetConfig {
    /// timm: the name of the architecture.
    architecture: Option<String>,
    /// timm: the differences from that architecture.
    model_args: Option<Map<String, Value>>,
    /// timm: the pooling of the last maps into one vector.
    global_pool: Option<String>,
    /// transformers' wrapper of timm: whether it pools.
    do_pooling: Option<bool>,
    /// transformers: the number of blocks per stage.
    depths: Option<Vec<usize>>,
    /// transformers: the non-linearity.
    hidden_act: Option<String>,
    /// transformers: the number of colour channels.
    num_channels: Option<usize>,
    /// transformers: whether the stride of a bottleneck is on its first convolution.
    downsample_in_bottleneck: bool,
    /// transformers: whether the first stage also halves the size.
    downsample_in_first_stage: bool,
    quantization_config: Option<Value>,
}

impl ResNetConfig {
    /// Reads a configuration; without one everything follows from the weights, unless their name indicates otherwise.
    ///
    /// # Errors
    /// When the file cannot be read, or the file or the name describes another family or variant.
    pub(super) fn read(files: &ImageModelFiles) -> Result<Self, ModelError> {
        let values = files.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
        if !values.contains_key("architecture") && !values.contains_key("model_type") {
            check_names(files)?;
        }
        let Some(path) = &files.config else { return Ok(Self::default()) };
        let unsupported = |what| ModelError::Unsupported { path: path.clone(), what };
        // First, since another family need not have the fields of this one.
        let family = values.get("model_type").and_then(Value::as_str);
        if let Some(other) = family.filter(|family| !matches!(*family, "resnet" | "timm_wrapper")) {
            return Err(unsupported(format!("`model_type` is `{other}` instead of `resnet`")));
        }
        let config: Self = serde_json::from_value(Value::Object(values))
            .map_err(|source| ModelError::Config { path: path.clone(), source })?;
        match config.unsupported() {
            None => Ok(config),
            Some(what) => Err(unsupported(what)),
        }
    }

    /// The number of blocks per stage, if the configuration has it.
    pub(super) fn depths(&self) -> Option<Vec<usize>> {
        let named = || {
            let architecture = self.architecture.as_deref()?;
            let bare = architecture.split('.').next()?;
            DEPTHS.iter().find(|(name, _)| *name == bare).map(|(_, depths)| depths.to_vec())
        };
        self.layers().or_else(|| self.depths.clone()).or_else(named)
    }

    fn layers(&self) -> Option<Vec<usize>> {
        serde_json::from_value(self.model_args.as_ref()?.get("layers")?.clone()).ok()
    }

    /// The reason why a variant is unsupported, which the weights cannot show: its tensors are the same, but not its
    /// computations.
    fn unsupported(&self) -> Option<String> {
        if let Some(other) = self.architecture.as_deref().filter(|name| !is_plain_resnet(name)) {
            return Some(format!("`architecture` is `{other}` instead of a plain `resnet` or `wide_resnet`"));
        }
        if let Some(what) = self.model_args.as_ref().and_then(arguments::unsupported) {
            return Some(what);
        }
        if let Some(other) = self.global_pool.as_deref().filter(|pool| !matches!(*pool, "avg" | "")) {
            return Some(format!("`global_pool` is `{other}` instead of `avg`"));
        }
        if self.do_pooling == Some(false) {
            return Some("`do_pooling` is false, so that an image has no single vector".into());
        }
        if let Some(other) = self.hidden_act.as_deref().filter(|name| *name != "relu") {
            return Some(format!("`hidden_act` is `{other}` instead of `relu`"));
        }
        if let Some(other) = self.num_channels.filter(|n_channels| *n_channels != 3) {
            return Some(format!("`num_channels` is {other} instead of 3"));
        }
        if self.downsample_in_bottleneck || self.downsample_in_first_stage {
            return Some("it downsamples in the first convolution of a bottleneck or in the first stage".into());
        }
        if self.quantization_config.is_some() {
            return Some("`quantization_config` says that the weights are quantized".into());
        }
        let depths = self.depths()?;
        let fits = depths.len() == 4 && depths.iter().all(|depth| (1..=MOST_BLOCKS).contains(depth));
        (!fits).then(|| format!("its depths are {depths:?}, and must be four, each from 1 to {MOST_BLOCKS}"))
    }
}

/// Refuses weights without a configuration whose name is that of another architecture: they might fit and give wrong
/// results.
fn check_names(files: &ImageModelFiles) -> Result<(), ModelError> {
    let file = files.weights.first().map(|path| last_part(&path.to_string_lossy())).unwrap_or_default();
    let named =
        |name: String| undescribed_image_family(&name).map(|architecture| ModelError::Named { name, architecture });
    named(last_part(&files.model)).or_else(|| named(file)).map_or(Ok(()), Err)
}

fn last_part(model: &str) -> String {
    Path::new(model).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `resnet` or `wide_resnet`, a depth, `_2` for wide ones, optionally a tag after a dot.
fn is_plain_resnet(name: &str) -> bool {
    let name = name.split('.').next().unwrap_or(name);
    let name = name.strip_prefix("tv_").unwrap_or(name);
    let depth = match name.strip_prefix("wide_resnet") {
        Some(rest) => rest.strip_suffix("_2"),
        None => name.strip_prefix("resnet"),
    };
    depth.is_some_and(|depth| !depth.is_empty() && depth.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests;

//! What `config.json` beside a checkpoint says about a ResNet: enough to refuse what would be computed wrongly.

use std::path::Path;

use serde::Deserialize;

use crate::weights::{ModelError, read_json};

/// Blocks per stage of the named depths.
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

/// The fields of timm's and of transformers' configurations that matter.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ResNetConfig {
    /// timm: the name of the architecture.
    architecture: Option<String>,
    /// timm: what differs from that architecture.
    #[serde(default)]
    model_args: ModelArgs,
    /// transformers: the family.
    model_type: Option<String>,
    /// transformers: blocks per stage.
    depths: Option<Vec<usize>>,
    /// transformers: the non-linearity.
    hidden_act: Option<String>,
    /// transformers: the stride of a bottleneck is on its first convolution.
    #[serde(default)]
    downsample_in_bottleneck: bool,
    /// transformers: the first stage halves the size too.
    #[serde(default)]
    downsample_in_first_stage: bool,
}

#[derive(Debug, Default, Deserialize)]
struct ModelArgs {
    layers: Option<Vec<usize>>,
}

impl ResNetConfig {
    /// Reads a configuration; without one everything follows from the weights.
    ///
    /// # Errors
    /// When the file cannot be read, or describes another family or variant.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, ModelError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let config: Self = read_json(path)?;
        match config.unsupported() {
            None => Ok(config),
            Some(what) => Err(ModelError::Unsupported { path: path.to_owned(), what }),
        }
    }

    /// Blocks per stage, if the configuration says so.
    pub(super) fn depths(&self) -> Option<Vec<usize>> {
        let named = || {
            let architecture = self.architecture.as_deref()?;
            let bare = architecture.split('.').next()?;
            DEPTHS.iter().find(|(name, _)| *name == bare).map(|(_, depths)| depths.to_vec())
        };
        self.model_args.layers.clone().or_else(|| self.depths.clone()).or_else(named)
    }

    /// Variants with the same tensors and other computations cannot be told from the weights.
    fn unsupported(&self) -> Option<String> {
        if let Some(other) = self.architecture.as_deref().filter(|name| !is_plain_resnet(name)) {
            return Some(format!("`architecture` is `{other}` instead of a plain `resnet` or `wide_resnet`"));
        }
        if let Some(other) = self.model_type.as_deref().filter(|family| !matches!(*family, "resnet" | "timm_wrapper")) {
            return Some(format!("`model_type` is `{other}` instead of `resnet`"));
        }
        if let Some(other) = self.hidden_act.as_deref().filter(|name| *name != "relu") {
            return Some(format!("`hidden_act` is `{other}` instead of `relu`"));
        }
        if self.downsample_in_bottleneck || self.downsample_in_first_stage {
            return Some("it downsamples in the first convolution of a bottleneck or in the first stage".into());
        }
        None
    }
}

/// `resnet` or `wide_resnet`, a depth, for wide ones `_2`, perhaps a tag after a dot.
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
mod tests {
    use super::*;

    #[test]
    fn variants_with_other_computations_are_told_apart_by_name() {
        for plain in ["resnet18", "resnet50.a1_in1k", "wide_resnet50_2", "tv_resnet152", "resnet200"] {
            assert!(is_plain_resnet(plain), "{plain}");
        }
        for other in ["resnet50d", "resnetaa50", "resnetblur50", "seresnet50", "resnet50_gn", "resnext50_32x4d", "vit"]
        {
            assert!(!is_plain_resnet(other), "{other}");
        }
    }

    #[test]
    fn depths_come_from_arguments_before_the_name() {
        let depths = |text: &str| serde_json::from_str::<ResNetConfig>(text).unwrap().depths();
        assert_eq!(depths(r#"{"architecture": "resnet50"}"#), Some(vec![3, 4, 6, 3]));
        assert_eq!(
            depths(r#"{"architecture": "resnet50", "model_args": {"layers": [1, 2, 1, 1]}}"#),
            Some(vec![1, 2, 1, 1])
        );
        assert_eq!(depths(r#"{"model_type": "resnet", "depths": [2, 2, 2, 2]}"#), Some(vec![2, 2, 2, 2]));
        assert_eq!(depths("{}"), None);
    }
}

//! The shape of a BERT encoder, from its `config.json`.

use std::path::Path;

use serde::Deserialize;

use crate::weights::{ModelError, read_json};

/// The non-linearity between the two layers of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Activation {
    /// `x · Φ(x)`, exact.
    #[serde(rename = "gelu")]
    Gelu,
    /// The approximation of `gelu` by a hyperbolic tangent.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    /// `max(x, 0)`.
    #[serde(rename = "relu")]
    Relu,
}

/// What `config.json` says, as far as it shapes the encoder. Defaults are those of transformers' `BertConfig`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BertConfig {
    /// Width of every token's vector.
    pub(super) hidden_size: usize,
    /// Layers.
    pub(super) num_hidden_layers: usize,
    /// Attention heads; a divisor of the width.
    pub(super) num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub(super) intermediate_size: usize,
    /// Tokens that the embedding knows.
    pub(super) vocab_size: usize,
    /// The longest text in tokens.
    #[serde(default = "default_positions")]
    pub(super) max_position_embeddings: usize,
    /// Kinds of segments; only the first is used.
    #[serde(default = "default_types")]
    pub(super) type_vocab_size: usize,
    /// Added to the variance in layer norms.
    #[serde(default = "default_epsilon")]
    pub(super) layer_norm_eps: f64,
    #[serde(default = "default_activation")]
    hidden_act: String,
    #[serde(default)]
    model_type: Option<String>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
}

fn default_positions() -> usize {
    512
}

fn default_types() -> usize {
    2
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_activation() -> String {
    "gelu".into()
}

impl BertConfig {
    /// Reads a configuration and refuses what the forward pass would compute wrongly.
    ///
    /// # Errors
    /// When the file cannot be read, or describes another family or variant.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = read_json(path)?;
        match config.unsupported() {
            None => Ok(config),
            Some(what) => Err(ModelError::Unsupported { path: path.to_owned(), what }),
        }
    }

    /// The non-linearity.
    pub(super) fn activation(&self) -> Option<Activation> {
        serde_json::from_value(self.hidden_act.clone().into()).ok()
    }

    fn unsupported(&self) -> Option<String> {
        if let Some(other) = self.model_type.as_deref().filter(|family| *family != "bert") {
            return Some(format!("`model_type` is `{other}` instead of `bert`"));
        }
        if let Some(other) = self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Some(format!("`position_embedding_type` is `{other}` instead of `absolute`"));
        }
        if self.is_decoder {
            return Some("`is_decoder` is true".into());
        }
        if self.activation().is_none() {
            return Some(format!("`hidden_act` is `{}` instead of `gelu`, `gelu_new` or `relu`", self.hidden_act));
        }
        let sizes = [self.hidden_size, self.num_hidden_layers, self.num_attention_heads, self.intermediate_size];
        if sizes.contains(&0) || self.type_vocab_size == 0 {
            return Some("a size is 0".into());
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let (size, heads) = (self.hidden_size, self.num_attention_heads);
            return Some(format!("`hidden_size` {size} is not a multiple of `num_attention_heads` {heads}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extra: &str) -> Result<BertConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let sizes = r#""hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 9"#;
        std::fs::write(&path, format!(r#"{{{sizes}, "vocab_size": 5{extra}}}"#)).unwrap();
        BertConfig::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_in_transformers() {
        let config = read("").unwrap();
        assert_eq!((config.max_position_embeddings, config.type_vocab_size), (512, 2));
        assert_eq!((config.layer_norm_eps, config.activation()), (1e-12, Some(Activation::Gelu)));
    }

    #[test]
    fn a_variant_that_would_be_computed_wrongly_is_refused() {
        for (extra, named) in [
            (r#", "model_type": "roberta""#, "`model_type` is `roberta`"),
            (r#", "position_embedding_type": "relative_key""#, "`position_embedding_type`"),
            (r#", "hidden_act": "silu""#, "`hidden_act` is `silu`"),
            (r#", "is_decoder": true"#, "`is_decoder`"),
            (r#", "type_vocab_size": 0"#, "a size is 0"),
        ] {
            let error = read(extra).unwrap_err();
            assert!(error.contains(named), "{extra}: {error}");
        }
    }
}

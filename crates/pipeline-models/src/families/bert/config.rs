//! The shape of a BERT encoder, from its `config.json`.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::tower::BertSizes;
use crate::tower::Activation;
use crate::weights::ModelError;
#[cfg(test)]
use crate::weights::read_config;

/// What `config.json` says, as far as it shapes the encoder. Defaults are those of transformers' `BertConfig`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct BertConfig {
    /// Width of every token's vector.
    pub(crate) hidden_size: usize,
    /// Layers.
    pub(crate) num_hidden_layers: usize,
    /// Attention heads; a divisor of the width.
    pub(crate) num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub(crate) intermediate_size: usize,
    /// Tokens that the embedding knows.
    pub(crate) vocab_size: usize,
    /// The longest text in tokens.
    pub(crate) max_position_embeddings: usize,
    /// Kinds of segments; only the first is used.
    pub(crate) type_vocab_size: usize,
    /// Added to the variance in layer norms.
    pub(crate) layer_norm_eps: f64,
    hidden_act: String,
    position_embedding_type: Option<String>,
    is_decoder: bool,
    add_cross_attention: bool,
    use_task_id: bool,
    pruned_heads: Option<Value>,
    quantization_config: Option<Value>,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            vocab_size: 30522,
            max_position_embeddings: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_act: "gelu".into(),
            position_embedding_type: None,
            is_decoder: false,
            add_cross_attention: false,
            use_task_id: false,
            pruned_heads: None,
            quantization_config: None,
        }
    }
}

impl BertConfig {
    /// Reads a configuration and refuses what the forward pass would compute wrongly.
    ///
    /// # Errors
    /// When the file cannot be read, or describes another family or variant.
    #[cfg(test)]
    fn read(path: &Path) -> Result<Self, ModelError> {
        let unsupported = |what| ModelError::Unsupported { path: path.to_owned(), what };
        let values = read_config(path)?;
        // First, since another family need not have the fields of this one.
        if let Some(other) = values.get("model_type").and_then(Value::as_str).filter(|family| *family != "bert") {
            return Err(unsupported(format!("`model_type` is `{other}` instead of `bert`")));
        }
        let config = Self::of(values).map_err(|source| ModelError::Config { path: path.to_owned(), source })?;
        match config.unsupported() {
            None => Ok(config),
            Some(what) => Err(unsupported(what)),
        }
    }

    /// Reads a part of a configuration, such as that of one tower, and refuses what the forward pass would compute
    /// wrongly.
    ///
    /// # Errors
    /// When the part describes another variant.
    pub(in crate::families) fn of_part(part: &Map<String, Value>, path: &Path) -> Result<Self, ModelError> {
        let config = Self::of(part.clone()).map_err(|source| ModelError::Config { path: path.to_owned(), source })?;
        match config.unsupported() {
            None => Ok(config),
            Some(what) => Err(ModelError::Unsupported { path: path.to_owned(), what }),
        }
    }

    fn of(values: Map<String, Value>) -> Result<Self, serde_json::Error> {
        serde_json::from_value(Value::Object(values))
    }

    /// The non-linearity.
    pub(crate) fn activation(&self) -> Option<Activation> {
        Activation::of_name(&self.hidden_act)
    }

    /// The sizes of the tower.
    pub(in crate::families) fn sizes(&self) -> BertSizes {
        BertSizes {
            width: self.hidden_size,
            n_layers: self.num_hidden_layers,
            n_heads: self.num_attention_heads,
            inner: self.intermediate_size,
            n_words: self.vocab_size,
            n_positions: self.max_position_embeddings,
            n_segments: self.type_vocab_size,
            activation: self.activation().expect("a configuration with another activation is refused"),
            epsilon: self.layer_norm_eps,
        }
    }

    fn unsupported(&self) -> Option<String> {
        if let Some(other) = self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Some(format!("`position_embedding_type` is `{other}` instead of `absolute`"));
        }
        let flags = [
            ("is_decoder", self.is_decoder),
            ("add_cross_attention", self.add_cross_attention),
            ("use_task_id", self.use_task_id),
        ];
        if let Some((name, _)) = flags.iter().find(|(_, is_set)| *is_set) {
            return Some(format!("`{name}` is true"));
        }
        if self.pruned_heads.as_ref().is_some_and(|heads| !is_empty(heads)) {
            return Some("`pruned_heads` names heads that were taken out".into());
        }
        if self.quantization_config.is_some() {
            return Some("`quantization_config` says that the weights are quantized".into());
        }
        if self.activation().is_none() {
            let names: Vec<String> = Activation::names().map(|name| format!("`{name}`")).collect();
            return Some(format!("`hidden_act` is `{}` and none of {}", self.hidden_act, names.join(", ")));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps >= 0.0) {
            return Some(format!("`layer_norm_eps` is {}", self.layer_norm_eps));
        }
        self.unsupported_size()
    }

    fn unsupported_size(&self) -> Option<String> {
        // Far above every BERT there is, and low enough that no list of that length exhausts memory: what the weights
        // hold is compared with these numbers one by one.
        let sizes = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 16),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("vocab_size", self.vocab_size, 1 << 24),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 20),
            ("type_vocab_size", self.type_vocab_size, 1 << 16),
        ];
        if let Some((name, size, most)) = sizes.iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return Some(format!("`{name}` is {size}, and must be from 1 to {most}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let (size, heads) = (self.hidden_size, self.num_attention_heads);
            return Some(format!("`hidden_size` {size} is not a multiple of `num_attention_heads` {heads}"));
        }
        None
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration of these fields after those of a small model, which they replace.
    fn read(extra: &str) -> Result<BertConfig, String> {
        let small = r#"{"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 9, "vocab_size": 5}"#;
        let mut values: Map<String, Value> = serde_json::from_str(small).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        match serde_json::from_str::<Map<String, Value>>(&format!("{{{extra}}}")) {
            Ok(extra) => {
                values.extend(extra);
                std::fs::write(&path, Value::Object(values).to_string()).unwrap();
            }
            Err(_) => std::fs::write(&path, format!("{{{extra}}}")).unwrap(),
        }
        BertConfig::read(&path).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    }

    #[test]
    fn what_is_not_said_is_as_in_transformers() {
        let config = read("").unwrap();
        assert_eq!((config.num_hidden_layers, config.max_position_embeddings, config.type_vocab_size), (12, 512, 2));
        assert_eq!((config.layer_norm_eps, config.activation()), (1e-12, Some(Activation::Gelu)));
    }

    #[test]
    fn equal_functions_have_several_names() {
        for name in Activation::names() {
            let config = read(&format!(r#""hidden_act": "{name}""#)).unwrap();
            assert!(config.activation().is_some(), "{name}");
        }
    }

    #[test]
    fn a_variant_that_would_be_computed_wrongly_is_refused() {
        for (extra, named) in [
            (r#""model_type": "roberta""#, "`model_type` is `roberta`"),
            (r#""model_type": "ernie", "hidden_size": "large""#, "`model_type` is `ernie`"),
            (r#""position_embedding_type": "relative_key""#, "`position_embedding_type`"),
            (r#""hidden_act": "silu""#, "`hidden_act` is `silu`"),
            (r#""is_decoder": true"#, "`is_decoder`"),
            (r#""add_cross_attention": true"#, "`add_cross_attention`"),
            (r#""pruned_heads": {"0": [1]}"#, "`pruned_heads`"),
            (r#""quantization_config": {"load_in_8bit": true}"#, "`quantization_config`"),
            (r#""layer_norm_eps": -1"#, "`layer_norm_eps` is -1"),
        ] {
            let error = read(extra).unwrap_err();
            assert!(error.contains(named), "{extra}: {error}");
        }
        for neutral in [r#""pruned_heads": {}"#, r#""position_embedding_type": "absolute""#, r#""is_decoder": false"#] {
            read(neutral).unwrap();
        }
    }

    #[test]
    fn sizes_that_no_model_has_are_ordinary_errors() {
        for (extra, named) in [
            (r#""type_vocab_size": 0"#, "`type_vocab_size` is 0"),
            (r#""num_hidden_layers": 1000000000"#, "`num_hidden_layers` is 1000000000"),
            (r#""num_hidden_layers": 9223372036854775808"#, "`num_hidden_layers` is 9223372036854775808"),
            (r#""num_hidden_layers": 1e9"#, "floating point"),
            (r#""max_position_embeddings": 18446744073709551615"#, "`max_position_embeddings` is"),
            (r#""num_hidden_layers": 18446744073709551616"#, "floating point"),
            (r#""num_hidden_layers": -1"#, "-1"),
            (r#""num_attention_heads": 3"#, "not a multiple"),
            (r#""layer_norm_eps": 1e999"#, "number out of range"),
        ] {
            let error = read(extra).unwrap_err();
            assert!(error.contains(named), "{extra}: {error}");
        }
    }
}

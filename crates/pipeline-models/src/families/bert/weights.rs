//! The weights of a BERT encoder as plain numbers, from any of the dialects in which they are saved.

use crate::weights::{Checklist, Family, ModelError, TextModelFiles, WeightsNote, open};

use super::Pooling;
use super::config::BertConfig;

/// How the tensors of a BERT are called.
const BERT: Family = Family {
    what: "a BERT",
    anchors: &[&["embeddings.word_embeddings.weight"], &["encoder.layer.0.attention.self.query.weight"]],
    canonical: canonical_name,
    usual_prefixes: &["bert."],
};

/// An affine map.
///
/// # Shapes
/// `weight`: `[n_out, n_in]` · `bias`: `[n_out]`
pub(crate) struct DenseWeights {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Scale and shift of a layer norm.
///
/// # Shapes
/// `scale`, `shift`: `[hidden]`
pub(crate) struct NormWeights {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// One layer: attention, then feed-forward.
pub(crate) struct LayerWeights {
    pub(crate) query: DenseWeights,
    pub(crate) key: DenseWeights,
    pub(crate) value: DenseWeights,
    pub(crate) attention_output: DenseWeights,
    pub(crate) attention_norm: NormWeights,
    pub(crate) intermediate: DenseWeights,
    pub(crate) output: DenseWeights,
    pub(crate) output_norm: NormWeights,
}

/// A BERT as plain numbers, before it is laid out where it is computed.
pub(crate) struct BertParts {
    pub(crate) weights: BertWeights,
    pub(crate) config: BertConfig,
    pub(crate) pooling: Pooling,
}

/// The whole encoder, without pooler and heads.
///
/// # Shapes
/// `words`: `[vocab, hidden]`, that of the first segment already added · `positions`: `[max_positions, hidden]`
pub(crate) struct BertWeights {
    pub(crate) words: Vec<f32>,
    pub(crate) positions: Vec<f32>,
    pub(crate) embedding_norm: NormWeights,
    pub(crate) layers: Vec<LayerWeights>,
}

impl BertWeights {
    /// Reads and checks the weights.
    ///
    /// # Errors
    /// When a file is not a checkpoint, or one error with every tensor that is missing, misshapen or not finite.
    pub(super) fn read(files: &TextModelFiles, config: &BertConfig) -> Result<Self, ModelError> {
        let mut list = open(&files.weights, &BERT)?;
        let hidden = config.hidden_size;
        let mut segment = list.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden]);
        segment.truncate(hidden);
        let mut weights = Self {
            words: list.take("embeddings.word_embeddings.weight", &[config.vocab_size, hidden]),
            positions: list.take("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden]),
            embedding_norm: norm(&mut list, "embeddings.LayerNorm", hidden),
            layers: (0..config.num_hidden_layers).map(|layer_idx| layer(&mut list, config, layer_idx)).collect(),
        };
        list.finish()?;
        for word in weights.words.chunks_exact_mut(hidden) {
            word.iter_mut().zip(&segment).for_each(|(word, segment)| *word += segment);
        }
        Ok(weights)
    }
}

/// What there is to say about where in the checkpoint the weights are.
///
/// # Errors
/// When a file is not a checkpoint, or does not hold one BERT.
pub(super) fn note(files: &TextModelFiles) -> Result<WeightsNote, ModelError> {
    Ok(open(&files.weights, &BERT)?.note().clone())
}

/// The name in transformers' `BertModel`, or `None` for what the encoder does not need: pooler, heads, buffers.
fn canonical_name(name: &str) -> Option<String> {
    let is_buffer = matches!(name, "embeddings.position_ids" | "embeddings.token_type_ids");
    if is_buffer || !(name.starts_with("embeddings.") || name.starts_with("encoder.")) {
        return None;
    }
    // Checkpoints converted from TensorFlow call scale and shift gamma and beta.
    let renamed = name.strip_suffix("LayerNorm.gamma").map(|start| format!("{start}LayerNorm.weight"));
    let renamed = renamed.or_else(|| name.strip_suffix("LayerNorm.beta").map(|start| format!("{start}LayerNorm.bias")));
    Some(renamed.unwrap_or_else(|| name.to_owned()))
}

fn layer(list: &mut Checklist, config: &BertConfig, layer_idx: usize) -> LayerWeights {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let name = |part: &str| format!("encoder.layer.{layer_idx}.{part}");
    LayerWeights {
        query: dense(list, &name("attention.self.query"), hidden, hidden),
        key: dense(list, &name("attention.self.key"), hidden, hidden),
        value: dense(list, &name("attention.self.value"), hidden, hidden),
        attention_output: dense(list, &name("attention.output.dense"), hidden, hidden),
        attention_norm: norm(list, &name("attention.output.LayerNorm"), hidden),
        intermediate: dense(list, &name("intermediate.dense"), hidden, inner),
        output: dense(list, &name("output.dense"), inner, hidden),
        output_norm: norm(list, &name("output.LayerNorm"), hidden),
    }
}

fn dense(list: &mut Checklist, name: &str, n_in: usize, n_out: usize) -> DenseWeights {
    let weight = list.take(&format!("{name}.weight"), &[n_out, n_in]);
    DenseWeights { n_in, n_out, weight, bias: list.take(&format!("{name}.bias"), &[n_out]) }
}

fn norm(list: &mut Checklist, name: &str, hidden: usize) -> NormWeights {
    let scale = list.take(&format!("{name}.weight"), &[hidden]);
    NormWeights { scale, shift: list.take(&format!("{name}.bias"), &[hidden]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_one_canonical_name() {
        for (given, expected) in [
            ("embeddings.LayerNorm.weight", Some("embeddings.LayerNorm.weight")),
            ("embeddings.LayerNorm.gamma", Some("embeddings.LayerNorm.weight")),
            ("encoder.layer.3.output.LayerNorm.beta", Some("encoder.layer.3.output.LayerNorm.bias")),
            ("pooler.dense.weight", None),
            ("cls.predictions.transform.LayerNorm.gamma", None),
            ("embeddings.position_ids", None),
        ] {
            assert_eq!(canonical_name(given).as_deref(), expected, "{given}");
        }
    }
}

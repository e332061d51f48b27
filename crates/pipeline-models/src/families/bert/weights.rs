//! The names of the tensors of a BERT, from any of the dialects in which they are saved.

/// The name in transformers' `BertModel`, or `None` for what the encoder does not need: pooler, heads, buffers.
pub(super) fn canonical_name(name: &str) -> Option<String> {
    let is_buffer = matches!(name, "embeddings.position_ids" | "embeddings.token_type_ids");
    if is_buffer || !(name.starts_with("embeddings.") || name.starts_with("encoder.")) {
        return None;
    }
    // Checkpoints converted from TensorFlow call scale and shift gamma and beta.
    let renamed = name.strip_suffix("LayerNorm.gamma").map(|start| format!("{start}LayerNorm.weight"));
    let renamed = renamed.or_else(|| name.strip_suffix("LayerNorm.beta").map(|start| format!("{start}LayerNorm.bias")));
    Some(renamed.unwrap_or_else(|| name.to_owned()))
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

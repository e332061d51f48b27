//! The text tower of Chinese-CLIP as transformers saves it: a BERT with a projection.

use std::path::Path;

use serde_json::{Map, Value};

use super::hub::tower_config;
use crate::families::bert;
use crate::families::fields::Fields;
use crate::families::pooling::Pooling;
use crate::families::reader::{TextReader, text_pooling};
use crate::tower::read::without_bias;
use crate::tower::{HeadStep, TextPool, TokenPositions};
use crate::weights::{Family, ModelError};

const TEXT: Family = Family {
    what: "a Chinese-CLIP text tower",
    anchors: &[&["text_model.embeddings.word_embeddings.weight"], &["text_projection.weight"]],
    canonical: |name| {
        let is_tower = name.starts_with("text_model.") && !name.starts_with("text_model.pooler.");
        let is_own = (is_tower && !name.ends_with("position_ids")) || name == "text_projection.weight";
        is_own.then(|| name.to_owned())
    },
    usual_prefixes: &[],
};

/// The text tower of `model_type: chinese_clip`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn text(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let empty = Map::new();
    let top = Fields::new(config, path);
    let part = tower_config(&top, "text_config", "text_config_dict");
    let sizes = bert::sizes_of(config.get(part).and_then(Value::as_object).unwrap_or(&empty), path)?;
    let dim = top.size("projection_dim", 512)?;
    use Pooling::{Cls, Mean, Projected, Tokens};
    let pooling = text_pooling(pooling, Projected, &[Cls, Mean, Projected], path)?;
    Ok(TextReader {
        pooling,
        dim: if pooling == Projected { dim } else { sizes.width },
        has_class: true,
        n_words: sizes.n_words,
        max_length: sizes.n_positions,
        padding: None,
        family: &TEXT,
        read: Box::new(move |list| {
            let projection = list.take("text_projection.weight", &[dim, sizes.width]);
            let mut tower = bert::read_tower(list, "text_model.", &sizes, TokenPositions::FromZero);
            match pooling {
                Projected => tower.head.push(HeadStep::Dense(without_bias(projection, sizes.width, dim))),
                Mean => tower.pool = TextPool::Mean,
                Tokens => tower.pool = TextPool::Tokens,
                _ => {}
            }
            tower
        }),
    })
}

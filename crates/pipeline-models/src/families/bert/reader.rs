//! The readers of BERT's towers, of RoBERTa's and XLM-R's, and of Taiyi's, which is a BERT with a projection.

use std::path::Path;

use serde_json::{Map, Value};

use super::config::BertConfig;
use super::tower::{BertSizes, read_tower};
use crate::families::fields::Fields;
use crate::families::pooling::Pooling;
use crate::families::reader::{TextReader, text_pooling};
use crate::tower::read::dense;
use crate::tower::{HeadStep, TextPool, TokenPositions};
use crate::weights::{Checklist, Family, ModelError};

/// The names of a BERT's tensors, from any dialect.
const BERT: Family = Family {
    what: "a BERT",
    anchors: &[&["embeddings.word_embeddings.weight"], &["encoder.layer.0.attention.self.query.weight"]],
    canonical: super::weights::canonical_name,
    usual_prefixes: &["bert."],
};

const ROBERTA: Family = Family { what: "a RoBERTa", usual_prefixes: &["roberta."], ..BERT };

const BERT_WITH_POOLER: Family = Family { canonical: with_pooler, ..BERT };

const ROBERTA_WITH_POOLER: Family = Family { canonical: with_pooler, ..ROBERTA };

fn with_pooler(name: &str) -> Option<String> {
    let is_pooler = name.starts_with("pooler.");
    super::weights::canonical_name(name).or_else(|| is_pooler.then(|| name.to_owned()))
}

/// The classifier of Taiyi's text tower stands beside its BERT and is the projection.
const WITH_CLASSIFIER: Family = Family {
    what: "a BERT with a classifier",
    anchors: &[&["bert.embeddings.word_embeddings.weight"], &["classifier.weight"]],
    canonical: |name| match name.strip_prefix("bert.") {
        Some(rest) => with_pooler(rest).map(|canonical| format!("bert.{canonical}")),
        None => name.starts_with("classifier.").then(|| name.to_owned()),
    },
    usual_prefixes: &[],
};

/// A model of `model_type: bert`; `projected` is there where `architectures` has a classifier, as Taiyi's text tower.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn bert(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let sizes = BertConfig::of_part(config, path)?.sizes();
    use Pooling::{Cls, Mean, Pooler, Projected, Tokens};
    let there: &[Pooling] = if has_classifier(config) { &[Cls, Mean, Pooler, Projected] } else { &[Cls, Mean, Pooler] };
    let pooling = text_pooling(pooling, Cls, there, path)?;
    let n_projected = match pooling {
        // transformers makes two of them where a configuration names none.
        Projected => config.get("id2label").and_then(Value::as_object).map_or(2, Map::len),
        _ => sizes.width,
    };
    let family = match pooling {
        Cls | Mean | Tokens => &BERT,
        Pooler => &BERT_WITH_POOLER,
        Projected => &WITH_CLASSIFIER,
    };
    Ok(reader(sizes, TokenPositions::FromZero, (pooling, n_projected), family))
}

/// Whether the model is a BERT with a classifier, as Taiyi's text tower is.
pub(in crate::families) fn has_classifier(config: &Map<String, Value>) -> bool {
    let class = config.get("architectures").and_then(|classes| classes.get(0)?.as_str());
    class == Some("BertForSequenceClassification")
}

/// A model of `model_type: roberta` or `xlm-roberta`.
///
/// # Errors
/// When the configuration is not usable, or has no such pooling.
pub(in crate::families) fn roberta(
    config: &Map<String, Value>,
    path: &Path,
    pooling: Option<Pooling>,
) -> Result<TextReader, ModelError> {
    let fields = Fields::new(config, path);
    let mut values = config.clone();
    if fields.text("model_type") == Some("roberta") && !fields.has("vocab_size") {
        values.insert("vocab_size".to_owned(), 50_265.into());
    }
    let sizes = BertConfig::of_part(&values, path)?.sizes();
    let padding = fields.number("pad_token_id", 1.0)?;
    if padding.fract() != 0.0 || padding as usize + 1 >= sizes.n_positions {
        return Err(fields.wrong(format!("`pad_token_id` is {padding} with {} positions", sizes.n_positions)));
    }
    use Pooling::{Cls, Mean, Pooler};
    let pooling = text_pooling(pooling, Cls, &[Cls, Mean, Pooler], path)?;
    let family = if pooling == Pooler { &ROBERTA_WITH_POOLER } else { &ROBERTA };
    Ok(reader(sizes, TokenPositions::AfterPadding(padding as u32), (pooling, sizes.width), family))
}

fn reader(
    sizes: BertSizes,
    counting: TokenPositions,
    (pooling, dim): (Pooling, usize),
    family: &'static Family,
) -> TextReader {
    TextReader {
        pooling,
        dim,
        has_class: true,
        n_words: sizes.n_words,
        max_length: sizes.n_positions - counting.first(),
        padding: None,
        family,
        read: Box::new(move |list| {
            let prefix = if pooling == Pooling::Projected { "bert." } else { "" };
            let mut tower = read_tower(list, prefix, &sizes, counting);
            let pooler = |list: &mut Checklist| {
                [
                    HeadStep::Dense(dense(list, &format!("{prefix}pooler.dense"), sizes.width, sizes.width)),
                    HeadStep::Tanh,
                ]
            };
            match pooling {
                Pooling::Cls => {}
                Pooling::Mean => tower.pool = TextPool::Mean,
                Pooling::Tokens => tower.pool = TextPool::Tokens,
                Pooling::Pooler => tower.head.extend(pooler(list)),
                Pooling::Projected => {
                    tower.head.extend(pooler(list));
                    tower.head.push(HeadStep::Dense(dense(list, "classifier", sizes.width, dim)));
                }
            }
            tower
        }),
    }
}

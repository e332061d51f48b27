//! A `tokenizer.json`, with the settings beside it that change what it does to texts.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::unknown::Spelling;
use super::{TokenizerFamily, TokenizerSettings};

/// The parts of a `tokenizer.json` that are read here; its words are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct JsonParts {
    truncation: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    normalizer: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pre_tokenizer: Option<Value>,
    #[serde(default)]
    pub(super) model: ModelPart,
}

/// The part `model` without its words.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct ModelPart {
    /// The token for what the words cannot express, by its text.
    pub(super) unk_token: Option<String>,
    /// The same by its id, as Unigram models have it.
    pub(super) unk_id: Option<u32>,
    /// Whether such text is written in tokens of one byte.
    pub(super) byte_fallback: Option<bool>,
}

/// A part that is there, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl JsonParts {
    /// Whether texts are cut at the left.
    pub(super) fn cuts_left(&self) -> bool {
        self.truncation.as_ref().and_then(|truncation| truncation.get("direction")).is_some_and(|side| side == "Left")
    }

    /// How tokens are written.
    pub(super) fn spelling(&self) -> Spelling {
        let mut splitters = self.pre_tokenizer.iter().flat_map(|part| steps(part.clone(), "pretokenizers"));
        match splitters.any(|step| is_a(&step, "ByteLevel")) {
            true => Spelling::Bytes,
            false if self.model.byte_fallback == Some(true) => Spelling::ByteFallback,
            false => Spelling::Letters,
        }
    }

    /// Lets the parts do what the settings say; returns whether that is something else.
    ///
    /// # Errors
    /// In words, when there is no place for a setting.
    pub(super) fn apply(&mut self, settings: &TokenizerSettings, lower_case: Option<bool>) -> Result<bool, String> {
        let before = self.clone();
        match settings.family {
            TokenizerFamily::Bert => self.apply_of_bert(settings, lower_case)?,
            _ => self.apply_of_others(settings, lower_case),
        }
        Ok(*self != before)
    }

    /// BERT's tokenizers of transformers change the normaliser to what `tokenizer_config.json` says, defaults included.
    fn apply_of_bert(&mut self, settings: &TokenizerSettings, lower_case: Option<bool>) -> Result<(), String> {
        let Some(normalizer) = &mut self.normalizer else { return Ok(()) };
        if normalizer.is_null() && settings.of_bert {
            *normalizer = json!({ "type": "BertNormalizer", "clean_text": true });
        }
        let is_bert = is_a(normalizer, "BertNormalizer");
        if lower_case.is_some() && !is_bert {
            let kind = normalizer.get("type").and_then(Value::as_str).unwrap_or("none");
            return Err(format!("its normalizer is `{kind}`, so that `lower_case` cannot be chosen"));
        }
        if is_bert && settings.of_bert {
            normalizer["handle_chinese_chars"] = settings.tokenize_chinese_chars.into();
            normalizer["strip_accents"] = settings.strip_accents.into();
            normalizer["lowercase"] = settings.do_lower_case.into();
        }
        if let Some(lower_case) = lower_case {
            normalizer["lowercase"] = lower_case.into();
        }
        Ok(())
    }

    fn apply_of_others(&mut self, settings: &TokenizerSettings, lower_case: Option<bool>) {
        if let Some(lower_case) = lower_case.or(settings.lower_cases_always.then_some(true)) {
            self.normalizer = Some(with_lower_case(self.normalizer.take().unwrap_or_default(), lower_case));
        }
        let bytes = self.pre_tokenizer.as_mut().filter(|step| is_a(step, "ByteLevel"));
        if let (Some(step), Some(prefix_space)) = (bytes, settings.prefix_space) {
            step["add_prefix_space"] = prefix_space.into();
        }
    }

    /// Puts the parts that settings change into a whole `tokenizer.json`.
    pub(super) fn put_into(self, json: &mut Value) {
        for (name, part) in [("normalizer", self.normalizer), ("pre_tokenizer", self.pre_tokenizer)] {
            if let Some(part) = part {
                json[name] = part;
            }
        }
    }
}

/// A normaliser that lower-cases first of all, or nowhere.
fn with_lower_case(normalizer: Value, lower_case: bool) -> Value {
    let mut steps = steps(normalizer.clone(), "normalizers");
    let is_lower = |step: &Value| is_a(step, "Lowercase");
    match (lower_case, steps.iter().any(is_lower)) {
        (true, true) | (false, false) => return normalizer,
        (true, false) => steps.insert(0, json!({ "type": "Lowercase" })),
        (false, true) => steps.retain(|step| !is_lower(step)),
    }
    json!({ "type": "Sequence", "normalizers": steps })
}

/// The steps of a part, those of sequences one by one.
fn steps(part: Value, name: &str) -> Vec<Value> {
    match part {
        Value::Null => Vec::new(),
        Value::Object(mut fields) if fields.get("type").is_some_and(|kind| kind == "Sequence") => {
            let Some(Value::Array(parts)) = fields.remove(name) else { return Vec::new() };
            parts.into_iter().flat_map(|part| steps(part, name)).collect()
        }
        step => vec![step],
    }
}

fn is_a(step: &Value, kind: &str) -> bool {
    step.get("type").is_some_and(|own| own == kind)
}

//! The plain fields of `tokenizer_config.json`, and which of their values are followed.

use serde::Deserialize;
use serde_json::Value;

use super::TokenizerFamily;
use super::family::PLAIN_CLASSES;

/// The plain fields of `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenizerFields {
    pub(super) do_lower_case: Option<bool>,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) tokenizer_class: Option<String>,
    pub(super) truncation_side: Option<String>,
    pub(super) split_special_tokens: Option<bool>,
    pub(super) padding_side: Option<String>,
    pub(super) add_prefix_space: Option<bool>,
    pub(super) add_bos_token: Option<bool>,
    pub(super) add_eos_token: Option<bool>,
    pub(super) clean_text: Option<bool>,
    pub(super) do_basic_tokenize: Option<bool>,
    pub(super) never_split: Option<Vec<String>>,
    pub(super) wordpieces_prefix: Option<String>,
    pub(super) model_max_length: Option<f64>,
    pub(super) auto_map: Option<Value>,
}

impl TokenizerFields {
    /// The class without the `Fast` of older versions.
    pub(super) fn class(&self) -> Option<&str> {
        self.tokenizer_class.as_deref().map(|class| class.strip_suffix("Fast").unwrap_or(class))
    }

    /// Whether no class is named, or one of the family.
    pub(super) fn is_of(&self, family: TokenizerFamily) -> bool {
        self.class().is_none_or(|class| family.classes().contains(&class))
    }

    /// The space before a text: RoBERTa's class sets it whatever `tokenizer.json` says, plain ones leave it.
    pub(super) fn prefix_space(&self, family: TokenizerFamily) -> Option<bool> {
        let of_family = family == TokenizerFamily::Roberta && self.is_of(family);
        of_family.then(|| self.add_prefix_space.unwrap_or(false))
    }

    /// Whether a text begins with a special token. Only SigLIP's classes ask the file, and theirs usually do not.
    pub(super) fn adds_first(&self, family: TokenizerFamily) -> bool {
        family != TokenizerFamily::Siglip || self.add_bos_token == Some(true)
    }

    /// Whether a text ends with a special token.
    pub(super) fn adds_last(&self, family: TokenizerFamily) -> bool {
        family != TokenizerFamily::Siglip || self.add_eos_token != Some(false)
    }

    /// A setting that is followed nowhere, in words.
    pub(super) fn unsupported(&self, family: TokenizerFamily, has_json: bool) -> Option<String> {
        let written = self.tokenizer_class.as_deref().unwrap_or_default();
        let is_plain = has_json && PLAIN_CLASSES.contains(&written);
        if !is_plain && !self.is_of(family) {
            let usual = family.classes()[0];
            return Some(format!("`tokenizer_class` is `{written}` instead of `{usual}`"));
        }
        // Older files list the classes of tokenizers without saying so.
        let code =
            self.auto_map.as_ref().and_then(|map| if map.is_array() { Some(map) } else { map.get("AutoTokenizer") });
        if let Some(code) = code {
            return Some(format!("`auto_map` names a tokenizer of its own, {code}, and no code of a model is run"));
        }
        let padding_side = self.padding_side.as_ref().filter(|_| family.pads());
        for (name, side) in [("truncation_side", self.truncation_side.as_ref()), ("padding_side", padding_side)] {
            if let Some(side) = side.filter(|side| !matches!(side.as_str(), "left" | "right")) {
                return Some(format!("`{name}` is `{side}` instead of `right` or `left`"));
            }
        }
        match family {
            TokenizerFamily::Bert => self.unsupported_of_bert(),
            TokenizerFamily::Roberta if self.class() == Some("XLMRobertaTokenizer") => {
                // Version 4 of transformers ignores it, and version 5 does not.
                self.add_prefix_space.filter(|adds| !adds).map(|_| "`add_prefix_space` is false".to_owned())
            }
            TokenizerFamily::Roberta | TokenizerFamily::Clip | TokenizerFamily::Siglip => None,
        }
    }

    fn unsupported_of_bert(&self) -> Option<String> {
        if self.do_basic_tokenize == Some(false) || self.clean_text == Some(false) {
            let name = if self.clean_text == Some(false) { "clean_text" } else { "do_basic_tokenize" };
            return Some(format!("`{name}` is false"));
        }
        if self.never_split.as_ref().is_some_and(|tokens| !tokens.is_empty()) {
            return Some("`never_split` names words, which only the Python tokenizer spares".into());
        }
        let prefix = self.wordpieces_prefix.as_deref().filter(|prefix| *prefix != "##");
        prefix.map(|prefix| format!("`wordpieces_prefix` is `{prefix}` instead of `##`"))
    }
}

//! How much of a text its tokens do not know.

use std::collections::HashMap;

use tokenizers::Decoder;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// Tokens of a text, special ones left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCount {
    /// All of them.
    pub n_tokens: usize,
    /// Those that are unknown, or hold less than a character: bytes of it.
    pub n_unknown: usize,
}

/// How the tokens of a model are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// In letters.
    Letters,
    /// In letters, with tokens such as `<0xE5>` for bytes of characters that are in no other token.
    ByteFallback,
    /// In letters that stand for one byte each.
    Bytes,
}

/// The meaning of an id, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Text,
    Unknown,
    Special,
}

/// The meaning of every id.
pub(super) struct Meanings(Vec<Meaning>);

impl Meanings {
    /// The meanings of a vocabulary; `special` are the ids that stand for no text.
    pub(super) fn of(
        vocabulary: &HashMap<String, u32>,
        spelling: Spelling,
        unknown: Option<u32>,
        special: &[u32],
    ) -> Self {
        let n_ids = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        let mut meanings = vec![Meaning::Text; n_ids];
        let mut set = |id: u32, meaning| {
            if let Some(place) = meanings.get_mut(id as usize) {
                *place = meaning;
            }
        };
        for id in vocabulary.iter().filter(|(token, _)| spelling.is_part_of_character(token)).map(|(_, id)| id) {
            set(*id, Meaning::Unknown);
        }
        special.iter().for_each(|id| set(*id, Meaning::Special));
        unknown.into_iter().for_each(|id| set(id, Meaning::Unknown));
        Self(meanings)
    }

    /// Counts the tokens of a text, and of them those that are unknown.
    pub(super) fn count(&self, ids: &[u32]) -> TokenCount {
        let mut count = TokenCount::default();
        for id in ids {
            match self.0.get(*id as usize) {
                Some(Meaning::Special) => continue,
                Some(Meaning::Unknown) => count.n_unknown += 1,
                Some(Meaning::Text) | None => (),
            }
            count.n_tokens += 1;
        }
        count
    }
}

impl Spelling {
    fn is_part_of_character(self, token: &str) -> bool {
        match self {
            Self::Letters => false,
            Self::ByteFallback => {
                let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).is_some_and(|byte| !byte.is_ascii())
            }
            Self::Bytes => {
                let letters = token.strip_suffix("</w>").unwrap_or(token);
                let text = ByteLevel::default().decode_chain(vec![letters.to_owned()]);
                text.is_ok_and(|parts| parts.concat().contains(char::REPLACEMENT_CHARACTER))
            }
        }
    }
}

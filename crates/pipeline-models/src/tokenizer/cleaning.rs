//! What is done to a text before it is split into tokens.

use std::borrow::Cow;

/// What is done to a text before it is split into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cleaning {
    /// Texts stay as they are.
    #[default]
    Off,
    /// As Chinese-CLIP's own evaluation: lower case, and straight double quotes for curly ones.
    ChineseClip,
}

impl Cleaning {
    /// The name that files and specs have for it; `None` where texts stay as they are.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::ChineseClip => Some("chinese-clip"),
        }
    }

    /// The text as the tokenizer is to see it.
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Off => Cow::Borrowed(text),
            Self::ChineseClip => Cow::Owned(text.to_lowercase().replace(['“', '”'], "\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curly_double_quotes_become_straight_and_single_ones_stay() {
        assert_eq!(Cleaning::ChineseClip.apply("“T恤”的‘XL’ ＡÉ"), "\"t恤\"的‘xl’ ａé");
        assert_eq!(Cleaning::Off.apply("“T恤”"), "“T恤”");
    }
}

//! What an absent setting means in the tokenizers of each family of models.

/// The families of models whose tokenizers have the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenizerFamily {
    /// WordPiece between `[CLS]` and `[SEP]`: BERT, Chinese-CLIP in either form, Taiyi.
    Bert,
    /// RoBERTa's bytes and XLM-R's pieces, between `<s>` and `</s>`; only a `tokenizer.json` is read.
    Roberta,
    /// CLIP's bytes between `<|startoftext|>` and `<|endoftext|>`.
    Clip,
    /// SigLIP's and SigLIP 2's pieces with an end and no beginning, padded to the longest text.
    Siglip,
}

/// A role of a special token in `tokenizer_config.json`, and the token that has it where the file is silent.
pub(super) type NamedRole = (&'static str, Option<&'static str>);

/// Classes that take a `tokenizer.json` as it is.
pub(super) const PLAIN_CLASSES: &[&str] = &["PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend"];

impl TokenizerFamily {
    /// The classes of transformers whose tokens are the family's, the usual one first.
    pub(super) fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Bert => &["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"],
            Self::Roberta => &["RobertaTokenizer", "XLMRobertaTokenizer"],
            Self::Clip => &["CLIPTokenizer"],
            Self::Siglip => &["SiglipTokenizer", "Siglip2Tokenizer", "GemmaTokenizer"],
        }
    }

    /// The tokens that have a role, in the order in which transformers adds them.
    pub(super) fn roles(self, class: Option<&str>) -> [NamedRole; 7] {
        let [bos, eos, unk, sep, pad, cls, mask] = match self {
            Self::Bert => [None, None, Some("[UNK]"), Some("[SEP]"), Some("[PAD]"), Some("[CLS]"), Some("[MASK]")],
            Self::Roberta => ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"].map(Some),
            Self::Clip => [Some("<|startoftext|>"), CLIP_END, CLIP_END, None, CLIP_END, None, None],
            Self::Siglip if is_gemma(class) => {
                [Some("<bos>"), Some("<eos>"), Some("<unk>"), None, Some("<pad>"), None, Some("<mask>")]
            }
            Self::Siglip => [None, Some("</s>"), Some("<unk>"), None, Some("</s>"), None, None],
        };
        [
            ("bos_token", bos),
            ("eos_token", eos),
            ("unk_token", unk),
            ("sep_token", sep),
            ("pad_token", pad),
            ("cls_token", cls),
            ("mask_token", mask),
        ]
    }

    /// The roles of the tokens before and after a text.
    pub(super) fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::Bert | Self::Roberta => ("cls_token", "sep_token"),
            Self::Clip | Self::Siglip => ("bos_token", "eos_token"),
        }
    }

    /// Whether every text is padded to the longest.
    pub(super) fn pads(self) -> bool {
        self == Self::Siglip
    }
}

const CLIP_END: Option<&str> = Some("<|endoftext|>");

/// Whether a class names Gemma's tokens, as SigLIP 2 has them.
fn is_gemma(class: Option<&str>) -> bool {
    matches!(class, Some("GemmaTokenizer" | "Siglip2Tokenizer"))
}

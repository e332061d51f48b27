//! The files of a text encoder, its words included.

use std::path::{Path, PathBuf};

use super::super::{ModelError, TextModelFiles, hub, read_config};
use super::forms::{Form, there};
use super::{Fault, ambiguous, known, unread};
use crate::encoder::EncoderSide;
use crate::families;

/// The text encoder at a place, found as `model`.
pub(super) fn files(place: &Path, model: &str) -> Result<TextModelFiles, Fault> {
    if place.is_file() {
        let form = Form::of_file(place).ok_or("a file, and none of cn_clip's checkpoints: a model is its folder")?;
        let folder = place.parent().unwrap_or(place);
        return if form.is_of_itself() { text_model(folder, form) } else { files(folder, model) };
    }
    let root = hub::model_folder(place)?;
    let modules = there(&root, "modules.json");
    // Older folders of sentence-transformers keep the model itself one level deeper.
    let below = Some(root.join("0_Transformer")).filter(|below| modules.is_some() && below.is_dir());
    let folder = below.filter(|_| there(&root, "config.json").is_none()).unwrap_or_else(|| root.clone());
    unread::no_adapter(&folder)?;
    let several = |paths| Fault::Wrong(ambiguous(model, &hub::TEXT, paths));
    let form = Form::in_folder(&folder, EncoderSide::Text, &several)
        .and_then(|form| form.ok_or_else(|| without_text_weights(&folder)))
        .or_else(|fault| known(&folder, families::check_text).and(Err(fault)))?;
    let files = text_model(&folder, form)?;
    Ok(TextModelFiles {
        sentence_config: modules.as_ref().and_then(|_| there(&folder, "sentence_bert_config.json")),
        prompts: modules.as_ref().and_then(|_| there(&root, "config_sentence_transformers.json")),
        modules,
        ..files
    })
}

/// The text encoder of a form, with the files beside it.
fn text_model(folder: &Path, form: Form) -> Result<TextModelFiles, Fault> {
    let words =
        words(folder, form.is_of_itself()).or_else(|fault| known(folder, families::check_text).and(Err(fault)))?;
    let tokenizer_config = there(folder, "tokenizer_config.json");
    // transformers reads these two only where the newer file says nothing of added tokens.
    let is_newer = tokenizer_config.as_deref().is_some_and(says_added_tokens);
    let older = |name: &str| there(folder, name).filter(|_| !is_newer);
    Ok(TextModelFiles {
        folder: folder.to_owned(),
        config: form.config,
        open_clip: form.open_clip,
        vocab: words.vocab,
        merges: words.merges,
        tokenizer: words.tokenizer,
        added_tokens: older("added_tokens.json"),
        special_tokens_map: older("special_tokens_map.json"),
        tokenizer_config,
        modules: None,
        sentence_config: None,
        prompts: None,
        weights: form.weights,
    })
}

/// The part of a text encoder that a folder without its weights lacks first.
fn without_text_weights(folder: &Path) -> Fault {
    let is_there = |name| there(folder, name).is_some();
    let names = match (is_there("config.json"), is_there(hub::OPEN_CLIP_CONFIG)) {
        (true, _) => hub::WEIGHT_FILES,
        (false, true) => hub::OPEN_CLIP_FILES,
        (false, false) => return format!("no `config.json`{}", unread::instead(folder)).into(),
    };
    words(folder, false).err().unwrap_or_else(|| without(&names, folder))
}

fn without(names: &[&str], folder: &Path) -> Fault {
    Fault::Lacks(format!("no `{}`{}", names.join("` or `"), unread::instead(folder)))
}

/// The files that hold the words of a tokenizer.
struct Words {
    vocab: PathBuf,
    merges: Option<PathBuf>,
    tokenizer: Option<PathBuf>,
}

/// Words that only a library for them reads, which transformers turns into a `tokenizer.json`.
const PIECES: [&str; 3] = ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model"];

fn words(folder: &Path, is_own: bool) -> Result<Words, Fault> {
    let there = |name: &str| there(folder, name);
    let (merges, tokenizer) = (there("merges.txt"), there("tokenizer.json"));
    let vocab_json = there("vocab.json").filter(|_| merges.is_some());
    match (there("vocab.txt"), tokenizer, vocab_json) {
        (Some(vocab), tokenizer, _) => Ok(Words { vocab, merges: None, tokenizer }),
        (None, Some(vocab), _) => Ok(Words { vocab, merges: None, tokenizer: None }),
        (None, None, Some(vocab)) => Ok(Words { vocab, merges, tokenizer: None }),
        (None, None, None) => Err(without_words(folder, is_own)),
    }
}

fn without_words(folder: &Path, is_own: bool) -> Fault {
    if PIECES.iter().any(|name| there(folder, name).is_some()) {
        let what = "there is no `tokenizer.json`; AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one";
        return Fault::Wrong(ModelError::Unsupported { path: folder.to_owned(), what: what.into() });
    }
    match (is_own, there(folder, hub::OPEN_CLIP_CONFIG)) {
        (true, _) => "no `vocab.txt` beside its checkpoint: all models of cn_clip share that in its folder `clip`",
        (false, Some(_)) => {
            "no `tokenizer.json`, nor `vocab.json` with `merges.txt`: CLIP's words are not built in, and models of \
             OpenCLIP mostly have those of openai/clip-vit-base-patch32"
        }
        (false, None) => "no `vocab.txt` or `tokenizer.json`, nor `vocab.json` with `merges.txt`",
    }
    .into()
}

fn says_added_tokens(tokenizer_config: &Path) -> bool {
    read_config(tokenizer_config).is_ok_and(|config| config.contains_key("added_tokens_decoder"))
}

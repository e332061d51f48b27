//! BERT, RoBERTa and XLM-R as families of encoders, in folders of transformers and of sentence-transformers.

use super::reader;
use super::sentence::{ModeNotComputed, SentenceSettings};
use crate::families::Opened;
use crate::families::pooling::Pooling;
use crate::families::text::{TextModel, TextOptions, max_length};
use crate::tokenizer::{TokenizerFamily, TokenizerSettings};
use crate::weights::{ModelError, TextModelFiles, read_config};

/// The limit of tokens where nothing else is asked for: the baseline notebook's.
const DEFAULT_MAX_LENGTH: usize = 128;

/// A BERT, or Taiyi's text tower.
pub(in crate::families) fn open(files: &TextModelFiles, options: &TextOptions) -> Opened {
    Ok(Box::new(model(files, options, TokenizerFamily::Bert)?))
}

/// A RoBERTa or XLM-R.
pub(in crate::families) fn open_roberta(files: &TextModelFiles, options: &TextOptions) -> Opened {
    Ok(Box::new(model(files, options, TokenizerFamily::Roberta)?))
}

/// Reads the small files of a model.
///
/// # Errors
/// When a file cannot be read, contradicts another, or asks for what is not computed here.
pub(super) fn model(
    files: &TextModelFiles,
    options: &TextOptions,
    family: TokenizerFamily,
) -> Result<TextModel, ModelError> {
    let path = files.required_config()?;
    let config = read_config(path)?;
    let tokenizer = TokenizerSettings::read(family, files)?;
    let sentence = SentenceSettings::read(files)?;
    if sentence.lower_case && !tokenizer.lower_cases() && options.lower_case.is_none() {
        let path = files.sentence_config.clone().unwrap_or_else(|| files.folder.clone());
        let what = "`do_lower_case` is true, but its tokenizer keeps the case; say `lower_case: true` or `false`";
        return Err(ModelError::Unsupported { path, what: what.into() });
    }
    let pooling = match (options.pooling, sentence.pooling) {
        (Some(pooling), _) | (None, Some(Ok(pooling))) => pooling,
        (None, None) => Pooling::default(),
        (None, Some(Err(ModeNotComputed(mode)))) => {
            let path = sentence.pooling_file.unwrap_or_else(|| files.folder.clone());
            let what = format!("its pooling is `{mode}`; `pooling: cls` or `mean` would override it");
            return Err(ModelError::Unsupported { path, what });
        }
    };
    let reader = match family {
        TokenizerFamily::Roberta => reader::roberta(&config, path, Some(pooling))?,
        _ => reader::bert(&config, path, Some(pooling))?,
    };
    let default = match sentence.is_there {
        // sentence-transformers takes all that the model can; its own limit replaces the tokenizer's.
        true => match sentence.max_length {
            Some(max_length) => max_length.min(reader.max_length),
            None => tokenizer.max_length(reader.max_length),
        },
        false => DEFAULT_MAX_LENGTH,
    };
    let is_taiyi = reader::has_classifier(&config) && options.pooling.is_none();
    let remark = "it is a BERT with a classifier: if it is the text tower of Taiyi-CLIP, the features of its shared \
                  space are those of `pooling: projected`";
    Ok(TextModel {
        max_length: max_length(options, &reader, default)?,
        files: files.clone(),
        options: options.clone(),
        reader,
        tokenizer: family,
        // sentence-transformers divides the vector of a text, and none of a token.
        normalizes: sentence.normalize && pooling != Pooling::Tokens,
        pooling_file: sentence.pooling_file,
        remark: is_taiyi.then(|| remark.to_owned()),
    })
}

/// Loads a BERT on the processor.
#[cfg(test)]
pub(in crate::families) fn encoder(
    files: &TextModelFiles,
    options: &TextOptions,
) -> Result<crate::families::text::TextEncoder, ModelError> {
    model(files, options, TokenizerFamily::Bert)?.encoder(crate::Device::Cpu, crate::Precision::F32)
}

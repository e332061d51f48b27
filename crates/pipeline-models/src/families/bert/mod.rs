//! Text encoders of the BERT family: texts to feature vectors.

pub(crate) mod config;
mod cpu;
mod family;
mod sentence;
mod tokenizer;
pub(crate) mod weights;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::device::{Device, probe};
use crate::forward::{TextForward, processor};
use crate::gpu;
pub use crate::weights::{
    ModelError, ModelSearch, TextModelFiles, WeightsNote, find_text_model, text_family_of_name, text_model_places,
    text_models_near,
};
use pipeline_kernels::{InstructionSet, Matrix};

pub(super) use family::{open, recognises};

use config::BertConfig;
use cpu::CpuBert;
use sentence::{ModeNotComputed, SentenceSettings};
use tokenizer::{BertTokenizer, TokenizerOptions, TokenizerSettings};
use weights::{BertParts, BertWeights};

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The vector of the first token, `[CLS]`, without BERT's pooler.
    #[default]
    Cls,
    /// The mean over all tokens, `[CLS]` and `[SEP]` included.
    Mean,
}

impl Pooling {
    /// The name that files and specs have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
        }
    }
}

/// How texts are encoded. What is left open is as the model's folder says, else as in the baseline notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// Longer texts are cut to so many tokens, `[CLS]` and `[SEP]` included; none is what sentence-transformers would
    /// take, else 128.
    pub max_length: Option<usize>,
    /// How the vectors of the tokens become one; none is what sentence-transformers would take, else `[CLS]`.
    pub pooling: Option<Pooling>,
    /// Whether texts are lower-cased; none leaves it to the model's tokenizer.
    pub lower_case: Option<bool>,
    /// Texts that are computed together: changes speed and memory, and no bit of a feature.
    pub batch_rows: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { max_length: None, pooling: None, lower_case: None, batch_rows: 32 }
    }
}

/// What a model's small files and the options come to: everything but words and weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSettings {
    /// Tokens per text at most.
    pub max_length: usize,
    /// How the vectors of the tokens become one.
    pub pooling: Pooling,
    /// Whether vectors are divided by their lengths, as the folder's module `Normalize` says.
    pub normalize: bool,
    /// The length of a feature vector.
    pub dim: usize,
    /// The file that says how the folder's own pooling is, which is one of the model's.
    pub pooling_file: Option<std::path::PathBuf>,
}

impl TextSettings {
    /// Reads the model's small files: no words and no weights.
    ///
    /// # Errors
    /// When a file cannot be read, or the model is of another family or asks for what is not computed here.
    pub fn read(files: &TextModelFiles, options: &TextOptions) -> Result<Self, ModelError> {
        let config = BertConfig::read(&files.config)?;
        let tokenizer = TokenizerSettings::read(files)?;
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
        let max_positions = config.max_position_embeddings;
        let of_folder = match sentence.is_there {
            // sentence-transformers takes all that the model can.
            true => sentence.max_length.unwrap_or(usize::MAX).min(tokenizer.max_length(max_positions)),
            false => DEFAULT_MAX_LENGTH.min(max_positions),
        };
        let max_length = options.max_length.unwrap_or(of_folder);
        if !(2..=max_positions).contains(&max_length) {
            return Err(ModelError::MaxLength { max_length, max_positions });
        }
        Ok(Self {
            max_length,
            pooling,
            normalize: sentence.normalize,
            dim: config.hidden_size,
            pooling_file: sentence.pooling_file,
        })
    }
}

/// 128 tokens, the baseline notebook's.
const DEFAULT_MAX_LENGTH: usize = 128;

/// A text encoder with its tokenizer.
pub struct TextEncoder {
    tokenizer: BertTokenizer,
    settings: TextSettings,
    batch_rows: usize,
    forward: Box<dyn TextForward>,
    /// Spent on making tokens, in nanoseconds.
    tokenized_ns: AtomicU64,
}

impl TextEncoder {
    /// Loads an encoder.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or does not fit the others.
    pub fn load(files: &TextModelFiles, options: &TextOptions, device: Device) -> Result<Self, ModelError> {
        probe(device)?;
        let settings = TextSettings::read(files, options)?;
        let config = BertConfig::read(&files.config)?;
        let tokenizer_options = TokenizerOptions {
            lower_case: options.lower_case,
            max_length: settings.max_length,
            n_known: config.vocab_size,
        };
        let tokenizer = BertTokenizer::load(files, &tokenizer_options)?;
        let parts = BertParts { weights: BertWeights::read(files, &config)?, config, pooling: settings.pooling };
        let forward = match device {
            Device::Cpu => {
                let bert = CpuBert::new(parts, InstructionSet::best());
                processor::texts(move |texts| bert.forward(texts))
            }
            Device::Cuda => gpu::load(parts)?,
        };
        let batch_rows = options.batch_rows.max(1);
        Ok(Self { tokenizer, settings, batch_rows, forward, tokenized_ns: AtomicU64::new(0) })
    }

    /// The length of a feature vector.
    pub fn dim(&self) -> usize {
        self.settings.dim
    }

    /// How the vectors of the tokens become one.
    pub fn pooling(&self) -> Pooling {
        self.settings.pooling
    }

    /// Whether vectors are divided by their lengths.
    pub fn normalizes(&self) -> bool {
        self.settings.normalize
    }

    /// The ids of a text's tokens, `[CLS]` and `[SEP]` included.
    ///
    /// # Errors
    /// When the tokenizer cannot express the text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.tokenizer.ids(text).map_err(|source| ModelError::Tokenize { text_idx: 0, source })
    }

    /// The features of texts, on `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// returns `[n_texts, dim]`
    ///
    /// # Errors
    /// When a text cannot be split into tokens or a feature is not finite.
    pub fn encode(&self, texts: &[&str], n_threads: usize) -> Result<Matrix, ModelError> {
        let start = Instant::now();
        let ids = self.tokenize_all(texts)?;
        self.tokenized_ns.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        let features = self.forward.forward(&ids, self.batch_rows, n_threads);
        let dim = self.settings.dim;
        let mut matrix = Matrix::new(texts.len(), dim, features);
        if self.settings.normalize {
            matrix.values.chunks_exact_mut(dim).for_each(normalize);
        }
        matrix.first_row_not_finite().map_or(Ok(matrix), |row_idx| Err(ModelError::NotFinite { row_idx }))
    }

    /// The seconds that all calls of [`TextEncoder::encode`] together have spent on making tokens.
    pub fn tokenize_seconds(&self) -> f64 {
        self.tokenized_ns.load(Ordering::Relaxed) as f64 / 1e9
    }

    fn tokenize_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, ModelError> {
        let ids = |(text_idx, text): (usize, &&str)| {
            self.tokenizer.ids(text).map_err(|source| ModelError::Tokenize { text_idx, source })
        };
        texts.iter().enumerate().map(ids).collect()
    }
}

/// Divides a vector by its length, as PyTorch's `normalize` does: by 1e-12 at least.
fn normalize(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let length = squares.sqrt().max(1e-12) as f32;
    vector.iter_mut().for_each(|value| *value /= length);
}

/// The length of a model's feature vectors, from its configuration alone.
///
/// # Errors
/// When the configuration cannot be read or is not supported.
pub fn text_dim(files: &TextModelFiles) -> Result<usize, ModelError> {
    Ok(BertConfig::read(&files.config)?.hidden_size)
}

/// The remark on the place of a model's weights in their files, such as a dict among others; reads no numbers.
///
/// # Errors
/// When a file is not a checkpoint, or does not hold one model.
pub fn text_weights_note(files: &TextModelFiles) -> Result<WeightsNote, ModelError> {
    weights::note(files)
}

#[cfg(test)]
pub(crate) mod tests;

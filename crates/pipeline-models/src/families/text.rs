//! Text encoders of any family: a tokenizer, a tower, and what the small files say of both.

use std::borrow::Cow;
use std::path::PathBuf;

use pipeline_kernels::{InstructionSet, Matrix, TokenMatrix, TokenNumbers, map_batches};

use super::pooling::Pooling;
use super::reader::TextReader;
use crate::device::{Device, Precision, probe};
use crate::encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide, TokenLayout, weights_roles};
use crate::forward::{TextForward, TextVectors, processor};
use crate::gpu;
use crate::tokenizer::{Cleaning, TextTokenizer, TokenCount, TokenizerFamily, TokenizerOptions};
use crate::tower::cpu::CpuTextTower;
use crate::tower::{TextPool, Top};
use crate::weights::{ModelError, TextModelFiles, WeightsNote};

/// The options of encoding texts. An absent one is the model's own, else the baseline notebook's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// Longer texts are cut to so many tokens, special ones included; absent, it is sentence-transformers' limit, else
    /// the smaller of 128 and the model's.
    pub max_length: Option<usize>,
    /// The way from the tokens' vectors to the text's; absent, it is sentence-transformers', else the family's own.
    pub pooling: Option<Pooling>,
    /// Whether texts are lower-cased; absent, the model's tokenizer decides.
    pub lower_case: Option<bool>,
    /// The change of a text before it is split into tokens.
    pub cleaning: Cleaning,
    /// The last layers that are left out: the vectors of tokens that enter them are given. Needs [`Pooling::Tokens`].
    pub n_left_out: usize,
    /// The texts that are computed together: changes speed and memory, and no bit of a feature.
    pub batch_rows: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            pooling: None,
            lower_case: None,
            cleaning: Cleaning::Off,
            n_left_out: 0,
            batch_rows: 32,
        }
    }
}

/// Texts that a thread splits into tokens before it takes others; fewer are not worth a thread.
const TEXTS_PER_THREAD: usize = 256;

/// The limit where nothing else is asked for: the baseline notebook's.
const DEFAULT_MAX_LENGTH: usize = 128;

/// A text model whose small files have been read.
pub(super) struct TextModel {
    pub(super) files: TextModelFiles,
    pub(super) options: TextOptions,
    pub(super) reader: TextReader,
    pub(super) tokenizer: TokenizerFamily,
    /// Tokens of a text at most, special ones included.
    pub(super) max_length: usize,
    /// Whether vectors are divided by their lengths, as the folder's module `Normalize` says.
    pub(super) normalizes: bool,
    /// The file that names the folder's own pooling, where that is the model's.
    pub(super) pooling_file: Option<PathBuf>,
    /// A remark on what may have been meant otherwise.
    pub(super) remark: Option<String>,
}

impl TextModel {
    /// A model whose folder says nothing of sentences.
    ///
    /// # Errors
    /// When a text cannot have as many tokens as the options say.
    pub(super) fn new(
        files: &TextModelFiles,
        options: &TextOptions,
        reader: TextReader,
        tokenizer: TokenizerFamily,
    ) -> Result<Self, ModelError> {
        let max_length = max_length(options, &reader, DEFAULT_MAX_LENGTH)?;
        Ok(Self {
            files: files.clone(),
            options: options.clone(),
            reader,
            tokenizer,
            max_length,
            normalizes: false,
            pooling_file: None,
            remark: None,
        })
    }

    /// Loads the tokenizer and the weights.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or does not fit the others.
    pub(super) fn encoder(&self, device: Device, precision: Precision) -> Result<TextEncoder, ModelError> {
        probe(device)?;
        let tokenizer = self.load_tokenizer()?;
        let mut tower = self.reader.tower(&self.files.weights)?;
        self.check_end(&tokenizer, tower.pool)?;
        if self.options.n_left_out > 0 {
            tower = tower.trunk(self.options.n_left_out)?;
        }
        let gives = TextVectors::of(tower.pool);
        let forward = match device {
            Device::Cpu => {
                let tower = CpuTextTower::new(tower, InstructionSet::best());
                processor::texts(gives, move |texts| tower.forward(texts))
            }
            Device::Gpu(gpu) => gpu::load(gpu, tower, precision)?,
        };
        Ok(TextEncoder {
            tokenizer,
            dim: self.reader.dim,
            normalizes: self.normalizes,
            batch_rows: self.options.batch_rows.max(1),
            forward,
        })
    }

    /// Refuses tokens that never end a text by the one whose vector is the text's.
    fn check_end(&self, tokenizer: &TextTokenizer, pool: TextPool) -> Result<(), ModelError> {
        let TextPool::FirstOf(end) = pool else { return Ok(()) };
        let ids = tokenizer.ids("").map_err(|source| ModelError::Tokenize { text_idx: 0, source })?;
        if ids.contains(&end) {
            return Ok(());
        }
        let path = self.files.config.clone().unwrap_or_else(|| self.files.folder.clone());
        let what = format!("its text ends by token {end} (`eos_token_id`), which its tokenizer puts after no text");
        Err(ModelError::Unsupported { path, what })
    }

    fn load_tokenizer(&self) -> Result<TextTokenizer, ModelError> {
        let options = TokenizerOptions {
            lower_case: self.options.lower_case,
            cleaning: self.options.cleaning,
            max_length: self.max_length,
            n_known: self.reader.n_words,
        };
        TextTokenizer::load(self.tokenizer, &self.files, &options)
    }
}

/// The limit of the options, else the smaller of `default` and the model's.
///
/// # Errors
/// When the model cannot take so many tokens, or always takes another number.
pub(super) fn max_length(options: &TextOptions, reader: &TextReader, default: usize) -> Result<usize, ModelError> {
    let max_positions = reader.max_length;
    if let Some(padding) = reader.padding {
        return match options.max_length {
            Some(max_length) if max_length != padding => Err(ModelError::FixedLength { max_length, padding }),
            _ => Ok(padding),
        };
    }
    let max_length = options.max_length.unwrap_or(default.min(max_positions));
    match (2..=max_positions).contains(&max_length) {
        true => Ok(max_length),
        false => Err(ModelError::MaxLength { max_length, max_positions }),
    }
}

impl EncoderModel for TextModel {
    fn side(&self) -> EncoderSide {
        EncoderSide::Text
    }

    fn dim(&self) -> Result<usize, ModelError> {
        Ok(self.reader.dim)
    }

    fn pooling(&self) -> &'static str {
        self.reader.pooling.name()
    }

    fn max_length(&self) -> Option<usize> {
        Some(self.max_length)
    }

    fn tokens(&self) -> Option<TokenLayout> {
        let layout = TokenLayout { has_class: self.reader.has_class, n_before_mean: 0 };
        (self.reader.pooling == Pooling::Tokens).then_some(layout)
    }

    fn most_tokens(&self, _size: [u32; 2]) -> usize {
        self.max_length
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        let lower_case = self.options.lower_case.map(|lower_case| ("lower_case", lower_case.to_string()));
        let cleaning = self.options.cleaning.name().map(|name| ("clean", name.to_owned()));
        let n_left_out = self.options.n_left_out;
        let layers = (n_left_out > 0).then(|| ("layers", format!("-{n_left_out}")));
        lower_case.into_iter().chain(cleaning).chain(layers).collect()
    }

    fn is_normalized(&self) -> bool {
        self.normalizes
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let small = self.files.settings().into_iter().map(|(role, path)| (role.to_owned(), path.to_owned()));
        let pooling = self.pooling_file.clone().map(|path| ("pooling".to_owned(), path));
        small.chain(pooling).chain(weights_roles(&self.files.weights)).collect()
    }

    fn weights_note(&self) -> Result<WeightsNote, ModelError> {
        self.reader.note(&self.files.weights)
    }

    fn remark(&self) -> Option<String> {
        self.remark.clone()
    }

    fn check(&self) -> Result<(), ModelError> {
        let tower = self.reader.survey(&self.files.weights)?;
        self.check_end(&self.load_tokenizer()?, tower.pool)?;
        tower.trunk(self.options.n_left_out)?;
        Ok(())
    }

    fn check_top(&self, n_layers: usize) -> Result<(), ModelError> {
        Top::of(self.reader.survey(&self.files.weights)?, n_layers)?;
        Ok(())
    }

    fn top(&self, n_layers: usize) -> Result<Top, ModelError> {
        Ok(Top::of(self.reader.tower(&self.files.weights)?, n_layers)?)
    }

    fn load(&self, device: Device, precision: Precision) -> Result<Box<dyn Encoder>, ModelError> {
        Ok(Box::new(self.encoder(device, precision)?))
    }
}

/// A text encoder with its tokenizer.
pub struct TextEncoder {
    pub(super) tokenizer: TextTokenizer,
    pub(super) dim: usize,
    pub(super) normalizes: bool,
    pub(super) batch_rows: usize,
    pub(super) forward: Box<dyn TextForward>,
}

impl TextEncoder {
    /// The ids of a text's tokens, special ones included.
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
    /// When the tokenizer cannot express a text, the device fails or a feature is not finite.
    pub fn encode(&self, texts: &[&str], n_threads: usize) -> Result<Matrix, ModelError> {
        self.features(&self.tokenize_all(texts, n_threads)?, n_threads)
    }

    fn features(&self, ids: &[Vec<u32>], n_threads: usize) -> Result<Matrix, ModelError> {
        let features = self.forward.forward(ids, self.batch_rows, n_threads)?;
        let mut matrix = Matrix::new(ids.len(), self.dim, features);
        if self.normalizes {
            matrix.values.chunks_exact_mut(self.dim).for_each(normalize);
        }
        matrix.first_row_not_finite().map_or(Ok(matrix), |row_idx| Err(ModelError::NotFinite { row_idx }))
    }

    /// The ids of the tokens of rows, split into them where that is not done yet.
    fn ids<'a>(&self, rows: EncoderRows<'a>, n_threads: usize) -> Result<Cow<'a, [Vec<u32>]>, ModelError> {
        match rows {
            EncoderRows::Texts(texts) => self.tokenize_all(texts, n_threads).map(Cow::Owned),
            EncoderRows::Tokens(ids) => Ok(Cow::Borrowed(ids)),
            EncoderRows::Images { .. } => panic!("BUG: a text encoder encodes texts"),
        }
    }

    fn tokenize_all(&self, texts: &[&str], n_threads: usize) -> Result<Vec<Vec<u32>>, ModelError> {
        let ids = |text_idx: usize| {
            let ids = self.tokenizer.ids(texts[text_idx]);
            ids.map_err(|source| ModelError::Tokenize { text_idx, source })
        };
        let n_batches = texts.len().div_ceil(TEXTS_PER_THREAD);
        if n_batches < 2 || n_threads < 2 {
            return (0..texts.len()).map(ids).collect();
        }
        let of_batch = |batch_idx: usize| -> Result<Vec<Vec<u32>>, ModelError> {
            let start = batch_idx * TEXTS_PER_THREAD;
            (start..(start + TEXTS_PER_THREAD).min(texts.len())).map(ids).collect()
        };
        let batches = map_batches(n_batches, n_threads, of_batch);
        Ok(batches.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

/// Refuses token vectors that are not finite.
pub(super) fn finite(tokens: TokenMatrix) -> Result<TokenMatrix, ModelError> {
    tokens.first_row_not_finite().map_or(Ok(tokens), |row_idx| Err(ModelError::NotFinite { row_idx }))
}

/// Divides a vector by its length, as PyTorch's `normalize` does: by 1e-12 at least.
fn normalize(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let length = squares.sqrt().max(1e-12) as f32;
    vector.iter_mut().for_each(|value| *value /= length);
}

impl Encoder for TextEncoder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn encode(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<Matrix, ModelError> {
        self.features(&self.ids(rows, n_threads)?, n_threads)
    }

    /// Padding counts where the model attends to it.
    fn encode_tokens(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<TokenMatrix, ModelError> {
        let ids = self.ids(rows, n_threads)?;
        let numbers = TokenNumbers::Single(self.forward.forward(&ids, self.batch_rows, n_threads)?);
        finite(TokenMatrix::new(self.dim, ids.iter().map(Vec::len), numbers))
    }

    fn tokenize(&self, texts: &[&str], n_threads: usize) -> Result<Vec<Vec<u32>>, ModelError> {
        self.tokenize_all(texts, n_threads)
    }

    fn count_tokens(&self, ids: &[u32]) -> TokenCount {
        self.tokenizer.count(ids)
    }
}

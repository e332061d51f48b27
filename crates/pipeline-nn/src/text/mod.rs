//! Text encoders of the BERT family: texts to feature vectors.

mod batches;
mod config;
mod cpu;
#[cfg(any(feature = "cuda", test))]
mod model;
mod tokenizer;
mod weights;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::device::{Device, InstructionSet, map_batches, probe};
use crate::matrix::Matrix;
pub use crate::weights::{ModelError, ModelSearch, TextModelFiles, find_text_model, text_model_places};

use config::BertConfig;
use cpu::CpuBert;
#[cfg(feature = "cuda")]
use model::Bert;
use tokenizer::BertTokenizer;
use weights::BertWeights;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The vector of the first token, `[CLS]`, without BERT's pooler.
    #[default]
    Cls,
    /// The mean over all tokens, `[CLS]` and `[SEP]` included.
    Mean,
}

/// How texts are encoded. The defaults are those of the baseline notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextOptions {
    /// Longer texts are cut to so many tokens, `[CLS]` and `[SEP]` included.
    pub max_length: usize,
    /// How the vectors of the tokens become one.
    pub pooling: Pooling,
    /// Whether texts are lower-cased; none leaves it to the model's `tokenizer_config.json`.
    pub lower_case: Option<bool>,
    /// Texts that are computed together: changes speed and memory, and no bit of a feature.
    pub batch_rows: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { max_length: 128, pooling: Pooling::Cls, lower_case: None, batch_rows: 32 }
    }
}

/// A text encoder with its tokenizer.
pub struct TextEncoder {
    tokenizer: BertTokenizer,
    dim: usize,
    batch_rows: usize,
    model: Model,
    /// Spent on making tokens, in nanoseconds.
    tokenized_ns: AtomicU64,
}

enum Model {
    Cpu(Box<CpuBert>),
    #[cfg(feature = "cuda")]
    Cuda(Box<Bert<burn_cuda::Cuda>>),
}

impl TextEncoder {
    /// Loads an encoder.
    ///
    /// # Errors
    /// When the device cannot be used, or a file cannot be read, is not supported or does not fit the others.
    pub fn load(files: &TextModelFiles, options: &TextOptions, device: Device) -> Result<Self, ModelError> {
        probe(device)?;
        let config = BertConfig::read(&files.config)?;
        let (max_length, max_positions) = (options.max_length, config.max_position_embeddings);
        if !(2..=max_positions).contains(&max_length) {
            return Err(ModelError::MaxLength { max_length, max_positions });
        }
        let tokenizer = BertTokenizer::load(files, options.lower_case, max_length)?;
        if tokenizer.max_id() as usize >= config.vocab_size {
            let (max_id, n_known) = (tokenizer.max_id(), config.vocab_size);
            let problem = format!("has a token of id {max_id}, and the model knows only {n_known} tokens");
            return Err(ModelError::Malformed { path: files.vocab.clone(), problem });
        }
        let weights = BertWeights::read(files, &config)?;
        let model = match device {
            Device::Cpu => {
                Model::Cpu(Box::new(CpuBert::new(weights, &config, options.pooling, InstructionSet::best())))
            }
            #[cfg(feature = "cuda")]
            Device::Cuda => Model::Cuda(Box::new(Bert::new(weights, &config, options.pooling, Default::default()))),
            #[cfg(not(feature = "cuda"))]
            Device::Cuda => return Err(crate::device::DeviceError::NotBuilt.into()),
        };
        Ok(Self {
            tokenizer,
            dim: config.hidden_size,
            batch_rows: options.batch_rows.max(1),
            model,
            tokenized_ns: AtomicU64::new(0),
        })
    }

    /// The length of a feature vector.
    pub fn dim(&self) -> usize {
        self.dim
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
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let (batches, features) = match &self.model {
            Model::Cpu(model) => {
                let batches = batches::of_any_length(&lengths, self.batch_rows, n_threads);
                let forward = |batch_idx: usize| {
                    let texts: Vec<&[u32]> = batches[batch_idx].iter().map(|idx| ids[*idx].as_slice()).collect();
                    model.forward(&texts)
                };
                let features = map_batches(batches.len(), n_threads, forward);
                (batches, features)
            }
            #[cfg(feature = "cuda")]
            Model::Cuda(model) => {
                let batches = batches::of_one_length(&lengths, self.batch_rows);
                let forward = |text_idxs: &Vec<usize>| {
                    let ids_of_all = text_idxs.iter().flat_map(|idx| &ids[*idx]).copied().collect();
                    model.forward(ids_of_all, lengths[text_idxs[0]])
                };
                let features = batches.iter().map(forward).collect();
                (batches, features)
            }
        };
        let mut matrix = Matrix::zeros(texts.len(), self.dim);
        for (text_idxs, features) in batches.iter().zip(&features) {
            for (&text_idx, row) in text_idxs.iter().zip(features.chunks_exact(self.dim)) {
                matrix.values[text_idx * self.dim..][..self.dim].copy_from_slice(row);
            }
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

/// The length of a model's feature vectors, from its configuration alone.
///
/// # Errors
/// When the configuration cannot be read or is not supported.
pub fn text_dim(files: &TextModelFiles) -> Result<usize, ModelError> {
    Ok(BertConfig::read(&files.config)?.hidden_size)
}

#[cfg(test)]
mod tests;

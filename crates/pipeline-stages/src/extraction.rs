//! Runs an encoder stage: vectors shard by shard, the encoder loaded on first use, equal rows encoded once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pipeline_core::{
    Computation, Device, Digest, OpenRows, Reject, Shard, ShardOutput, ShardReport, StageContext, StageError,
    StageReport, TokenCount, Work,
};
use pipeline_data::{TokenShard, VectorShard};
use pipeline_kernels::{Matrix, TokenMatrix, TokenNumbers};
use pipeline_models::checkpoint::FeatureSpace;
use pipeline_models::text::{ModelError, WeightsNote};
use pipeline_models::{Encoder, EncoderModel, EncoderRows, EncoderSide};

use crate::artifact::{self, FeaturesInfo};
use crate::distinct_rows::{DistinctRow, distinct_rows};
use crate::encoders::Encoders;
use crate::model;
use crate::recent_vectors::RecentVectors;
use crate::seconds::Seconds;
use crate::tokens::PrecisionParam;

/// The bytes of vectors that are kept for equal rows of later shards: 4,000 of ResNet-50, 10,000 of BERT.
const RECENT_BYTES: usize = 32 << 20;
/// The most shards that are worked on at once on a GPU, each in memory with all its rows. While it computes one, others
/// are read, split into tokens or written.
const MAX_SIDE_BY_SIDE: usize = 3;

/// The rows of one shard.
pub(crate) struct Rows<'a> {
    /// The id of each row.
    pub(crate) ids: Vec<Option<String>>,
    /// For each row, the digest of everything that its vector depends on beside the encoder.
    pub(crate) contents: Vec<Digest>,
    /// The indices of all rows in the order of computation.
    pub(crate) order: Vec<usize>,
    /// Gives the rows at these indices to an encoder.
    pub(crate) give: Box<Give<'a>>,
    /// The facts of the shard's report.
    pub(crate) facts: BTreeMap<String, String>,
    /// The rows of the units that could not be used, and are none of these.
    pub(crate) rejects: Vec<Reject>,
}

/// Gives the rows at these indices to a function.
pub(crate) type Give<'a> = dyn Fn(&[usize], &mut dyn FnMut(EncoderRows<'_>)) + Send + 'a;

/// The rows of an encoder stage, wherever they come from.
pub(crate) trait ReadRows<'a>: Sync {
    /// Reads the rows of some units, for this model.
    ///
    /// # Errors
    /// When they cannot be read, or the model does not take them.
    fn read(&self, units: Range<usize>, model: &dyn EncoderModel) -> Result<Rows<'a>, StageError>;

    /// The properties of the rows of all shards that change every vector, beside those of the model.
    ///
    /// # Errors
    /// When they cannot be read.
    fn properties(&self, shards: &[Shard], model: &dyn EncoderModel)
    -> Result<Vec<(&'static str, String)>, StageError>;

    /// Lists the rows of all shards that could not be used in `scratch`, and returns their number.
    ///
    /// # Errors
    /// When none could be used, or the list cannot be written.
    fn report_rejects(&self, shards: &[Shard], scratch: &Path) -> Result<u64, StageError> {
        let _ = (shards, scratch);
        Ok(0)
    }
}

/// The rows of an encoder stage.
pub(crate) struct Extraction<'a> {
    context: &'a StageContext<'a>,
    input: ToEncode<'a>,
    /// The digest of the encoder's files.
    model: Digest,
    seconds: Seconds,
    /// Kept from shard to shard.
    encoders: Encoders,
    /// Vectors of earlier shards.
    recent: Mutex<RecentVectors>,
    /// The number of encoded rows.
    n_encoded: AtomicU64,
    /// The number of rows that reused the vector of an equal row.
    n_equal: AtomicU64,
}

/// The input of an encoder stage.
pub(crate) struct ToEncode<'a> {
    pub(crate) model: Box<dyn EncoderModel>,
    /// The error for a model that cannot be loaded.
    pub(crate) not_loaded: &'static str,
    /// The number of rows per batch; cancellation is checked in between.
    pub(crate) batch_rows: usize,
    /// The rounding of products, and of token vectors where nothing is pooled.
    pub(crate) precision: PrecisionParam,
    /// The digests of the units: rows, or shards of an input.
    pub(crate) digests: Vec<Digest>,
    /// The number of rows per unit; `None` where a unit is a row.
    pub(crate) n_rows: Option<Vec<u64>>,
    pub(crate) rows: Box<dyn ReadRows<'a> + 'a>,
    /// The kind of work that reading the rows is.
    pub(crate) reading: Work,
    /// The start of the headline.
    pub(crate) headline: Option<String>,
    /// The error for a stage without rows.
    pub(crate) nothing: &'static str,
}

impl<'a> Extraction<'a> {
    /// `seconds` contains the time of opening.
    pub(crate) fn new(context: &'a StageContext<'a>, input: ToEncode<'a>, seconds: Seconds) -> Self {
        // On the CPU a vector has the same bits among any other rows. On other devices kernels may depend on the number
        // of rows. There vectors are shared within a shard only, so that its bytes depend on its rows alone.
        let max_bytes = if context.device == Device::Cpu { RECENT_BYTES } else { 0 };
        let recent = Mutex::new(RecentVectors::new(max_bytes));
        let (n_encoded, n_equal) = (AtomicU64::new(0), AtomicU64::new(0));
        let (model, encoders) = (model::digest(context), Encoders::default());
        Self { context, input, model, seconds, encoders, recent, n_encoded, n_equal }
    }

    fn recent(&self) -> MutexGuard<'_, RecentVectors> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compute(&self, rows: Rows<'a>, output: &ShardOutput<'_>) -> Result<ShardReport, StageError> {
        let n_rows = rows.ids.len() as u64;
        let loaded = self.encoders.on(output.card);
        let encoder = loaded.encoder(|| self.load(output.card))?;
        let (distinct, tokens) = self.without_repetition(encoder, &rows)?;
        if self.input.model.tokens().is_some() {
            let all = self.token_vectors(encoder, &rows, distinct, output.progress)?;
            let start = Instant::now();
            let dim = Some(all.width());
            let shard = TokenShard { ids: rows.ids, tokens: all };
            pipeline_data::write_tokens(output.path, &shard, &self.metadata()).map_err(model::unwritable)?;
            self.seconds.spent(Work::Write, start);
            let Rows { facts, rejects, .. } = rows;
            return Ok(ShardReport { n_rows, dim, tokens, facts, rejects, digest: None });
        }
        let values = self.vectors(encoder, &rows, distinct, output.progress)?;
        let start = Instant::now();
        let dim = encoder.dim();
        let shard = VectorShard { ids: rows.ids, dim, values };
        let digest = model::write_vectors(output.path, &shard, self.metadata())?;
        self.seconds.spent(Work::Write, start);
        let (dim, digest) = (Some(dim), Some(digest));
        let Rows { facts, rejects, .. } = rows;
        Ok(ShardReport { n_rows, dim, tokens, facts, rejects, digest })
    }

    /// The description of the vectors in the files.
    fn metadata(&self) -> BTreeMap<String, String> {
        model::metadata(&self.model, self.input.model.pooling(), self.input.model.is_normalized())
    }

    /// The space of the features of these shards.
    fn space(&self, shards: &[Shard]) -> Result<FeatureSpace, StageError> {
        let of_rows = self.input.rows.properties(shards, &*self.input.model)?;
        let model = [("model", self.model.hex()), ("pooling", self.input.model.pooling().to_owned())];
        let others = self.input.model.properties().into_iter().chain(of_rows);
        let others = others.chain(self.input.precision.property());
        let all = model.into_iter().chain(others).map(|(name, value)| (name.into(), value));
        Ok(FeatureSpace { properties: all.collect() })
    }

    /// The rows of a shard without repetition, and the number of all tokens of its texts.
    fn without_repetition(
        &self,
        encoder: &dyn Encoder,
        rows: &Rows<'a>,
    ) -> Result<(Vec<DistinctRow>, Option<TokenCount>), StageError> {
        let mut distinct = distinct_rows(rows);
        if self.input.model.side() == EncoderSide::Image {
            return Ok((distinct, None));
        }
        let start = Instant::now();
        let firsts: Vec<usize> = distinct.iter().map(|row| row.places[0]).collect();
        let mut tokenized = None;
        (rows.give)(&firsts, &mut |rows| {
            let EncoderRows::Texts(texts) = rows else { panic!("BUG: a text encoder encodes texts") };
            tokenized = Some(encoder.tokenize(texts, self.n_threads()));
        });
        let tokenized = tokenized.expect("rows are given once").map_err(|error| self.not_encoded(error))?;
        let mut count = TokenCount::default();
        for (row, ids) in distinct.iter_mut().zip(tokenized) {
            let (of_row, n_equal) = (encoder.count_tokens(&ids), row.places.len() as u64);
            count.n_tokens += of_row.n_tokens as u64 * n_equal;
            count.n_unknown += of_row.n_unknown as u64 * n_equal;
            row.ids = ids;
        }
        self.seconds.spent(Work::Tokenize, start);
        Ok((distinct, Some(count)))
    }

    /// The vectors of a shard's rows, one after the other.
    fn vectors(
        &self,
        encoder: &dyn Encoder,
        rows: &Rows<'a>,
        distinct: Vec<DistinctRow>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<f32>, StageError> {
        let dim = encoder.dim();
        let mut values = vec![0.0; rows.ids.len() * dim];
        self.encode(encoder, rows, distinct, progress, &mut |places, vector| {
            places.iter().for_each(|row_idx| values[row_idx * dim..][..dim].copy_from_slice(vector));
        })?;
        Ok(values)
    }

    /// The vectors of all tokens of a shard's rows.
    fn token_vectors(
        &self,
        encoder: &dyn Encoder,
        rows: &Rows<'a>,
        distinct: Vec<DistinctRow>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<TokenMatrix, StageError> {
        let dim = encoder.dim();
        let (mut vectors, mut of_row): (Vec<Vec<f32>>, _) = (Vec::new(), vec![0; rows.ids.len()]);
        self.encode(encoder, rows, distinct, progress, &mut |places, of_tokens| {
            places.iter().for_each(|row_idx| of_row[*row_idx] = vectors.len());
            vectors.push(of_tokens.to_vec());
        })?;
        let n_tokens: Vec<usize> = of_row.iter().map(|idx| vectors[*idx].len() / dim).collect();
        let mut values = Vec::with_capacity(n_tokens.iter().sum::<usize>() * dim);
        of_row.iter().for_each(|idx| values.extend_from_slice(&vectors[*idx]));
        drop(vectors);
        self.input.precision.of(TokenMatrix::new(dim, n_tokens, TokenNumbers::Single(values)))
    }

    /// Encodes a shard's rows, equal ones once. `place` receives the indices of equal rows, and their vector or the
    /// vectors of their tokens.
    fn encode(
        &self,
        encoder: &dyn Encoder,
        rows: &Rows<'a>,
        mut unknown: Vec<DistinctRow>,
        progress: &(dyn Fn(u64) + Sync),
        place: &mut dyn FnMut(&[usize], &[f32]),
    ) -> Result<(), StageError> {
        let start = Instant::now();
        let mut n_done = 0;
        let mut place = |places: &[usize], vectors: &[f32]| {
            place(places, vectors);
            n_done += places.len() as u64;
            n_done
        };
        let recent = self.recent();
        unknown.retain(|row| recent.get(&row.content).map(|vector| place(&row.places, vector)).is_none());
        drop(recent);
        for batch in unknown.chunks_mut(self.input.batch_rows) {
            if self.context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let encoded = self.encode_batch(encoder, rows, batch)?;
            for (row_idx, row) in batch.iter().enumerate() {
                self.recent().insert(row.content, encoded.row(row_idx));
                progress(place(&row.places, encoded.row(row_idx)));
            }
        }
        self.n_encoded.fetch_add(unknown.len() as u64, Ordering::Relaxed);
        self.n_equal.fetch_add((rows.ids.len() - unknown.len()) as u64, Ordering::Relaxed);
        self.seconds.spent(Work::Forward, start);
        Ok(())
    }

    fn encode_batch(
        &self,
        encoder: &dyn Encoder,
        rows: &Rows<'a>,
        batch: &mut [DistinctRow],
    ) -> Result<Encoded, StageError> {
        let (is_pooled, n_threads) = (self.input.model.tokens().is_none(), self.n_threads());
        let encode = |rows: EncoderRows<'_>| match is_pooled {
            true => encoder.encode(rows, n_threads).map(Encoded::Vectors),
            false => encoder.encode_tokens(rows, n_threads).map(Encoded::Tokens),
        };
        let encoded = if self.input.model.side() == EncoderSide::Text {
            let ids: Vec<Vec<u32>> = batch.iter_mut().map(|row| std::mem::take(&mut row.ids)).collect();
            encode(EncoderRows::Tokens(&ids))
        } else {
            let firsts: Vec<usize> = batch.iter().map(|row| row.places[0]).collect();
            let mut encoded = None;
            (rows.give)(&firsts, &mut |rows| encoded = Some(encode(rows)));
            encoded.expect("rows are given once")
        };
        encoded.map_err(|error| self.not_encoded(error))
    }

    /// The threads for one of the shards that are worked on at once.
    fn n_threads(&self) -> usize {
        self.context.n_threads.div_ceil(self.n_workers())
    }

    fn not_encoded(&self, error: ModelError) -> StageError {
        let what = if self.input.model.side() == EncoderSide::Text { "texts" } else { "images" };
        StageError { help: error.help(), ..StageError::because(format!("the {what} cannot be encoded"), error) }
    }

    fn load(&self, card: Option<u16>) -> Result<Box<dyn Encoder>, StageError> {
        let start = Instant::now();
        let device = artifact::device(self.context.device, card);
        let loaded = self.input.model.load(device, self.input.precision.of_products());
        let loaded = loaded.map_err(|error| self.not_loaded(error))?;
        self.seconds.spent(Work::Load, start);
        Ok(loaded)
    }

    /// The width of a vector; for a stage without shards that of the encoder.
    fn dim(&self, shards: &[Shard]) -> Result<usize, StageError> {
        if let Some(dim) = shards.iter().find_map(|shard| shard.report.dim) {
            return Ok(dim);
        }
        let card = self.context.card;
        Ok(self.encoders.on(card).encoder(|| self.load(card))?.dim())
    }

    fn not_loaded(&self, error: ModelError) -> StageError {
        StageError { help: error.help(), ..StageError::because(self.input.not_loaded, error) }
    }
}

impl OpenRows for Extraction<'_> {
    fn digests(&self) -> &[Digest] {
        &self.input.digests
    }

    fn n_rows(&self, units: Range<usize>) -> u64 {
        self.input.n_rows.as_ref().map_or(units.len() as u64, |n_rows| n_rows[units].iter().sum())
    }

    /// One on the processor, whose forward pass takes all threads.
    fn n_workers(&self) -> usize {
        if self.context.device == Device::Cpu { 1 } else { self.context.n_threads.min(MAX_SIDE_BY_SIDE) }
    }

    fn leave(&self, card: Option<u16>) {
        self.encoders.drop_from(card);
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        let start = Instant::now();
        let rows = self.input.rows.read(units, &*self.input.model)?;
        self.seconds.spent(self.input.reading.clone(), start);
        Ok(Box::new(move |output| self.compute(rows, output)))
    }

    fn finish(&self, shards: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        let n_rejected = self.input.rows.report_rejects(shards, scratch)?;
        let n_rows = shards.iter().map(|shard| shard.report.n_rows).sum();
        if n_rows == 0 {
            return Err(StageError::new(self.input.nothing));
        }
        let info = FeaturesInfo {
            dim: self.dim(shards)?,
            dtype: self.input.precision.dtype().into(),
            tokens: self.input.model.tokens(),
            space: Some(self.space(shards)?),
        };
        artifact::write_json(&scratch.join(artifact::FEATURES), &info)?;
        let [n_encoded, n_equal] = [&self.n_encoded, &self.n_equal].map(|count| count.load(Ordering::Relaxed));
        let equal = (n_equal > 0).then(|| format!("{n_encoded} rows encoded, {n_equal} more are equal to one of them"));
        let WeightsNote { place, warning } = self.input.model.weights_note().map_err(|error| self.not_loaded(error))?;
        let remark = self.input.model.remark();
        let tokens = tokens_of(shards);
        let unknown = tokens.and_then(many_unknown);
        [warning, remark, unknown].into_iter().flatten().for_each(|warning| self.context.host.warn(warning));
        let precision = artifact::precision_note(self.context.device, self.input.precision.of_products());
        let parts: Vec<String> =
            self.input.headline.iter().cloned().chain(place).chain(precision).chain(equal).collect();
        Ok(StageReport {
            n_rows: Some(n_rows),
            n_rejected,
            headline: (!parts.is_empty()).then(|| parts.join("; ")),
            seconds: self.seconds.all(),
            metrics: tokens.map(|tokens| (UNKNOWN_TOKENS.to_owned(), share_unknown(tokens))).into_iter().collect(),
            ..StageReport::default()
        })
    }
}

/// The vectors of some rows.
enum Encoded {
    /// One for each.
    Vectors(Matrix),
    /// Those of all tokens of each.
    Tokens(TokenMatrix),
}

impl Encoded {
    fn row(&self, row_idx: usize) -> &[f32] {
        match self {
            Self::Vectors(vectors) => vectors.row(row_idx),
            Self::Tokens(tokens) => tokens.single_row(row_idx).expect("an encoder gives single precision"),
        }
    }
}

/// The metric with the share of tokens that the encoder does not know.
const UNKNOWN_TOKENS: &str = "unknown_tokens";

/// From this share on, the features say little about the texts.
const MANY_UNKNOWN: f64 = 0.3;

/// The tokens of all shards; `None` if one of an earlier version does not say it, or there are none.
fn tokens_of(shards: &[Shard]) -> Option<TokenCount> {
    let mut all = TokenCount::default();
    for shard in shards {
        all += shard.report.tokens?;
    }
    (all.n_tokens > 0).then_some(all)
}

fn share_unknown(tokens: TokenCount) -> f64 {
    tokens.n_unknown as f64 / tokens.n_tokens.max(1) as f64
}

/// The warning about an encoder that does not know its texts, such as an English CLIP of Chinese ones.
fn many_unknown(tokens: TokenCount) -> Option<String> {
    let share = share_unknown(tokens);
    (share >= MANY_UNKNOWN).then(|| {
        format!(
            "{:.0}% of tokens are single bytes or unknown: the model hardly knows the language of these texts, and its \
             features say little about them",
            share * 100.0
        )
    })
}

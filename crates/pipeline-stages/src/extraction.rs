//! The run of an encoder stage: vectors shard by shard, the encoder loaded when it is needed, equal rows encoded once.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pipeline_core::{
    Computation, Device, Digest, OpenRows, Shard, ShardOutput, ShardReport, StageContext, StageError, StageReport,
};
use pipeline_data::VectorShard;
use pipeline_kernels::Matrix;
use pipeline_models::checkpoint::FeatureSpace;

use crate::artifact::{self, FeaturesInfo};
use crate::model;
use crate::recent_vectors::RecentVectors;
use crate::seconds::Seconds;

/// Vectors kept for equal rows of later shards: 4,000 of ResNet-50, 10,000 of BERT.
const RECENT_BYTES: usize = 32 << 20;

/// What the encoder stages do differently.
pub(crate) struct Encoding<'a, E> {
    /// Loads the encoder.
    pub(crate) load: Box<dyn Fn() -> Result<E, StageError> + Sync + 'a>,
    /// Numbers per vector.
    pub(crate) dim: fn(&E) -> usize,
    /// Rows that are forwarded together; a stop is noticed in between.
    pub(crate) batch_rows: usize,
    /// The seconds of forwarding that were spent on making tokens; none where there are no tokens.
    pub(crate) tokenize_seconds: Option<fn(&E) -> f64>,
    /// How a row's numbers become one vector, as the files say.
    pub(crate) pooling: &'static str,
    /// Other properties of the encoding that change every vector.
    pub(crate) properties: Vec<(&'static str, String)>,
    /// Whether vectors were divided by their lengths.
    pub(crate) is_normalized: bool,
}

/// The rows of one shard.
pub(crate) struct Rows<'a, E> {
    /// The id of each row.
    pub(crate) ids: Vec<Option<String>>,
    /// For each row the digest of what its vector depends on beside the encoder.
    pub(crate) contents: Vec<Digest>,
    /// The places of all rows in the order in which they are forwarded.
    pub(crate) order: Vec<usize>,
    /// Computes the vectors of the rows at some places.
    pub(crate) forward: Box<Forward<'a, E>>,
}

/// # Shapes
/// returns `[n_places, dim]`
pub(crate) type Forward<'a, E> = dyn Fn(&E, &[usize]) -> Result<Matrix, StageError> + Send + 'a;

/// Reads the rows of some units.
pub(crate) type Read<'a, E> = dyn Fn(Range<usize>) -> Result<Rows<'a, E>, StageError> + Sync + 'a;

/// The rows of an encoder stage.
pub(crate) struct Extraction<'a, E> {
    context: &'a StageContext<'a>,
    input: ToEncode<'a, E>,
    seconds: Seconds,
    /// Used by one thread at a time; kept from shard to shard.
    work: Mutex<EncoderWork<E>>,
}

/// The encoder and what it has computed.
struct EncoderWork<E> {
    encoder: Option<E>,
    recent: RecentVectors,
    /// Rows that were forwarded.
    n_encoded: u64,
    /// Rows that took the vector of an equal row.
    n_equal: u64,
}

/// What an encoder stage has to encode, and how.
pub(crate) struct ToEncode<'a, E> {
    pub(crate) encoding: Encoding<'a, E>,
    /// The digests of the units: rows, or shards of an input.
    pub(crate) digests: Vec<Digest>,
    /// Rows per unit; `None` where a unit is a row.
    pub(crate) n_rows: Option<Vec<u64>>,
    pub(crate) read: Box<Read<'a, E>>,
    /// What the headline says of the model; may warn.
    pub(crate) headline: Box<dyn Fn() -> Result<Vec<String>, StageError> + Sync + 'a>,
    /// The error of a stage without rows.
    pub(crate) nothing: &'static str,
}

impl<'a, E: Send> Extraction<'a, E> {
    /// `seconds` holds those that opening has taken.
    pub(crate) fn new(context: &'a StageContext<'a>, input: ToEncode<'a, E>, seconds: Seconds) -> Self {
        // On a processor a vector has the same bits among whatever rows it is computed. On other devices the kernels may
        // depend on their number: there vectors are shared within a shard only, so that its bytes depend on its rows alone.
        let max_bytes = if context.device == Device::Cpu { RECENT_BYTES } else { 0 };
        let recent = RecentVectors::new(max_bytes);
        let work = Mutex::new(EncoderWork { encoder: None, recent, n_encoded: 0, n_equal: 0 });
        Self { context, input, seconds, work }
    }

    fn work(&self) -> MutexGuard<'_, EncoderWork<E>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compute(&self, rows: Rows<'a, E>, output: &ShardOutput<'_>) -> Result<ShardReport, StageError> {
        let (dim, values) = self.vectors(&rows, output.progress)?;
        let start = Instant::now();
        let shard = VectorShard { ids: rows.ids, dim, values };
        let Encoding { pooling, is_normalized, .. } = self.input.encoding;
        let digest = model::write_vectors(output.path, &shard, &model::digest(self.context), pooling, is_normalized)?;
        self.seconds.spent("write", start);
        let n_rows = shard.ids.len() as u64;
        Ok(ShardReport { n_rows, dim: Some(dim), digest: Some(digest), ..ShardReport::default() })
    }

    /// What the vectors are vectors of.
    fn space(&self) -> FeatureSpace {
        let model = model::digest(self.context).hex();
        let model = [("model", model), ("pooling", self.input.encoding.pooling.to_owned())];
        let others = self.input.encoding.properties.iter().cloned();
        FeatureSpace { properties: model.into_iter().chain(others).map(|(name, value)| (name.into(), value)).collect() }
    }

    /// The vectors of a shard's rows, one after the other, and the numbers in each.
    fn vectors(&self, rows: &Rows<'a, E>, progress: &(dyn Fn(u64) + Sync)) -> Result<(usize, Vec<f32>), StageError> {
        let mut work = self.work();
        self.load(&mut work)?;
        let start = Instant::now();
        let EncoderWork { encoder, recent, n_encoded, n_equal } = &mut *work;
        let encoder = encoder.as_ref().expect("the encoder was loaded above");
        let dim = (self.input.encoding.dim)(encoder);
        let mut values = vec![0.0; rows.ids.len() * dim];
        let mut n_done = 0;
        let mut place = |places: &[usize], vector: &[f32]| {
            places.iter().for_each(|row_idx| values[row_idx * dim..][..dim].copy_from_slice(vector));
            n_done += places.len() as u64;
            n_done
        };
        let mut unknown = equal_rows(rows);
        unknown.retain(|(content, places)| recent.get(content).map(|vector| place(places, vector)).is_none());
        for batch in unknown.chunks(self.input.encoding.batch_rows) {
            if self.context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let firsts: Vec<usize> = batch.iter().map(|(_, places)| places[0]).collect();
            let vectors = (rows.forward)(encoder, &firsts)?;
            for (row_idx, (content, places)) in batch.iter().enumerate() {
                recent.insert(*content, vectors.row(row_idx));
                progress(place(places, vectors.row(row_idx)));
            }
        }
        *n_encoded += unknown.len() as u64;
        *n_equal += (rows.ids.len() - unknown.len()) as u64;
        self.seconds.spent("forward", start);
        Ok((dim, values))
    }

    fn load(&self, work: &mut EncoderWork<E>) -> Result<(), StageError> {
        if work.encoder.is_none() {
            let start = Instant::now();
            work.encoder = Some((self.input.encoding.load)()?);
            self.seconds.spent("load", start);
        }
        Ok(())
    }

    /// The numbers in a vector; of a stage without shards the encoder says so.
    fn dim(&self, shards: &[Shard]) -> Result<usize, StageError> {
        if let Some(dim) = shards.iter().find_map(|shard| shard.report.dim) {
            return Ok(dim);
        }
        let mut work = self.work();
        self.load(&mut work)?;
        Ok((self.input.encoding.dim)(work.encoder.as_ref().expect("the encoder was loaded above")))
    }

    /// Counts the making of tokens, which is part of forwarding, by itself.
    fn split_tokenizing(&self, work: &EncoderWork<E>) {
        let (Some(seconds_of), Some(encoder)) = (self.input.encoding.tokenize_seconds, &work.encoder) else { return };
        let tokenize_seconds = seconds_of(encoder);
        self.seconds.add("forward", -tokenize_seconds);
        self.seconds.add("tokenize", tokenize_seconds);
    }
}

impl<E: Send> OpenRows for Extraction<'_, E> {
    fn digests(&self) -> &[Digest] {
        &self.input.digests
    }

    fn n_rows(&self, units: Range<usize>) -> u64 {
        self.input.n_rows.as_ref().map_or(units.len() as u64, |n_rows| n_rows[units].iter().sum())
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        let start = Instant::now();
        let rows = (self.input.read)(units)?;
        self.seconds.spent("read", start);
        Ok(Box::new(move |output| self.compute(rows, output)))
    }

    fn finish(&self, shards: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        let n_rows = shards.iter().map(|shard| shard.report.n_rows).sum();
        if n_rows == 0 {
            return Err(StageError::new(self.input.nothing));
        }
        let info = FeaturesInfo { dim: self.dim(shards)?, dtype: "f32".into(), space: Some(self.space()) };
        artifact::write_json(&scratch.join(artifact::FEATURES), &info)?;
        let work = self.work();
        self.split_tokenizing(&work);
        let EncoderWork { n_encoded, n_equal, .. } = *work;
        let equal = (n_equal > 0).then(|| format!("{n_encoded} rows encoded, {n_equal} more are equal to one of them"));
        let parts: Vec<String> = (self.input.headline)()?.into_iter().chain(equal).collect();
        Ok(StageReport {
            n_rows: Some(n_rows),
            headline: (!parts.is_empty()).then(|| parts.join("; ")),
            seconds: self.seconds.all(),
            ..StageReport::default()
        })
    }
}

/// The places of rows by content, contents in the order in which they come first.
fn equal_rows<E>(rows: &Rows<'_, E>) -> Vec<(Digest, Vec<usize>)> {
    let mut groups: Vec<(Digest, Vec<usize>)> = Vec::new();
    let mut group_idxs = HashMap::new();
    for &row_idx in &rows.order {
        let content = rows.contents[row_idx];
        let group_idx = *group_idxs.entry(content).or_insert(groups.len());
        if group_idx == groups.len() {
            groups.push((content, Vec::new()));
        }
        groups[group_idx].1.push(row_idx);
    }
    groups
}

//! The run of an encoder stage: vectors shard by shard, the encoder loaded when it is needed, equal rows encoded once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use pipeline_core::{Device, Digest, Manifest, StageContext, StageError, StageReport};
use pipeline_data::VectorShard;
use pipeline_nn::Matrix;
use pipeline_nn::checkpoint::FeatureSpace;

use crate::artifact::{self, FeaturesInfo};
use crate::model;
use crate::recent_vectors::RecentVectors;

/// Vectors kept for equal rows of later shards: 4,000 of ResNet-50, 10,000 of BERT.
const RECENT_BYTES: usize = 32 << 20;

/// What the encoder stages do differently.
pub(crate) struct Encoding<'a, E> {
    /// Loads the encoder.
    pub(crate) load: &'a dyn Fn() -> Result<E, StageError>,
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
pub(crate) type Forward<'a, E> = dyn Fn(&E, &[usize]) -> Result<Matrix, StageError> + 'a;

/// The run of one stage.
pub(crate) struct Extraction<'a, E> {
    context: &'a StageContext<'a>,
    encoding: Encoding<'a, E>,
    /// The digest of the encoder's files.
    model: Digest,
    encoder: Option<E>,
    /// Numbers per vector, once a shard or the encoder has told.
    dim: Option<usize>,
    recent: RecentVectors,
    n_shards: usize,
    progress: Progress,
    counts: Counts,
    seconds: BTreeMap<String, f64>,
}

/// How far a stage is, in rows of its input, usable or not.
struct Progress {
    n_done: u64,
    total: u64,
}

#[derive(Default)]
struct Counts {
    /// Rows in all shards.
    n_rows: u64,
    /// Rows that were forwarded.
    n_encoded: u64,
    /// Rows that took the vector of an equal row.
    n_equal: u64,
}

impl<'a, E> Extraction<'a, E> {
    /// A run over an input of `n_rows` rows.
    pub(crate) fn new(context: &'a StageContext<'a>, encoding: Encoding<'a, E>, n_rows: u64) -> Self {
        // On a processor a vector has the same bits among whatever rows it is computed. On other devices the kernels may
        // depend on their number: there vectors are shared within a shard only, so that its bytes depend on its rows alone.
        let max_bytes = if context.device == Device::Cpu { RECENT_BYTES } else { 0 };
        Self {
            context,
            encoding,
            model: model::digest(context),
            encoder: None,
            dim: None,
            recent: RecentVectors::new(max_bytes),
            n_shards: 0,
            progress: Progress { n_done: 0, total: n_rows },
            counts: Counts::default(),
            seconds: BTreeMap::new(),
        }
    }

    /// Adds the shard of the next `n_rows` rows of the input, which are read only if the shard is not remembered.
    ///
    /// # Errors
    /// What reading, loading, encoding or writing fails with, or when the run is to stop.
    pub(crate) fn shard(
        &mut self,
        mut manifest: Manifest,
        n_rows: u64,
        read: &mut dyn FnMut() -> Result<Rows<'a, E>, StageError>,
    ) -> Result<(), StageError> {
        let context = self.context;
        if context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        manifest.source("model", &self.model);
        let name = artifact::shard_name(self.n_shards);
        let shard = context.host.shard(&name, &manifest, &mut |path| self.compute(read, path))?;
        self.n_shards += 1;
        self.counts.n_rows += shard.report.n_rows.unwrap_or(n_rows);
        self.dim = model::told_dim(&shard.report).or(self.dim);
        self.progress.n_done += n_rows;
        context.host.progress(self.progress.n_done, Some(self.progress.total));
        Ok(())
    }

    /// Writes what the vectors are and reports; `headline` comes before what is told of equal rows.
    ///
    /// # Errors
    /// When there are no shards and the encoder cannot be loaded, or a file cannot be written.
    pub(crate) fn finish(mut self, headline: Option<String>) -> Result<StageReport, StageError> {
        let dim = match self.dim {
            Some(dim) => dim,
            None => (self.encoding.dim)(self.encoder()?),
        };
        let info = FeaturesInfo { dim, dtype: "f32".into(), space: Some(self.space()) };
        artifact::write_json(&self.context.scratch.join(artifact::FEATURES), &info)?;
        let Counts { n_rows, n_encoded, n_equal } = self.counts;
        let equal = (n_equal > 0).then(|| format!("{n_encoded} rows encoded, {n_equal} more are equal to one of them"));
        self.tell_tokenizing();
        let parts: Vec<String> = headline.into_iter().chain(equal).collect();
        Ok(StageReport {
            n_rows: Some(n_rows),
            headline: (!parts.is_empty()).then(|| parts.join("; ")),
            seconds: self.seconds,
            ..StageReport::default()
        })
    }

    fn compute(
        &mut self,
        read: &mut dyn FnMut() -> Result<Rows<'a, E>, StageError>,
        path: &Path,
    ) -> Result<StageReport, StageError> {
        let start = Instant::now();
        let rows = read()?;
        self.spent("read", start);
        let (dim, values) = self.vectors(&rows)?;
        let start = Instant::now();
        let shard = VectorShard { ids: rows.ids, dim, values };
        let Encoding { pooling, is_normalized, .. } = self.encoding;
        let digest = model::write_vectors(path, &shard, &self.model, pooling, is_normalized)?;
        self.spent("write", start);
        Ok(StageReport { n_rows: Some(shard.ids.len() as u64), digest: Some(digest), ..model::tell_dim(dim) })
    }

    /// What the vectors are vectors of.
    fn space(&self) -> FeatureSpace {
        let model = [("model", self.model.hex()), ("pooling", self.encoding.pooling.to_owned())];
        let others = self.encoding.properties.iter().cloned();
        FeatureSpace { properties: model.into_iter().chain(others).map(|(name, value)| (name.into(), value)).collect() }
    }

    /// The vectors of a shard's rows, one after the other, and the numbers in each.
    fn vectors(&mut self, rows: &Rows<'a, E>) -> Result<(usize, Vec<f32>), StageError> {
        self.encoder()?;
        let start = Instant::now();
        let Self { context, encoding, encoder, recent, progress, counts, .. } = self;
        let encoder = encoder.as_ref().expect("the encoder was loaded above");
        let dim = (encoding.dim)(encoder);
        let mut values = vec![0.0; rows.ids.len() * dim];
        let mut n_done = 0;
        let mut place = |places: &[usize], vector: &[f32]| {
            places.iter().for_each(|row_idx| values[row_idx * dim..][..dim].copy_from_slice(vector));
            n_done += places.len() as u64;
            n_done
        };
        let mut unknown = equal_rows(rows);
        unknown.retain(|(content, places)| recent.get(content).map(|vector| place(places, vector)).is_none());
        for batch in unknown.chunks(encoding.batch_rows) {
            if context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let firsts: Vec<usize> = batch.iter().map(|(_, places)| places[0]).collect();
            let vectors = (rows.forward)(encoder, &firsts)?;
            for (row_idx, (content, places)) in batch.iter().enumerate() {
                recent.insert(*content, vectors.row(row_idx));
                let n_done = place(places, vectors.row(row_idx));
                context.host.progress(progress.n_done + n_done, Some(progress.total));
            }
        }
        counts.n_encoded += unknown.len() as u64;
        counts.n_equal += (rows.ids.len() - unknown.len()) as u64;
        self.spent("forward", start);
        Ok((dim, values))
    }

    fn encoder(&mut self) -> Result<&E, StageError> {
        if self.encoder.is_none() {
            let start = Instant::now();
            self.encoder = Some((self.encoding.load)()?);
            self.spent("load", start);
        }
        Ok(self.encoder.as_ref().expect("the encoder was loaded above"))
    }

    /// Tells the making of tokens, which is part of forwarding, by itself.
    fn tell_tokenizing(&mut self) {
        let (Some(seconds_of), Some(encoder)) = (self.encoding.tokenize_seconds, &self.encoder) else { return };
        let tokenize_seconds = seconds_of(encoder);
        if let Some(forward_seconds) = self.seconds.get_mut("forward") {
            *forward_seconds = (*forward_seconds - tokenize_seconds).max(0.0);
            self.seconds.insert("tokenize".into(), tokenize_seconds);
        }
    }

    /// Adds the time since `since` to what was spent on `what`.
    pub(crate) fn spent(&mut self, what: &str, since: Instant) {
        *self.seconds.entry(what.into()).or_default() += since.elapsed().as_secs_f64();
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

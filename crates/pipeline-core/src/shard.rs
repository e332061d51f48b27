//! The contract of stages whose artifact consists of shards: the rows, and the computation of a range of them.
//!
//! The engine does the rest. It cuts the rows, derives the shards' keys and looks them up. It computes the missing
//! ones, side by side and in several processes, stores them, and counts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cut::CutSizes;
use crate::{Digest, FileEntry, StageContext, StageError, StageReport, Tree};

/// The ends of shards.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// After rows that their digests select.
    Rows(CutSizes),
    /// At the ends of an input's shards: each makes one, or as many as `parts` says.
    Input {
        /// The slot of the input.
        slot: &'static str,
        /// The digests of the input's shards, in the order of their rows.
        shards: fn(&Tree) -> Vec<Digest>,
        /// The number of shards that each of them makes; at least 1. More than one where a row is much larger than it
        /// was in the input.
        parts: usize,
    },
}

impl Cut {
    /// The digests of the units of an input with these shards, each in `parts` parts of its rows.
    pub fn input_units(shards: &[Digest], parts: usize) -> Vec<Digest> {
        if parts == 1 {
            return shards.to_vec();
        }
        let part = |shard: &Digest, part_idx: usize| {
            let [part_idx, parts] = [part_idx, parts].map(|number| (number as u64).to_le_bytes());
            Digest::of(&[shard.as_bytes().as_slice(), &part_idx, &parts].concat())
        };
        shards.iter().flat_map(|shard| (0..parts).map(move |part_idx| part(shard, part_idx))).collect()
    }
}

/// The params, sources and inputs that only affect the rows: the rows' own digests show their changes.
///
/// Everything that is not named here enters the key of every shard, so that nothing can be forgotten.
#[derive(Debug, Clone, Copy, Default)]
pub struct InRows {
    /// Names of params.
    pub params: &'static [&'static str],
    /// Names of sources; for `model/config` the first part.
    pub sources: &'static [&'static str],
    /// Slots of inputs.
    pub inputs: &'static [&'static str],
}

/// A stage whose artifact consists of shards.
pub trait ShardedStage: Sync {
    /// The ends of shards.
    fn cut(&self) -> Cut;

    /// The params, sources and inputs that only affect the rows, and enter no shard's key.
    fn in_rows(&self) -> InRows;

    /// The name of a shard's file, by its index in its folder. Names sort in the order of the rows. More than
    /// [`MAX_UNDIVIDED`](crate::MAX_UNDIVIDED) shards are divided into folders.
    fn shard_name(&self, shard_idx: usize) -> String;

    /// Reads the list of rows. Plans also call it, and must write nothing.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError>;
}

/// The rows of a stage that runs.
///
/// Several processes may have the same rows open, and each compute some of their shards.
pub trait OpenRows: Sync {
    /// The digests of the rows, or where [`Cut::Input`] cuts, of the parts of an input's shards ([`Cut::input_units`]).
    /// A *unit* is what has one such digest.
    fn digests(&self) -> &[Digest];

    /// The number of rows in some units.
    fn n_rows(&self, units: Range<usize>) -> u64 {
        units.len() as u64
    }

    /// The most shards that are computed side by side, by the processor or on each card. With one, the next shard is
    /// read while one is computed.
    fn n_workers(&self) -> usize {
        1
    }

    /// Reads the content of a shard's units, and returns their computation.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError>;

    /// Adds the files beside the shards to `scratch`, and reports.
    ///
    /// # Errors
    /// When the stage as a whole has no valid result, or a file cannot be written.
    fn finish(&self, shards: &[Shard], scratch: &Path) -> Result<StageReport, StageError>;

    /// Another stage gets this card: what lies there must go. The stage may come back to it.
    fn leave(&self, _card: Option<u16>) {}
}

/// Computes a shard whose content was read.
pub type Computation<'a> = dyn FnOnce(&ShardOutput<'_>) -> Result<ShardReport, StageError> + Send + 'a;

/// The arguments of a shard's computation.
pub struct ShardOutput<'a> {
    /// The file to write.
    pub path: &'a Path,
    /// The number of the card to compute on, as [`StageContext::card`].
    pub card: Option<u16>,
    /// Reports the number of the shard's rows that are done. Cheap.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// The report on a computed shard; kept with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RecordedReport", into = "RecordedReport")]
pub struct ShardReport {
    /// Its rows.
    pub n_rows: u64,
    /// The rows that could not be used.
    pub rejects: Vec<Reject>,
    /// The width of the rows, if they are vectors.
    pub dim: Option<usize>,
    /// The tokens of its texts, if an encoder has split them.
    pub tokens: Option<TokenCount>,
    /// Facts about its rows by name that the artifact as a whole depends on, so that nothing but reports need be read
    /// for it.
    pub facts: BTreeMap<String, String>,
    /// The digest of the file, if it was computed during writing. Then the file is not read again.
    pub digest: Option<Digest>,
}

/// Tokens of texts, special ones left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// All of them.
    pub n_tokens: u64,
    /// Those that are unknown, or hold less than a character: bytes of it.
    pub n_unknown: u64,
}

impl std::ops::AddAssign for TokenCount {
    fn add_assign(&mut self, other: Self) {
        self.n_tokens += other.n_tokens;
        self.n_unknown += other.n_unknown;
    }
}

/// A row that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The 0-based row within the shard.
    pub row_idx: u64,
    /// The reason why it could not be used.
    pub reason: String,
}

/// A shard of an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Shard {
    /// The units in it.
    pub units: Range<usize>,
    /// Its file.
    pub entry: FileEntry,
    /// The report from when it was computed.
    pub report: ShardReport,
}

/// A report in the form of records: the records of shards have always had the shape of those of stages.
#[derive(Serialize, Deserialize)]
struct RecordedReport {
    #[serde(default)]
    metrics: RecordedMetrics,
    n_rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejects: Vec<Reject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<TokenCount>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
}

#[derive(Default, Serialize, Deserialize)]
struct RecordedMetrics {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dim: Option<f64>,
}

impl From<ShardReport> for RecordedReport {
    fn from(report: ShardReport) -> Self {
        let metrics = RecordedMetrics { dim: report.dim.map(|dim| dim as f64) };
        let ShardReport { n_rows, rejects, tokens, facts, .. } = report;
        Self { metrics, n_rows: Some(n_rows), rejects, tokens, facts }
    }
}

impl From<RecordedReport> for ShardReport {
    fn from(recorded: RecordedReport) -> Self {
        let RecordedReport { metrics, n_rows, rejects, tokens, facts } = recorded;
        let dim = metrics.dim.map(|dim| dim as usize);
        Self { n_rows: n_rows.unwrap_or(0), rejects, dim, tokens, facts, digest: None }
    }
}

/// The digest of the sources whose names begin with `group` and a slash, such as the files of a `model`.
pub fn digest_of_group(sources: &BTreeMap<String, Digest>, group: &str) -> Digest {
    let of_group = |name: &str| name.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'));
    let lines = sources.iter().filter(|(name, _)| of_group(name)).map(|(name, digest)| format!("{digest} {name}\n"));
    Digest::of(lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_from_its_record() {
        let rejects = vec![Reject { row_idx: 3, reason: "no image".into() }];
        for dim in [None, Some(768)] {
            let tokens = dim.map(|_| TokenCount { n_tokens: 9, n_unknown: 2 });
            let facts = dim.map(|_| ("resize".to_owned(), "bicubic".to_owned())).into_iter().collect();
            let report = ShardReport { n_rows: 7, rejects: rejects.clone(), dim, tokens, facts, digest: None };
            let recorded = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<ShardReport>(&recorded).unwrap(), report, "{recorded}");
        }
        let of_an_earlier_version = r#"{"metrics": {"dim": 64.0}, "n_rows": 2, "n_rejected": 0, "headline": null,
            "seconds": {}}"#;
        let report: ShardReport = serde_json::from_str(of_an_earlier_version).unwrap();
        assert_eq!(report, ShardReport { n_rows: 2, dim: Some(64), ..ShardReport::default() });
    }

    #[test]
    fn each_part_of_a_shard_is_a_unit_of_its_own() {
        let shards = [Digest::of(b"one"), Digest::of(b"two")];
        assert_eq!(Cut::input_units(&shards, 1), shards);
        let parts = Cut::input_units(&shards, 3);
        let halves = Cut::input_units(&shards, 2);
        let distinct: std::collections::BTreeSet<_> = parts.iter().chain(&halves).collect();
        assert_eq!((parts.len(), distinct.len()), (6, 10), "no part is one of another division");
        assert_eq!(parts[3..], Cut::input_units(&shards[1..], 3), "a part depends on its shard alone");
    }

    #[test]
    fn the_digest_of_a_group_is_that_of_its_names_and_contents() {
        let source = |name: &str, text: &str| (name.to_owned(), Digest::of(text.as_bytes()));
        let model = BTreeMap::from([source("model/a", "1"), source("model/b", "2")]);
        let mut more = model.clone();
        more.extend([source("model", "3"), source("modelled/a", "4"), source("path", "5")]);
        assert_eq!(digest_of_group(&more, "model"), digest_of_group(&model, "model"));
        let renamed = BTreeMap::from([source("model/a", "1"), source("model/c", "2")]);
        assert_ne!(digest_of_group(&renamed, "model"), digest_of_group(&model, "model"));
    }
}

//! The accepted baseline of a spec: a small JSON file beside it, intended for version control.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, Digest, Metrics, StageId};
use pipeline_data::{ResultRow, Results, ResultsOf};
use pipeline_eval::{Quantity, RelevantRanks};
use pipeline_spec::PipelineSpec;
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter};

/// The version of the file's format. Version 1 had no ranks; this program still reads it.
const VERSION: u32 = 2;

/// The way from the folder of baselines to that of their specs.
const ABOVE: &str = "../";

/// Accepted metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version of this format.
    pub version: u32,
    /// The spec's name.
    pub spec: String,
    /// The spec's file, from the folder of the baseline on; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The time of the acceptance, in UTC.
    pub accepted_at: String,
    /// The person who accepted them.
    pub accepted_by: String,
    /// The reason of the acceptance.
    pub reason: Option<String>,
    /// The accepted measurements, by evaluation.
    pub stages: BTreeMap<StageId, Measured>,
}

/// The measurements of an evaluation, and digests of its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The digest of its artifact.
    pub artifact: ArtifactDigest,
    /// The digest of the data of its queries.
    pub queries: Option<Digest>,
    /// The digest of the data of its pool of images.
    pub pool: Option<Digest>,
    /// Its metrics, with the size of the pool and the number of queries.
    pub metrics: Metrics,
    /// The best rank for each query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_query: Option<BestRanks>,
    /// The best rank for each image, where texts were also ranked for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_image: Option<BestRanks>,
}

/// The best ranks one by one: compact input for a paired test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestRanks {
    /// The digest of the ids, in the order of the ranks.
    pub ids: Digest,
    /// The 1-based ranks; 0 where no relevant item was found, 65535 for any rank from there on.
    pub ranks: Vec<u16>,
}

impl BestRanks {
    /// The best ranks of the results of an evaluation.
    pub fn of(results: &Results) -> Self {
        let ids: Vec<_> = results.rows.iter().map(|row| (&row.id, &row.text)).collect();
        let ids = Digest::of(&serde_json::to_vec(&ids).expect("texts become JSON"));
        let rank = |row: &ResultRow| u16::try_from(row.best_rank().unwrap_or(0)).unwrap_or(u16::MAX);
        Self { ids, ranks: results.rows.iter().map(rank).collect() }
    }

    /// The ranks in the form from which measures that only need the best rank are computed.
    pub fn found(&self) -> Vec<RelevantRanks> {
        let found = |rank: &u16| match *rank {
            0 => RelevantRanks::default(),
            rank => RelevantRanks { n_in_pool: 1, ranks: vec![usize::from(rank)] },
        };
        self.ranks.iter().map(found).collect()
    }
}

impl Measured {
    /// The best ranks of queries or of images, if they are known.
    pub fn best_ranks(&self, of: ResultsOf) -> Option<&BestRanks> {
        match of {
            ResultsOf::Queries => self.per_query.as_ref(),
            ResultsOf::Images => self.per_image.as_ref(),
        }
    }

    /// The difference that makes two measurements incomparable; `None` when they are of the same data.
    pub fn differs_in(&self, other: &Self) -> Option<&'static str> {
        if self.pool != other.pool || !self.has_same(other, Quantity::PoolSize) {
            Some("pool")
        } else if self.queries != other.queries || !self.has_same(other, Quantity::NQueries) {
            Some("queries")
        } else {
            None
        }
    }

    /// The same difference for people, who may only have put the rows into another order.
    pub fn other_data(&self, other: &Self) -> Option<String> {
        let (what, count) = match self.differs_in(other)? {
            "pool" => ("another pool", Quantity::PoolSize),
            _ => ("other queries", Quantity::NQueries),
        };
        let hint = if self.has_same(other, count) { " (other rows, or the same in another order)" } else { "" };
        Some(format!("measured on {what} than the accepted one{hint}"))
    }

    fn has_same(&self, other: &Self, count: Quantity) -> bool {
        count.value_in(&self.metrics) == count.value_in(&other.metrics)
    }
}

/// The path of a spec's baseline: `baselines/<name>.json` beside the spec.
pub fn path_of(spec: &PipelineSpec) -> PathBuf {
    path_in(spec.file.parent().unwrap_or(Path::new(".")), &spec.name)
}

/// The path of the baseline of a spec with this name in `folder`.
pub fn path_in(folder: &Path, spec_name: &str) -> PathBuf {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = spec_name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    folder.join("baselines").join(format!("{name}.json"))
}

/// The reason why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file exists and cannot be read.
    #[error("the baseline `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not a baseline.
    #[error("the baseline `{}` cannot be read", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A merge in git left both sides in it.
    #[error("the baseline `{}` has the marks of a conflict in git, from line {line} on", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// The line of the first mark, from 1.
        line: usize,
    },
    /// A later version of the program wrote it.
    #[error("the baseline `{}` has version {version}, above {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl BaselineError {
    /// Advice on restoring a baseline.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => {
                "restore it, or accept the current metrics with `pipeline check SPEC --accept`"
            }
            Self::Conflict { .. } => {
                "keep one side (`git checkout --ours FILE` or `--theirs`), or accept the current metrics with \
                 `pipeline check SPEC --accept --force`"
            }
            Self::Newer { .. } => "use the version of pipeline that wrote it",
        }
    }
}

/// Reads a baseline; `None` when there is no file.
///
/// # Errors
/// When the file exists and cannot be read or understood: it never counts as missing.
pub fn read(path: &Path) -> Result<Option<Baseline>, BaselineError> {
    let text = match pipeline_files::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BaselineError::Unreadable { path: path.to_owned(), source }),
    };
    let mut lines = text.split(|byte| *byte == b'\n');
    if let Some(idx) = lines.position(|line| line.starts_with(b"<<<<<<< ")) {
        return Err(BaselineError::Conflict { path: path.to_owned(), line: idx + 1 });
    }
    let baseline: Baseline =
        serde_json::from_slice(&text).map_err(|source| BaselineError::Malformed { path: path.to_owned(), source })?;
    if !(1..=VERSION).contains(&baseline.version) {
        return Err(BaselineError::Newer { path: path.to_owned(), version: baseline.version });
    }
    Ok(Some(baseline))
}

impl Baseline {
    /// A baseline of these measurements.
    pub fn new(
        spec: &PipelineSpec,
        Acceptance { by, at, reason }: Acceptance,
        stages: BTreeMap<StageId, Measured>,
    ) -> Self {
        let file = spec.file.file_name().map(|name| format!("{ABOVE}{}", name.to_string_lossy()));
        Self { version: VERSION, spec: spec.name.clone(), file, accepted_at: at, accepted_by: by, reason, stages }
    }

    /// The spec whose metrics were accepted, if it is another one that exists and still has this baseline. A spec that
    /// was moved or renamed keeps its baseline.
    pub fn other_spec(&self, spec: &PipelineSpec) -> Option<PathBuf> {
        let name = self.file.as_ref()?.strip_prefix(ABOVE)?;
        let other = spec.file.parent().unwrap_or(Path::new(".")).join(name);
        let real = other.canonicalize().ok()?;
        if spec.file.canonicalize().ok()? == real {
            return None;
        }
        // One that cannot be read may be its owner.
        let of = |spec: &PipelineSpec| {
            let baseline = path_of(spec);
            let folder = baseline.ancestors().nth(2).and_then(|folder| folder.canonicalize().ok());
            (folder, baseline.file_name().map(ToOwned::to_owned))
        };
        let is_owner = pipeline_spec::load(&real, &[]).map_or(true, |owner| of(&owner) == of(spec));
        is_owner.then_some(other)
    }

    /// The text of its file: indented JSON with every list on one line, so that thousands of ranks do not become
    /// thousands of lines in a diff.
    pub fn to_json(&self) -> String {
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, ListsOnOneLine(PrettyFormatter::new()));
        self.serialize(&mut serializer).expect("a baseline has only string keys");
        json.push(b'\n');
        String::from_utf8(json).expect("JSON is UTF-8")
    }
}

/// The author, time and reason of an acceptance.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The person.
    pub by: String,
    /// The time, in UTC.
    pub at: String,
    /// The reason.
    pub reason: Option<String>,
}

/// A formatter that indents objects, but not lists.
struct ListsOnOneLine(PrettyFormatter<'static>);

impl Formatter for ListsOnOneLine {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(pool: &[u8], n_queries: f64) -> Measured {
        Measured {
            artifact: Digest::of(b"artifact"),
            queries: None,
            pool: Some(Digest::of(pool)),
            metrics: BTreeMap::from([("n_queries".to_owned(), n_queries)]),
            per_query: None,
            per_image: None,
        }
    }

    #[test]
    fn ranks_stand_on_one_line_and_are_capped() {
        let row = |rank: Option<u32>| ResultRow { relevant_ranks: rank.into_iter().collect(), ..ResultRow::default() };
        let rows = vec![row(Some(3)), row(None), row(Some(70_000))];
        let ranks = BestRanks::of(&Results { pool: String::new(), rows });
        let measured = Measured { per_query: Some(ranks), ..measured(b"pool", 3.0) };
        let baseline = Baseline {
            version: VERSION,
            spec: "demo".to_owned(),
            file: Some("../demo.yaml".to_owned()),
            accepted_at: String::new(),
            accepted_by: String::new(),
            reason: None,
            stages: BTreeMap::from([("evaluate".parse().unwrap(), measured)]),
        };
        let json = baseline.to_json();
        assert!(json.contains("\n        \"ranks\": [3,0,65535]\n"), "{json}");
        assert_eq!(serde_json::from_str::<Baseline>(&json).unwrap(), baseline);
    }

    #[test]
    fn only_results_over_the_same_data_are_comparable() {
        let accepted = measured(b"pool", 5.0);
        assert_eq!(measured(b"pool", 5.0).differs_in(&accepted), None);
        assert_eq!(measured(b"other", 5.0).differs_in(&accepted), Some("pool"));
        assert_eq!(measured(b"pool", 6.0).differs_in(&accepted), Some("queries"));
        let words = |one: Measured| one.other_data(&accepted).unwrap_or_default();
        assert_eq!(words(measured(b"pool", 6.0)), "measured on other queries than the accepted one");
        assert!(words(measured(b"other", 5.0)).ends_with("(other rows, or the same in another order)"));
    }
}

//! The files inside the artifacts of the built-in kinds: their names, and how a later stage reads them.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, FileEntry, InputArtifact, StageContext, StageError, Tree};
use pipeline_data::{DataError, ImagePlace, QueryRow, StoredTokens, StoredVectors};
use pipeline_kernels::{Matrix, RowReader};
use pipeline_models::checkpoint::{Checkpoint, FeatureSpace};
use pipeline_models::{Precision, TokenLayout};
use serde::{Deserialize, Serialize};

use crate::{table_files, tokens};

/// The file with the rejected rows: one [`RejectedRow`] per line. Absent when there are none.
pub(crate) const REJECTS: &str = "rejects.jsonl";

/// The description of the vectors of a features artifact.
// Readers of a folder of Parquet (pyarrow, pandas, Spark) skip names that begin with `_`.
pub(crate) const FEATURES: &str = "_features.json";

/// The name of [`FEATURES`] in artifacts of earlier versions, which `run --accept` may keep.
const FEATURES_BEFORE: &str = "features.json";

/// The weights of trained heads.
pub(crate) const PROJECTION: &str = "projection.safetensors";

/// The losses of a training, step by step.
pub(crate) const HISTORY: &str = "history.csv";

/// The metrics of an evaluation, by name.
pub(crate) const METRICS: &str = "metrics.json";

/// The top of every query's ranking.
pub(crate) const RANKINGS: &str = "rankings.parquet";

/// The result for each query that counts.
pub(crate) const PER_QUERY: &str = "per_query.parquet";

/// The result for each image that a query names.
pub(crate) const PER_IMAGE: &str = "per_image.parquet";

/// A row that could not be used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RejectedRow {
    /// The file of the source, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// The 1-based line, row or member of the file; `None` where the file is the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// The row's id, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The reason why it could not be used.
    pub(crate) reason: String,
}

impl RejectedRow {
    /// The row in a place.
    pub(crate) fn at(place: ImagePlace, id: Option<String>, reason: String) -> Self {
        Self { file: place.file, line: place.number, id, reason }
    }

    /// The place in the files of `path`, after `the first`.
    fn place(&self, path: &Path) -> String {
        let unit = table_files::unit(path);
        match (&self.file, self.line) {
            (None, Some(line)) => format!("at {unit} {line}"),
            (None, None) => "the file itself".to_owned(),
            (Some(file), None) => format!("`{file}`"),
            (Some(file), Some(line)) => format!("at {} {line} of `{file}`", if unit == "line" { "row" } else { unit }),
        }
    }
}

/// The vectors of a features artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeaturesInfo {
    /// The number of values per vector.
    pub(crate) dim: usize,
    /// The type of the numbers: `f32`, or `f16` of tokens in half precision.
    pub(crate) dtype: String,
    /// The order of the vectors of a row, if it has those of all its tokens; `None` of pooled vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<TokenLayout>,
    /// The feature space; `None` in artifacts of earlier versions.
    #[serde(default)]
    pub(crate) space: Option<FeatureSpace>,
}

/// The name of a shard, by its index in its folder; names sort in the order of the rows.
pub(crate) fn shard_name(shard_idx: usize) -> String {
    format!("part-{shard_idx:05}.parquet")
}

/// The paths of all of an artifact's shards, in the order of their rows. Reads every one, to verify it.
pub(crate) fn shards(artifact: &InputArtifact) -> Result<Vec<PathBuf>, StageError> {
    artifact.files(&shard_names(&artifact.tree))
}

/// The names of an artifact's shards, in the order of their rows.
pub(crate) fn shard_names(tree: &Tree) -> Vec<&str> {
    shard_files(tree).into_iter().map(|(name, _)| name.as_str()).collect()
}

/// The digests of an artifact's shards, in the order of their rows.
pub(crate) fn shard_digests(tree: &Tree) -> Vec<Digest> {
    shard_files(tree).into_iter().map(|(_, entry)| entry.digest).collect()
}

fn shard_files(tree: &Tree) -> Vec<(&String, &FileEntry)> {
    let mut files: Vec<_> = tree.files.iter().filter(|(name, _)| is_shard(name)).collect();
    // In one folder, earlier versions gave `part-100000` to the shard after `part-99999`.
    files.sort_by_key(|(name, _)| name.len());
    files
}

/// An artifact without its shards: only the files that describe them.
pub fn without_shards(tree: &Tree) -> Tree {
    let files = tree.files.iter().filter(|(name, _)| !is_shard(name));
    Tree { files: files.map(|(name, entry)| (name.clone(), *entry)).collect(), ..Tree::default() }
}

fn is_shard(name: &str) -> bool {
    name.starts_with("part-") && name.ends_with(".parquet")
}

/// The input in `slot`.
pub(crate) fn input<'a>(context: &'a StageContext<'_>, slot: &str) -> &'a InputArtifact {
    context.inputs.get(slot).unwrap_or_else(|| panic!("BUG: input `{slot}` is checked when the stage is built"))
}

/// All query rows of an artifact, in order.
pub(crate) fn queries(artifact: &InputArtifact) -> Result<Vec<QueryRow>, StageError> {
    let mut rows = Vec::new();
    for path in shards(artifact)? {
        rows.extend(query_shard(&path)?);
    }
    Ok(rows)
}

/// The ids of the images that the queries of an artifact name.
pub(crate) fn named_images(artifact: &InputArtifact) -> Result<HashSet<String>, StageError> {
    let mut named = HashSet::new();
    for path in shards(artifact)? {
        named.extend(query_shard(&path)?.into_iter().filter_map(|row| row.image_ids).flatten());
    }
    Ok(named)
}

/// The rows of one shard of queries.
pub(crate) fn query_shard(path: &Path) -> Result<Vec<QueryRow>, StageError> {
    pipeline_data::read_query_shard(path).map_err(|error| StageError::because("the queries cannot be read", error))
}

/// The vectors of a features artifact with their ids.
///
/// # Shapes
/// `vectors`: `[ids.len(), dim]`, or tokens of as many rows
pub(crate) struct Features<Vectors = Matrix> {
    pub(crate) ids: Vec<Option<String>>,
    pub(crate) vectors: Vectors,
}

impl<Rows: RowReader + 'static> Features<Rows> {
    /// The same, for readers that may outlive the artifact: its files stay as long as they.
    pub(crate) fn kept(self, artifact: &InputArtifact) -> Features<Box<dyn RowReader>> {
        let vectors = RowsOfArtifact { rows: self.vectors, _artifact: artifact.clone() };
        Features { ids: self.ids, vectors: Box::new(vectors) }
    }
}

/// Rows of an artifact that is open as long as they.
#[derive(Debug)]
struct RowsOfArtifact<Rows> {
    rows: Rows,
    _artifact: InputArtifact,
}

impl<Rows: RowReader> RowReader for RowsOfArtifact<Rows> {
    fn n_rows(&self) -> usize {
        self.rows.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.rows.n_cols()
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        self.rows.read_rows(rows, values)
    }

    fn announce(&self, rows: &[usize]) {
        self.rows.announce(rows);
    }

    fn in_memory(&self, rows: Range<usize>) -> Option<&[f32]> {
        self.rows.in_memory(rows)
    }
}

/// The trained heads of a projection.
pub(crate) fn heads(projection: &InputArtifact) -> Result<Checkpoint, StageError> {
    Checkpoint::read(&projection.file(PROJECTION)?)
        .map_err(|error| StageError::because("the trained heads cannot be read", error))
}

/// All vectors of a features artifact, in order, which are read when they are needed. `scratch` is the folder of a
/// stage for files that do not stay.
///
/// # Errors
/// When they cannot be read, or are those of tokens.
pub(crate) fn stored_features(
    artifact: &InputArtifact,
    slot: &str,
    scratch: Option<&Path>,
) -> Result<Features<StoredVectors>, StageError> {
    let dim = must_be_pooled(artifact, slot)?.dim;
    let (ids, vectors) = StoredVectors::open(shards(artifact)?, dim, scratch)
        .map_err(|error| StageError::because(format!("the features of input `{slot}` cannot be read"), error))?;
    Ok(Features { ids, vectors })
}

/// The token vectors of an artifact, in order, which are read when they are needed. `scratch` is the folder of a stage
/// for files that do not stay.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn stored_tokens(
    artifact: &InputArtifact,
    slot: &str,
    scratch: Option<&Path>,
) -> Result<Features<StoredTokens>, StageError> {
    let width = read_features_info(artifact)?.dim;
    let (ids, vectors) =
        StoredTokens::open(shards(artifact)?, width, scratch).map_err(|error| no_tokens(slot, error))?;
    Ok(Features { ids, vectors })
}

/// The error for tokens that cannot be read.
pub(crate) fn no_tokens(slot: &str, error: impl std::error::Error + Send + Sync + 'static) -> StageError {
    StageError::because(format!("the tokens of input `{slot}` cannot be read"), error)
}

/// The description of features that are not those of tokens.
fn must_be_pooled(artifact: &InputArtifact, slot: &str) -> Result<FeaturesInfo, StageError> {
    let info = read_features_info(artifact)?;
    if info.tokens.is_some() {
        let message = format!(
            "input `{slot}` has the vectors of all tokens (`pooling: {}`), and one for each row is needed",
            tokens::POOLING
        );
        return Err(StageError::new(message).with_help("another `pooling` gives one vector for each row"));
    }
    Ok(info)
}

/// The order of the token vectors of an artifact; `None` where rows have one vector.
pub(crate) fn layout(artifact: &InputArtifact) -> Result<Option<TokenLayout>, StageError> {
    // A program may leave features without their description's new fields, and nothing else says `tokens`.
    Ok(read_features_info(artifact)?.tokens)
}

/// The description of the vectors of a features artifact.
pub(crate) fn read_features_info(artifact: &InputArtifact) -> Result<FeaturesInfo, StageError> {
    let is_old = artifact.tree.files.contains_key(FEATURES_BEFORE);
    read_json(&artifact.file(if is_old { FEATURES_BEFORE } else { FEATURES })?)
}

/// The feature space of an artifact; `None` in artifacts of earlier versions.
pub(crate) fn feature_space(artifact: &InputArtifact) -> Result<Option<FeatureSpace>, StageError> {
    Ok(read_features_info(artifact)?.space)
}

/// Reads a JSON file of an artifact.
pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, StageError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StageError::because(format!("`{}` cannot be read", path.display()), error)
    };
    let text = pipeline_files::read_to_string(path).map_err(|error| failed(error.into()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.into()))
}

/// Writes a JSON file, pretty-printed, with a trailing newline.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StageError> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data becomes JSON");
    text.push('\n');
    fs::write(path, text).map_err(|error| unwritable(path, error))
}

/// Lists the rejected rows; writes nothing when there are none.
pub(crate) fn write_rejects(scratch: &Path, rejects: &[RejectedRow]) -> Result<(), StageError> {
    if rejects.is_empty() {
        return Ok(());
    }
    let path = scratch.join(REJECTS);
    let mut text = Vec::new();
    for reject in rejects {
        serde_json::to_writer(&mut text, reject).expect("plain data becomes JSON");
        text.push(b'\n');
    }
    fs::File::create(&path).and_then(|mut file| file.write_all(&text)).map_err(|error| unwritable(&path, error))
}

/// Warns with the number of rejected rows and quotes the first: its file, its line and the `column` that is at fault.
pub(crate) fn warn_rejects(
    context: &StageContext<'_>,
    what: &str,
    path: &Path,
    column: impl Fn(&RejectedRow) -> Option<&'static str>,
    rejects: &[RejectedRow],
) {
    let Some(first) = rejects.first() else { return };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let of_file = if first.file.is_none() && first.line.is_some() { format!(" of `{file}`") } else { String::new() };
    let place = first.place(path) + &of_file;
    let column = column(first).map(|column| format!("{column}: ")).unwrap_or_default();
    let more = if rejects.len() > 1 { format!("; `{REJECTS}` in the artifact lists all") } else { String::new() };
    let plural = if rejects.len() == 1 { "" } else { "s" };
    context.host.warn(format!(
        "{} {what}{plural} skipped, the first {place}: {column}{}{more}",
        rejects.len(),
        first.reason
    ));
}

/// The input that a stage expects, for the message about a file without usable rows.
pub(crate) struct Wanted {
    /// The rows, such as `queries`.
    pub(crate) rows: &'static str,
    /// One row, such as `line`.
    pub(crate) row: &'static str,
    /// The appearance of such a file, in the words of [`pipeline_data::looks_like`]; empty where it is no file of
    /// lines.
    pub(crate) looks: &'static str,
    /// A whole sentence about the expected input.
    pub(crate) help: &'static str,
}

/// The error for a file without usable rows: a stage without rows would look like a successful one.
pub(crate) fn nothing_usable(path: &Path, wanted: &Wanted, rejects: &[RejectedRow]) -> StageError {
    let Wanted { rows: what, row, looks, help } = wanted;
    let shown = path.display();
    let message = match rejects {
        [] if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) => {
            format!("`{shown}` has no {what}: it is empty")
        }
        [] if looks.is_empty() => format!("`{shown}` has no {what}, or none that are taken"),
        [] => format!("`{shown}` has no {what}: all its lines are blank"),
        [only] => {
            let place = only.place(path);
            let place = place.strip_prefix("at ").unwrap_or(&place);
            format!("`{shown}` has no {what}: its only {row}, {place}, cannot be used: {}", only.reason)
        }
        [first, ..] => {
            let n = rejects.len();
            format!(
                "`{shown}` has no {what}: none of its {n} {row}s can be used, the first {}: {}",
                first.place(path),
                first.reason
            )
        }
    };
    let found =
        pipeline_data::looks_like(path).filter(|found| !rejects.is_empty() && !looks.is_empty() && found != looks);
    let found = found.map(|found| format!("it looks like {found}; ")).unwrap_or_default();
    StageError::new(message).with_help(format!("{found}{help}"))
}

pub(crate) fn unwritable(path: &Path, error: io::Error) -> StageError {
    StageError::because(format!("`{}` cannot be written", path.display()), error)
}

/// A thread pool of the stage's size.
pub(crate) fn thread_pool(n_threads: usize) -> Result<rayon::ThreadPool, StageError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads.max(1))
        .build()
        .map_err(|error| StageError::because("the threads cannot be started", error))
}

/// The part of a headline about the rounding of products; `None` for single precision on a processor.
pub(crate) fn precision_note(device: pipeline_core::Device, precision: Precision) -> Option<String> {
    let name = precision.name();
    match (device, precision) {
        (pipeline_core::Device::Cpu, Precision::F32) => None,
        (pipeline_core::Device::Cpu, _) => Some(format!("precision {name}, and in f32 on the processor")),
        (pipeline_core::Device::Cuda | pipeline_core::Device::Wgpu, _) => Some(format!("precision {name}")),
    }
}

/// Converts the device of a run, and the number of one of its cards, to that of an encoder.
pub const fn device(device: pipeline_core::Device, number: Option<u16>) -> pipeline_models::Device {
    let interface = match device {
        pipeline_core::Device::Cpu => return pipeline_models::Device::Cpu,
        pipeline_core::Device::Cuda => pipeline_models::Interface::Cuda,
        pipeline_core::Device::Wgpu => pipeline_models::Interface::Wgpu,
    };
    pipeline_models::Device::Gpu(pipeline_models::Gpu { interface, number })
}

/// Stops a reader once the run is cancelled.
pub(crate) fn go_on(context: &StageContext<'_>) -> ControlFlow<()> {
    if context.host.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// The error of a reader, unless it was only stopped.
pub(crate) fn unreadable(message: &str, error: DataError) -> StageError {
    match error {
        DataError::Stopped { .. } => StageError::cancelled(),
        error => StageError::because(message, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An artifact with shards of these names.
    fn with_shards(names: impl Iterator<Item = String>) -> Tree {
        let others = [FEATURES, REJECTS].map(str::to_owned);
        let names = names.chain(others).enumerate();
        let files = names.map(|(idx, name)| (name, FileEntry::new(Digest::of(&idx.to_le_bytes()), 0)));
        Tree { files: files.collect(), ..Tree::default() }
    }

    #[test]
    fn shards_are_in_the_order_of_their_rows_however_many_there_are() {
        let digest = |shard_idx: usize| Digest::of(&shard_idx.to_le_bytes());
        let in_folders = (0..100_012).map(|idx| format!("part-{:05}/{}", idx / 1000, shard_name(idx % 1000)));
        for names in [(0..1000).map(shard_name).collect::<Vec<_>>(), in_folders.collect()] {
            assert!(names.is_sorted(), "also for other readers of the folder");
            let n_shards = names.len();
            let digests = shard_digests(&with_shards(names.into_iter()));
            assert!(digests.into_iter().eq((0..n_shards).map(digest)), "{n_shards} shards");
        }
        let of_earlier_versions = (0..100_012).map(|shard_idx| format!("part-{shard_idx:05}.parquet"));
        let digests = shard_digests(&with_shards(of_earlier_versions));
        assert!(digests.into_iter().eq((0..100_012).map(digest)));
    }
}

//! The vectors of an import with their ids: read, checked, and sorted like the queries.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, StageContext, StageError};
use pipeline_data::{DataError, QueryRow, VectorShard, shortened};

use super::ImportFeatures;
use super::files::Files;
use super::params::{FileFormat, IdPart};
use crate::relevance::has_text;

/// Vectors by id; every id is unique and every number is finite.
///
/// # Shapes
/// `values`: `[n_vectors, dim]`, where row `order[i]` belongs to `ids[i]`
pub(super) struct Rows {
    pub(super) ids: Vec<String>,
    pub(super) dim: usize,
    order: Vec<usize>,
    values: Vec<f32>,
}

impl Rows {
    /// Reads all files of an import.
    ///
    /// # Errors
    /// When a file cannot be read or one of its rows cannot be used: the message has the place and the reason.
    pub(super) fn read(stage: &ImportFeatures, files: &Files, context: &StageContext<'_>) -> Result<Self, StageError> {
        let shared_ids = match (stage.format, files.ids.as_slice()) {
            (FileFormat::Npy, [ids]) => Some((ids, pipeline_data::read_ids(ids).map_err(unreadable)?)),
            _ => None,
        };
        let mut reading = Reading::default();
        for (file_idx, path) in files.vectors.iter().enumerate() {
            if context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let vectors = match &shared_ids {
                Some((ids_path, ids)) => with_ids(path, ids_path, ids, reading.n_rows)?,
                None => read_file(stage, files, file_idx).map_err(unreadable)?,
            };
            reading.add(path, vectors, stage.params.id_part)?;
        }
        if let Some((path, ids)) = &shared_ids
            && ids.len() != reading.n_rows
        {
            return Err(other_number(path, ids.len(), reading.n_rows));
        }
        Ok(reading.finish())
    }

    /// Warns of ids that are unlikely to match those of the queries, since they are compared verbatim.
    pub(super) fn warn_about_ids(&self, context: &StageContext<'_>) {
        let mut padded = self.ids.iter().filter(|id| id.trim().len() != id.len());
        if let Some(first) = padded.next() {
            let n_ids = 1 + padded.count();
            let ids = if n_ids == 1 { "1 id begins or ends".to_owned() } else { format!("{n_ids} ids begin or end") };
            context.host.warn(format!("{ids} with white space, which belongs to the id, such as {first:?}"));
        }
    }

    /// The vector at an index of `ids`.
    pub(super) fn vector(&self, row_idx: usize) -> &[f32] {
        &self.values[self.order[row_idx] * self.dim..][..self.dim]
    }

    /// The digest of an id and its vector.
    pub(super) fn digest(&self, row_idx: usize) -> Digest {
        let id = &self.ids[row_idx];
        let mut bytes = (id.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend(self.vector(row_idx).iter().flat_map(|value| value.to_le_bytes()));
        Digest::of(&bytes)
    }

    /// Keeps the vectors of these queries, in their order; returns the number of the others.
    ///
    /// # Errors
    /// When a query has no id or no vector: the message counts them and names the first. When two queries with one id
    /// have other texts, since there is one vector for both.
    pub(super) fn take_for(&mut self, queries: &[QueryRow], path: &Path) -> Result<usize, StageError> {
        one_text_for_each_id(queries)?;
        let places: HashMap<&str, usize> =
            self.ids.iter().map(String::as_str).zip(self.order.iter().copied()).collect();
        let place = |query: &QueryRow| places.get(query.id.as_deref()?).copied();
        let missing: Vec<_> = queries.iter().enumerate().filter(|(_, query)| place(query).is_none()).collect();
        if let Some((query_idx, query)) = missing.first() {
            let first = match &query.id {
                Some(id) => format!("the first is `{id}`"),
                None => format!("the first, row {}, has no id", query_idx + 1),
            };
            let message = format!(
                "{} of {} queries have no vector in `{}`: {first}",
                missing.len(),
                queries.len(),
                path.display()
            );
            return Err(StageError::new(message).with_help("the vectors' ids must be those of the queries, as text"));
        }
        let order: Vec<usize> = queries.iter().filter_map(place).collect();
        let n_used = order.iter().collect::<std::collections::BTreeSet<_>>().len();
        let n_unused = self.ids.len() - n_used;
        self.ids = queries.iter().filter_map(|query| query.id.clone()).collect();
        self.order = order;
        Ok(n_unused)
    }
}

/// Fails where queries with one id have different texts: a vector is of one text.
fn one_text_for_each_id(queries: &[QueryRow]) -> Result<(), StageError> {
    let mut first_with: HashMap<&str, usize> = HashMap::new();
    let mut others = queries.iter().enumerate().filter_map(|(row_idx, query)| {
        let id = query.id.as_deref().filter(|_| has_text(query))?;
        let first_idx = *first_with.entry(id).or_insert(row_idx);
        (queries[first_idx].text != query.text).then_some((id, first_idx, row_idx))
    });
    let Some((id, first_idx, row_idx)) = others.next() else { return Ok(()) };
    let n_queries = 1 + others.count();
    let queries_have = if n_queries == 1 { "1 query has".to_owned() } else { format!("{n_queries} queries have") };
    let text = |row_idx: usize| shortened(&queries[row_idx].text);
    let message = format!(
        "{queries_have} another text than an earlier query with the same id, and an id has one vector: `{id}` is `{}` \
         in row {} and `{}` in row {}",
        text(first_idx),
        first_idx + 1,
        text(row_idx),
        row_idx + 1
    );
    Err(StageError::new(message).with_help("give each text an id of its own, in the queries and beside the vectors"))
}

/// The rows read so far.
#[derive(Default)]
struct Reading {
    /// The first place of each id: the file and the row in it, from 1.
    seen: HashMap<String, (PathBuf, usize)>,
    ids: Vec<String>,
    dim: Option<usize>,
    values: Vec<f32>,
    n_rows: usize,
}

impl Reading {
    fn add(&mut self, path: &Path, vectors: VectorShard, id_part: IdPart) -> Result<(), StageError> {
        let wrong = |row_idx: usize, problem: String| {
            unreadable(DataError::Row { path: path.to_owned(), row: row_idx as u64 + 1, problem })
        };
        let VectorShard { ids, dim, values } = vectors;
        if ids.is_empty() {
            self.dim = self.dim.or(Some(dim));
            return Ok(());
        }
        if dim == 0 || self.n_rows > 0 && self.dim != Some(dim) {
            let before = self
                .dim
                .filter(|_| self.n_rows > 0)
                .map_or(String::new(), |dim| format!(", and the files before have {dim}"));
            return Err(wrong(0, format!("has a vector of {dim} numbers{before}")));
        }
        if let Some(value_idx) = values.iter().position(|value| !value.is_finite()) {
            let problem = format!("has a number that is no finite `f32`: {}", values[value_idx]);
            return Err(wrong(value_idx / dim, problem));
        }
        for (row_idx, id) in ids.into_iter().enumerate() {
            let id = id.map(|id| part_of(id, id_part)).filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| wrong(row_idx, "has no id".to_owned()))?;
            if let Some((first, first_row)) = self.seen.insert(id.clone(), (path.to_owned(), row_idx + 1)) {
                let problem = format!("has the id `{id}` of row {first_row} of `{}`", first.display());
                return Err(wrong(row_idx, problem));
            }
            self.ids.push(id);
        }
        self.n_rows = self.ids.len();
        self.dim = Some(dim);
        if self.values.is_empty() {
            self.values = values
        } else {
            self.values.extend_from_slice(&values)
        }
        Ok(())
    }

    fn finish(self) -> Rows {
        let order = (0..self.ids.len()).collect();
        Rows { ids: self.ids, dim: self.dim.unwrap_or(0), order, values: self.values }
    }
}

fn part_of(id: String, id_part: IdPart) -> String {
    match id_part {
        IdPart::Whole => id,
        IdPart::FileStem => Path::new(&id).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

fn read_file(stage: &ImportFeatures, files: &Files, file_idx: usize) -> Result<VectorShard, DataError> {
    let (path, id_column) = (&files.vectors[file_idx], stage.id_column());
    match stage.format {
        FileFormat::Jsonl => pipeline_data::read_jsonl_vectors(path, id_column, stage.vector_column()),
        FileFormat::Parquet => pipeline_data::read_table_vectors(path, id_column, stage.vector_column()),
        FileFormat::Npy | FileFormat::ClipRetrieval => {
            let (dim, values) = pipeline_data::read_npy_vectors(path)?;
            let ids = pipeline_data::read_table_texts(&files.ids[file_idx], id_column)?;
            if ids.len() * dim != values.len() {
                let problem =
                    format!("has {} rows, and `{}` has {}", ids.len(), path.display(), values.len() / dim.max(1));
                return Err(DataError::Malformed { path: files.ids[file_idx].clone(), problem });
            }
            Ok(VectorShard { ids, dim, values })
        }
    }
}

/// The vectors of a `.npy` file with the ids from `first_row` on.
fn with_ids(path: &Path, ids_path: &Path, ids: &[String], first_row: usize) -> Result<VectorShard, StageError> {
    let (dim, values) = pipeline_data::read_npy_vectors(path).map_err(unreadable)?;
    let n_rows = values.len() / dim.max(1);
    match ids.get(first_row..first_row + n_rows) {
        Some(ids) => Ok(VectorShard { ids: ids.iter().cloned().map(Some).collect(), dim, values }),
        None => Err(other_number(ids_path, ids.len(), first_row + n_rows)),
    }
}

fn other_number(ids_path: &Path, n_ids: usize, n_vectors: usize) -> StageError {
    StageError::new(format!("`{}` has {n_ids} ids, and there are {n_vectors} vectors", ids_path.display()))
        .with_help("the ids must be those of the vectors, row by row")
}

fn unreadable(error: DataError) -> StageError {
    StageError::because("the vectors cannot be imported", error)
}

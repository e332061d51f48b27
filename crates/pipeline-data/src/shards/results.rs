//! The results of an evaluation for every query, or image, in Parquet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, StringArray, UInt32Array};
use parquet::basic::{Compression, ZstdLevel};
use pipeline_eval::Direction;

use super::columns::{self, Column, Table};
use crate::DataError;

/// The key of the pool's digest in the file's metadata.
const POOL: &str = "pool";

/// The individual results, and the pool that was searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// A digest of the ids of the pool, in its order.
    pub pool: String,
    /// A row for every query or image that counts.
    pub rows: Vec<ResultRow>,
}

/// The result for one query, or for one image when the roles are exchanged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResultRow {
    /// Its id.
    pub id: Option<String>,
    /// The query's text; empty for an image.
    pub text: String,
    /// The number of its relevant ids, in the pool or not.
    pub n_relevant: u32,
    /// The number of these in the pool.
    pub n_in_pool: u32,
    /// Their 1-based ranks, ascending.
    pub relevant_ranks: Vec<u32>,
}

impl ResultRow {
    /// The best of the ranks, if there is one.
    pub fn best_rank(&self) -> Option<u32> {
        self.relevant_ranks.first().copied()
    }
}

/// The subject of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResultsOf {
    /// Images for queries.
    Queries,
    /// Texts for images.
    Images,
}

impl From<Direction> for ResultsOf {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::TextToImage => Self::Queries,
            Direction::ImageToText => Self::Images,
        }
    }
}

impl ResultsOf {
    fn id_column(self) -> &'static str {
        match self {
            Self::Queries => "query_id",
            Self::Images => "image_id",
        }
    }
}

/// Writes results.
///
/// # Errors
/// When the file cannot be written.
pub fn write_results(path: &Path, of: ResultsOf, results: &Results) -> Result<(), DataError> {
    let rows = &results.rows;
    let mut ranks = ListBuilder::new(UInt32Builder::new());
    for row in rows {
        ranks.values().append_slice(&row.relevant_ranks);
        ranks.append(true);
    }
    let counts = |count: fn(&ResultRow) -> Option<u32>| {
        Arc::new(UInt32Array::from_iter(rows.iter().map(count))) as Arc<dyn Array>
    };
    let ids = StringArray::from_iter(rows.iter().map(|row| row.id.as_deref()));
    let texts = StringArray::from_iter_values(rows.iter().map(|row| &row.text));
    let mut columns = vec![
        Column { name: of.id_column(), is_nullable: true, values: Arc::new(ids) },
        Column { name: "query_text", is_nullable: false, values: Arc::new(texts) },
        Column { name: "n_relevant", is_nullable: false, values: counts(|row| Some(row.n_relevant)) },
        Column { name: "n_in_pool", is_nullable: false, values: counts(|row| Some(row.n_in_pool)) },
        Column { name: "relevant_ranks", is_nullable: false, values: Arc::new(ranks.finish()) },
        Column { name: "best_rank", is_nullable: true, values: counts(ResultRow::best_rank) },
    ];
    columns.retain(|column| of == ResultsOf::Queries || column.name != "query_text");
    let metadata = BTreeMap::from([(POOL.to_owned(), results.pool.clone())]);
    columns::write(path, columns, &metadata, Compression::ZSTD(ZstdLevel::default()))
}

/// Reads results.
///
/// # Errors
/// When the file does not hold these results.
pub fn read_results(path: &Path, of: ResultsOf) -> Result<Results, DataError> {
    let table = Table::read(path, "results")?;
    let pool = table.metadata.get(POOL).cloned().ok_or_else(|| table.wrong())?;
    let mut rows = Vec::new();
    for batch in &table.batches {
        let ids = table.texts(batch, of.id_column())?;
        let texts = if of == ResultsOf::Queries { Some(table.texts(batch, "query_text")?) } else { None };
        let ranks = table.lists(batch, "relevant_ranks")?;
        let counts = |name: &str| table.column(batch, name, |array| array.as_primitive_opt::<UInt32Type>());
        let (n_relevant, n_in_pool) = (counts("n_relevant")?, counts("n_in_pool")?);
        for row_idx in 0..batch.num_rows() {
            let relevant_ranks = ranks.value(row_idx);
            let relevant_ranks = relevant_ranks.as_primitive_opt::<UInt32Type>().ok_or_else(|| table.wrong())?;
            rows.push(ResultRow {
                id: columns::text(ids, row_idx),
                text: texts.map(|texts| texts.value(row_idx).to_owned()).unwrap_or_default(),
                n_relevant: n_relevant.value(row_idx),
                n_in_pool: n_in_pool.value(row_idx),
                relevant_ranks: relevant_ranks.values().to_vec(),
            });
        }
    }
    Ok(Results { pool, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_as_they_were() {
        let found = ResultRow {
            id: Some("1".into()),
            text: "红".into(),
            n_relevant: 3,
            n_in_pool: 2,
            relevant_ranks: vec![4, 29_806],
        };
        let nothing = ResultRow { text: "绿".into(), n_relevant: 1, ..ResultRow::default() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("per_query.parquet");
        let results = Results { pool: "digest".into(), rows: vec![found, nothing] };
        write_results(&path, ResultsOf::Queries, &results).unwrap();
        assert_eq!(read_results(&path, ResultsOf::Queries).unwrap(), results);
        assert!(read_results(&path, ResultsOf::Images).is_err(), "these are not of images");
        let mut results = results;
        results.rows.iter_mut().for_each(|row| row.text.clear());
        write_results(&path, ResultsOf::Images, &results).unwrap();
        assert_eq!(read_results(&path, ResultsOf::Images).unwrap(), results);
    }
}

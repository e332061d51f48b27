//! The top of every query's ranking in Parquet.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{Array, StringArray, UInt32Array};
use parquet::basic::{Compression, ZstdLevel};
use pipeline_eval::RankingRow;

use super::columns::{self, Column, Table};
use crate::DataError;

/// Writes rankings.
///
/// # Errors
/// When the file cannot be written.
pub fn write_rankings(path: &Path, rows: &[RankingRow]) -> Result<(), DataError> {
    let mut scores = ListBuilder::new(Float32Builder::new());
    for row in rows {
        scores.values().append_slice(&row.top_scores);
        scores.append(true);
    }
    let ids = StringArray::from_iter(rows.iter().map(|row| row.query_id.as_deref()));
    let texts = StringArray::from_iter_values(rows.iter().map(|row| &row.query_text));
    let ranks = UInt32Array::from_iter(rows.iter().map(|row| row.rank));
    let lists = |list: fn(&RankingRow) -> &[String]| columns::lists_of_texts(rows.iter().map(|row| Some(list(row))));
    let columns = vec![
        Column { name: "query_id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "query_text", is_nullable: false, values: Arc::new(texts) },
        Column { name: "relevant", is_nullable: false, values: lists(|row| &row.relevant) },
        Column { name: "rank", is_nullable: true, values: Arc::new(ranks) },
        Column { name: "top_ids", is_nullable: false, values: lists(|row| &row.top_ids) },
        Column { name: "top_scores", is_nullable: false, values: Arc::new(scores.finish()) },
    ];
    columns::write(path, columns, &BTreeMap::new(), Compression::ZSTD(ZstdLevel::default()))
}

/// Reads rankings. An image that a query names twice is relevant to it once.
///
/// # Errors
/// When the file is not a shard of rankings.
pub fn read_rankings(path: &Path) -> Result<Vec<RankingRow>, DataError> {
    let table = Table::read(path, "rankings")?;
    let mut rows = Vec::new();
    for batch in &table.batches {
        let (ids, texts) = (table.texts(batch, "query_id")?, table.texts(batch, "query_text")?);
        let (relevant, top_ids) = (table.lists(batch, "relevant")?, table.lists(batch, "top_ids")?);
        let top_scores = table.lists(batch, "top_scores")?;
        let ranks = table.column(batch, "rank", |array| array.as_primitive_opt::<UInt32Type>())?;
        for row_idx in 0..batch.num_rows() {
            let scores = top_scores.value(row_idx);
            let scores = scores.as_primitive_opt::<Float32Type>().ok_or_else(|| table.wrong())?;
            rows.push(RankingRow {
                query_id: columns::text(ids, row_idx),
                query_text: texts.value(row_idx).to_owned(),
                relevant: distinct(table.list_of_texts(relevant, row_idx)?),
                rank: ranks.is_valid(row_idx).then(|| ranks.value(row_idx)),
                top_ids: table.list_of_texts(top_ids, row_idx)?,
                top_scores: scores.values().to_vec(),
            });
        }
    }
    Ok(rows)
}

/// The ids, each where it comes first.
fn distinct(mut ids: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_come_back_as_they_were() {
        let row = RankingRow {
            query_id: Some("1".into()),
            query_text: "红".into(),
            relevant: vec!["5".into()],
            rank: Some(2),
            top_ids: vec!["4".into(), "5".into()],
            top_scores: vec![0.5, 0.25],
        };
        let empty = RankingRow { query_id: None, rank: None, relevant: Vec::new(), ..row.clone() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rankings.parquet");
        let rows = vec![row, empty];
        write_rankings(&path, &rows).unwrap();
        assert_eq!(read_rankings(&path).unwrap(), rows);

        let named =
            |ids: &[&str]| RankingRow { relevant: ids.iter().map(|id| (*id).to_owned()).collect(), ..rows[0].clone() };
        write_rankings(&path, &[named(&["5", "4", "5", "5"])]).unwrap();
        assert_eq!(read_rankings(&path).unwrap(), [named(&["5", "4"])]);
    }
}

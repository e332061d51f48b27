//! Query rows in Parquet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, StringArray};
use parquet::basic::{Compression, ZstdLevel};

use super::columns::{self, Column, Table};
use crate::{DataError, QueryRow};

/// Writes query rows.
///
/// # Errors
/// When the file cannot be written.
pub fn write_query_shard(path: &Path, rows: &[QueryRow]) -> Result<(), DataError> {
    let ids = StringArray::from_iter(rows.iter().map(|row| row.id.as_deref()));
    let texts = StringArray::from_iter_values(rows.iter().map(|row| &row.text));
    let lists = columns::lists_of_texts(rows.iter().map(|row| row.image_ids.as_deref()));
    let columns = vec![
        Column { name: "query_id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "query_text", is_nullable: false, values: Arc::new(texts) },
        Column { name: "item_ids", is_nullable: true, values: lists },
    ];
    columns::write(path, columns, &BTreeMap::new(), Compression::ZSTD(ZstdLevel::default()))
}

/// Reads query rows.
///
/// # Errors
/// When the file is not a shard of queries.
pub fn read_query_shard(path: &Path) -> Result<Vec<QueryRow>, DataError> {
    let table = Table::read(path, "queries")?;
    let mut rows = Vec::new();
    for batch in &table.batches {
        let ids = table.texts(batch, "query_id")?;
        let texts = table.texts(batch, "query_text")?;
        let lists = table.lists(batch, "item_ids")?;
        for row_idx in 0..batch.num_rows() {
            let image_ids = lists.is_valid(row_idx).then(|| table.list_of_texts(lists, row_idx)).transpose()?;
            rows.push(QueryRow { id: columns::text(ids, row_idx), text: texts.value(row_idx).to_owned(), image_ids });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = vec![
            QueryRow {
                id: Some("1".into()), text: "红色 短裙".into(), image_ids: Some(vec!["7".into(), "8".into()])
            },
            QueryRow { id: None, text: String::new(), image_ids: None },
            QueryRow { id: Some("x".into()), text: "b".into(), image_ids: Some(Vec::new()) },
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        write_query_shard(&path, &rows).unwrap();
        assert_eq!(read_query_shard(&path).unwrap(), rows);
        let first = std::fs::read(&path).unwrap();
        write_query_shard(&path, &rows).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "equal rows give equal bytes");
        assert!(super::super::read_vectors(&path).unwrap_err().to_string().contains("does not have the columns"));
    }
}

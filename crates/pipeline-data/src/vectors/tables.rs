//! Vectors and ids in Parquet tables of other tools, and vectors as lists for them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use pipeline_kernels::{RowReader, each_block};

use super::{malformed, table_columns as columns, unwritten};
use crate::parquet_file::{guarded, must_be_unpacked, n_rows, unreadable};
use crate::shards::{Column, ColumnsWriter};
use crate::{DataError, VectorShard};

/// Rows per conversion.
const BATCH_ROWS: usize = 8192;

/// Reads a column of vectors with its ids: lists of any kind of numbers, or fixed-size binaries of little-endian `f32`.
///
/// # Errors
/// When the file cannot be read, has no such columns, or they hold something else.
pub fn read_table_vectors(path: &Path, id_column: &str, vector_column: &str) -> Result<VectorShard, DataError> {
    guarded(path, || {
        let table = Table::open(path, &[id_column, vector_column])?;
        let mut vectors = VectorShard { ids: Vec::new(), dim: 0, values: Vec::new() };
        table.read(&mut |batch| {
            let n_before = vectors.ids.len();
            columns::texts(path, id_column, column(batch, id_column), &mut vectors.ids)?;
            columns::vectors(path, column(batch, vector_column), n_before, &mut vectors)
        })?;
        Ok(vectors)
    })
}

/// Reads a column of texts or integers.
///
/// # Errors
/// When the file cannot be read, has no such column, or it holds something else.
pub fn read_table_texts(path: &Path, text_column: &str) -> Result<Vec<Option<String>>, DataError> {
    guarded(path, || {
        let mut ids = Vec::new();
        let table = Table::open(path, &[text_column])?;
        table.read(&mut |batch| columns::texts(path, text_column, column(batch, text_column), &mut ids))?;
        Ok(ids)
    })
}

/// Writes the columns `id` and `vector`, the latter as lists of `f32`, which every reader of Parquet understands.
///
/// # Errors
/// When a row cannot be read, or the file cannot be written.
///
/// # Panics
/// When there is not one id for each row: a bug of the caller.
pub fn write_list_vectors(path: &Path, ids: &[Option<String>], rows: &dyn RowReader) -> Result<(), DataError> {
    assert_eq!(ids.len(), rows.n_rows(), "BUG: an id for each row");
    let metadata = [("dim".to_owned(), rows.n_cols().to_string())].into();
    let mut writer = ColumnsWriter::new(path, &metadata, Compression::ZSTD(ZstdLevel::default()));
    if ids.is_empty() {
        writer.write_group(list_columns(&[], &[], rows.n_cols()))?;
    }
    each_block(rows, |block, values| {
        writer.write_group(list_columns(&ids[block], values, rows.n_cols())).map_err(io::Error::other)
    })
    .map_err(|error| unwritten(path, error))?;
    writer.close()
}

/// Columns of ids and vectors as lists.
fn list_columns(ids: &[Option<String>], values: &[f32], dim: usize) -> Vec<Column> {
    let ids = StringArray::from_iter(ids.iter().map(Option::as_deref));
    let mut lists = ListBuilder::new(Float32Builder::new());
    for vector in values.chunks_exact(dim.max(1)) {
        lists.values().append_slice(vector);
        lists.append(true);
    }
    vec![
        Column { name: "id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "vector", is_nullable: false, values: Arc::new(lists.finish()) },
    ]
}

/// A file of which only the named columns are read.
struct Table<'a> {
    path: &'a Path,
    builder: ParquetRecordBatchReaderBuilder<File>,
    n_rows: u64,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path, names: &[&str]) -> Result<Self, DataError> {
        let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        // Uses the types of the file itself: arrow's types beside them (dictionaries, views, long lists) hold the same
        // values.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
            .map_err(|error| unreadable(path, error))?;
        let n_rows = n_rows(path, builder.metadata())?;
        let fields = builder.schema().fields();
        let mut roots = Vec::new();
        for name in names {
            let found: Vec<usize> =
                fields.iter().enumerate().filter(|(_, field)| field.name() == name).map(|(idx, _)| idx).collect();
            match found.as_slice() {
                [root] => roots.push(*root),
                [] => {
                    let known: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name())).collect();
                    return Err(malformed(path, format!("has no column `{name}`, but {}", known.join(", "))));
                }
                several => {
                    return Err(malformed(path, format!("has {} columns `{name}`", several.len())));
                }
            }
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        must_be_unpacked(path, builder.metadata(), &mask)?;
        Ok(Self { path, builder: builder.with_batch_size(BATCH_ROWS).with_projection(mask), n_rows })
    }

    /// Passes all rows to `each`, in batches.
    fn read(self, each: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>) -> Result<(), DataError> {
        let path = self.path;
        let mut n_read = 0;
        for batch in self.builder.build().map_err(|error| unreadable(path, error))? {
            let batch = batch.map_err(|error| unreadable(path, error))?;
            n_read += batch.num_rows() as u64;
            each(&batch)?;
        }
        if n_read == self.n_rows {
            return Ok(());
        }
        Err(malformed(path, format!("is damaged: {n_read} of {} rows can be read", self.n_rows)))
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).expect("the column was found in the schema")
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{
        Array as _, BinaryArray, DictionaryArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array,
        Int8Array, Int16Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray,
        StringViewArray, UInt8Array, UInt16Array, UInt64Array,
    };
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;

    use super::*;
    use crate::shards::{write_columns, write_vectors};
    use pipeline_kernels::Matrix;

    fn write_shard(path: &Path, shard: &VectorShard) {
        let rows = Matrix::new(shard.ids.len(), shard.dim, shard.values.clone());
        write_list_vectors(path, &shard.ids, &rows).unwrap();
    }

    fn vectors() -> VectorShard {
        VectorShard { ids: vec![Some("a".into()), None], dim: 2, values: vec![1.0, -0.5, f32::MAX, 1e-40] }
    }

    #[test]
    fn lists_and_shards_of_the_store_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_shard(&path, &vectors());
        assert_eq!(read_table_vectors(&path, "id", "vector").unwrap(), vectors());
        write_vectors(&path, &vectors(), &[("dim".to_owned(), "2".to_owned())].into()).unwrap();
        assert_eq!(read_table_vectors(&path, "id", "vector").unwrap(), vectors());
        assert_eq!(read_table_texts(&path, "id").unwrap(), vectors().ids);
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_shard(&path, &vectors());
        let refused = |id, vector| {
            read_table_vectors(&path, id, vector).unwrap_err().to_string().replace(path.to_str().unwrap(), "x")
        };
        assert_eq!(refused("image_path", "vector"), "`x` has no column `image_path`, but `id`, `vector`");
        let lists = refused("vector", "vector");
        assert!(lists.starts_with("`x` has a column `vector` of type List"), "{lists}");
        assert_eq!(refused("id", "id"), "`x` has vectors of type Utf8, not lists of numbers");
    }

    /// pyarrow's other codecs, and types whose values are texts, integers and numbers all the same.
    #[test]
    fn every_codec_and_type_of_ids_and_numbers_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let ids: Vec<ArrayRef> = vec![
            Arc::new(Int8Array::from(vec![7, 8])),
            Arc::new(UInt8Array::from(vec![7, 8])),
            Arc::new(Int16Array::from(vec![7, 8])),
            Arc::new(UInt16Array::from(vec![7, 8])),
            Arc::new(UInt64Array::from(vec![7, 8])),
            Arc::new(StringArray::from(vec!["7", "8"])),
            Arc::new(LargeStringArray::from(vec!["7", "8"])),
            Arc::new(StringViewArray::from(vec!["7", "8"])),
            Arc::new(BinaryArray::from(vec![b"7".as_slice(), b"8"])),
            Arc::new(LargeBinaryArray::from(vec![b"7".as_slice(), b"8"])),
            Arc::new(vec!["7", "8"].into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        let numbers: Vec<ArrayRef> = vec![
            Arc::new(Float16Array::from(
                vec![1.0, 2.0, 3.0, 4.0].into_iter().map(half::f16::from_f32).collect::<Vec<_>>(),
            )),
            Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0])),
            Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0])),
            Arc::new(Int8Array::from(vec![1, 2, 3, 4])),
            Arc::new(UInt16Array::from(vec![1, 2, 3, 4])),
            Arc::new(Int64Array::from(vec![1, 2, 3, 4])),
        ];
        let element = |numbers: &ArrayRef| Arc::new(Field::new("item", numbers.data_type().clone(), true));
        let lists: [fn(Arc<Field>, ArrayRef) -> ArrayRef; 3] = [
            |field, numbers| Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([2, 2]), numbers, None)),
            |field, numbers| Arc::new(LargeListArray::new(field, OffsetBuffer::from_lengths([2, 2]), numbers, None)),
            |field, numbers| Arc::new(FixedSizeListArray::new(field, 2, numbers, None)),
        ];
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(Default::default()),
        ];
        let expect =
            VectorShard { ids: vec![Some("7".into()), Some("8".into())], dim: 2, values: vec![1.0, 2.0, 3.0, 4.0] };
        for case in 0..60 {
            let (ids, numbers) = (&ids[case % ids.len()], &numbers[case % numbers.len()]);
            let list = lists[case % lists.len()](element(numbers), numbers.clone());
            let what = format!("{} {} {}", ids.data_type(), list.data_type(), codecs[case % codecs.len()]);
            let columns = vec![
                Column { name: "id", is_nullable: false, values: ids.clone() },
                Column { name: "vector", is_nullable: false, values: list },
            ];
            write_columns(&path, columns, &Default::default(), codecs[case % codecs.len()]).unwrap();
            assert_eq!(read_table_vectors(&path, "id", "vector").unwrap(), expect, "{what}");
        }
    }

    #[test]
    fn a_null_in_a_vector_is_named_with_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let mut lists = ListBuilder::new(Float32Builder::new());
        lists.values().append_slice(&[1.0, 2.0]);
        lists.append(true);
        lists.values().append_value(1.0);
        lists.values().append_null();
        lists.append(true);
        let columns = vec![
            Column { name: "id", is_nullable: false, values: Arc::new(StringArray::from(vec!["a", "b"])) },
            Column { name: "vector", is_nullable: false, values: Arc::new(lists.finish()) },
        ];
        write_columns(&path, columns, &Default::default(), Compression::UNCOMPRESSED).unwrap();
        let error = read_table_vectors(&path, "id", "vector").unwrap_err().to_string();
        assert!(error.starts_with("row 2 of `") && error.ends_with("has a vector whose number 2 is null"), "{error}");
    }

    /// The file is pyarrow's, with a checksum for every page: 16 vectors of 8 numbers.
    #[test]
    fn a_page_that_differs_from_its_checksum_is_refused() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/data/vectors");
        let bytes = std::fs::read(fixtures.join("page_checksums.parquet")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_table_vectors(&path, "id", "vector")
        };
        let intact = read(&bytes).unwrap();
        assert_eq!((intact.ids.len(), intact.dim, intact.values[9]), (16, 8, 9.25));
        let numbers: Vec<u8> = intact.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let begin = bytes.windows(numbers.len()).position(|window| window == numbers).expect("plain numbers");
        for place in (begin..begin + numbers.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            let error = read(&damaged).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                error.to_string().ends_with("is not readable Parquet") && cause.contains("CRC"),
                "{error}: {cause}"
            );
        }
    }

    /// Even without checksums: rows may differ, but none is lost silently.
    #[test]
    fn a_damaged_file_never_has_fewer_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_shard(&path, &vectors());
        let bytes = std::fs::read(&path).unwrap();
        for (place, mask) in (0..bytes.len()).flat_map(|place| [(place, 1 << ((place + 3) % 8)), (place, 0x7e)]) {
            let mut damaged = bytes.clone();
            damaged[place] ^= mask;
            std::fs::write(&path, &damaged).unwrap();
            if let Ok(read) = read_table_vectors(&path, "id", "vector") {
                assert_eq!((read.ids.len(), read.values.len()), (2, read.dim * 2), "byte {place} ^ {mask:#x}");
            }
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_or_other_vectors_and_never_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write_shard(&path, &vectors());
        let bytes = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_table_vectors(&path, "id", "vector").is_ok()
        };
        let n_refused = (0..bytes.len()).filter(|place| {
            let mut damaged = bytes.clone();
            damaged[*place] ^= 1 << (place % 8);
            !read(&damaged)
        });
        assert!(n_refused.count() > 0);
        assert!((0..bytes.len()).all(|length| !read(&bytes[..length])));
    }
}

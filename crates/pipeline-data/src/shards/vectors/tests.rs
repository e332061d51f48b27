//! Vectors come back unchanged, in the files that the parquet crate would have written.

use super::*;

/// Distinct vectors, every third row without an id.
pub(super) fn shard(n_rows: usize, dim: usize) -> VectorShard {
    VectorShard {
        ids: (0..n_rows).map(|row_idx| (row_idx % 3 != 2).then(|| format!("row {row_idx}"))).collect(),
        dim,
        values: (0..n_rows * dim).map(|idx| (idx as f32 * 0.618_034).fract() - 0.5).collect(),
    }
}

pub(super) fn metadata(dim: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("dim".to_owned(), dim.to_string()), ("pooling".to_owned(), "cls".to_owned())])
}

/// Writes a shard and returns the file's bytes after reading it back.
fn check(shard: &VectorShard) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part-00000.parquet");
    let digest = write_vectors(&path, shard, &metadata(shard.dim)).unwrap();
    let file = std::fs::read(&path).unwrap();
    assert_eq!(digest, *blake3::hash(&file).as_bytes());
    assert!(read_vectors(&path).unwrap() == *shard, "{} rows of {} numbers", shard.ids.len(), shard.dim);
    file
}

#[test]
fn vectors_come_back_bit_for_bit() {
    let values = vec![1.0, -0.0, f32::MIN_POSITIVE, 1.0e-40, 3.5, f32::MAX];
    let shard = VectorShard { ids: vec![Some("a".into()), None], dim: 3, values };
    check(&shard);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part-00000.parquet");
    write_vectors(&path, &shard, &metadata(3)).unwrap();
    assert!(read_vectors(&path).unwrap().values[1].is_sign_negative());
}

#[test]
fn the_file_is_the_one_that_the_parquet_crate_writes() {
    let dims = [1, 3, 64, 200, 256, 300, 512, 768, 1000, 2048, 300_000];
    for (dim, n_rows) in dims.iter().flat_map(|dim| [0, 1, 100, 1024, 1025, 2500].map(|n_rows| (*dim, n_rows))) {
        if dim * n_rows > 3_000_000 {
            continue;
        }
        let shard = shard(n_rows, dim);
        let mut expected = Vec::new();
        write_with_arrow(&mut expected, Path::new("expected"), &shard, &metadata(dim)).unwrap();
        assert!(check(&shard) == expected, "{n_rows} rows of {dim} numbers");
    }
    let long = shard(45_000, 2);
    let mut expected = Vec::new();
    write_with_arrow(&mut expected, Path::new("expected"), &long, &metadata(2)).unwrap();
    assert!(check(&long) == expected, "pages that end for the number of their rows");
}

#[test]
fn vectors_in_other_pages_are_read_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("part-00000.parquet");
    let shard = shard(700, 40);
    write_compressed(&path, &shard);
    assert!(Vectors::find(&path, 40).unwrap().is_none());
    assert!(read_vectors(&path).unwrap() == shard);
}

/// Writes a shard in other pages.
pub(super) fn write_compressed(path: &Path, shard: &VectorShard) {
    let vectors = Buffer::from_vec(bytes::of(&shard.values).into_owned());
    let vectors = FixedSizeBinaryArray::try_new(4 * shard.dim as i32, vectors, None).unwrap();
    let ids = StringArray::from_iter(shard.ids.iter().map(Option::as_deref));
    let columns = vec![
        Column { name: "id", is_nullable: true, values: Arc::new(ids) },
        Column { name: "vector", is_nullable: false, values: Arc::new(vectors) },
    ];
    columns::write(path, columns, &metadata(shard.dim), Compression::ZSTD(Default::default())).unwrap();
}

#[test]
fn several_shards_are_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| folder.path().join(name));
    let shards = [shard(5, 4), shard(0, 4), shard(3, 4)];
    for (path, shard) in paths.iter().zip(&shards) {
        write_vectors(path, shard, &metadata(4)).unwrap();
    }
    let all = read_all_vectors(&paths).unwrap();
    assert_eq!(all.ids, shards.iter().flat_map(|shard| shard.ids.clone()).collect::<Vec<_>>());
    assert_eq!(all.values, shards.iter().flat_map(|shard| shard.values.clone()).collect::<Vec<_>>());
    write_vectors(&paths[2], &shard(3, 5), &metadata(5)).unwrap();
    assert!(matches!(read_all_vectors(&paths), Err(DataError::Schema { .. })), "vectors of another width");
    assert_eq!(read_all_vectors::<&Path>(&[]).unwrap(), VectorShard { ids: vec![], dim: 0, values: vec![] });
}

//! Times vectors on their way into a store and out of it: Parquet and digest, digest and Parquet.
//!
//! `vector_speed FOLDER N_ROWS DIM`, where FOLDER is empty and on the disk to be timed. Answers each line of the
//! standard input, `write` or `read`, by one JSON object. So another program can alternate rounds with those of others.
//! Nothing is synced: the times are those of the processor and the page cache.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use pipeline_core::{Digest, Tree};
use pipeline_data::VectorShard;
use pipeline_store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, n_rows, dim] = args.as_slice() else { return Err("vector_speed FOLDER N_ROWS DIM".into()) };
    let (n_rows, dim): (usize, usize) = (n_rows.parse()?, dim.parse()?);
    let store = Store::open(Path::new(folder))?;
    // The golden ratio times the index: numbers that do not repeat.
    let values = (0..n_rows * dim).map(|idx| (idx as f32 * 0.618_034).fract()).collect();
    let shard = VectorShard { ids: (0..n_rows).map(|row_idx| Some(row_idx.to_string())).collect(), dim, values };
    let tree = stored(&store, &shard)?;
    for line in std::io::stdin().lines() {
        let parts = match line?.as_str() {
            "write" => write(&store, &shard)?,
            "read" => read(&store, &tree, &shard)?,
            other => return Err(format!("`{other}` is neither `write` nor `read`").into()),
        };
        println!(
            "{}",
            serde_json::json!({ "bytes": n_rows * dim * 4, "seconds": parts[0] + parts[1], "parts": parts })
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// A tree with the shard as its one file.
fn stored(store: &Store, shard: &VectorShard) -> Result<Tree, Box<dyn Error>> {
    let scratch = store.workspace().scratch()?;
    pipeline_data::write_vectors(&scratch.folder().join("shard"), shard, &metadata(shard))?;
    Ok(store.cas().put_folder(scratch.folder())?)
}

/// Seconds for the file and its digest, and for making it an object.
fn write(store: &Store, shard: &VectorShard) -> Result<[f64; 2], Box<dyn Error>> {
    let scratch = store.workspace().scratch()?;
    let path = scratch.folder().join("shard");
    let start = Instant::now();
    let digest = pipeline_data::write_vectors(&path, shard, &metadata(shard))?;
    let write_seconds = start.elapsed().as_secs_f64();
    store.cas().prepare_file(&path, Some(Digest::from_bytes(digest)))?;
    let seconds = [write_seconds, start.elapsed().as_secs_f64() - write_seconds];
    // Checking the digest is not part of the time.
    store.cas().prepare_file(&path, None).map(|entry| assert_eq!(entry.digest.as_bytes(), &digest))?;
    Ok(seconds)
}

/// Seconds for the verification, and for the vectors.
fn read(store: &Store, tree: &Tree, expected: &VectorShard) -> Result<[f64; 2], Box<dyn Error>> {
    let start = Instant::now();
    let open = store.cas().open(tree)?;
    let open_seconds = start.elapsed().as_secs_f64();
    let shard = pipeline_data::read_vectors(&open.folder().join("shard"))?;
    let read_seconds = start.elapsed().as_secs_f64() - open_seconds;
    if shard != *expected {
        return Err("the vectors are not those that were written".into());
    }
    Ok([open_seconds, read_seconds])
}

fn metadata(shard: &VectorShard) -> BTreeMap<String, String> {
    BTreeMap::from([("dim".to_owned(), shard.dim.to_string())])
}

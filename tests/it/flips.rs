//! A flipped bit in any cached file is found, reported and repaired.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::damage::overwrite_silently;
use crate::project::Project;
use crate::random::Random;
use crate::recorded::{self, assert_intact, files_below, json};
use crate::recovery::Undisturbed;
use crate::sharded::{PUBLISHED, published, sharded};
use crate::soak::{rounds, show};

/// Enough for several shards of each sort.
const N_IMAGES: usize = 400;

/// A project that has run, with its published files.
fn settled() -> (Project, Undisturbed) {
    let project = sharded(N_IMAGES);
    recorded::run(&project, &[]);
    let undisturbed = Undisturbed::of(&project);
    (project, undisturbed)
}

fn files(project: &Project, folder: &str) -> Vec<PathBuf> {
    let folder = project.path("artifacts/store-v1").join(folder);
    files_below(&folder).into_iter().map(|file| folder.join(file)).collect()
}

/// Flips a bit somewhere in the part number `part_idx` of `n_parts` of the file.
fn flip_in_part(path: &Path, part_idx: usize, n_parts: usize, random: &mut Random) {
    let mut content = fs::read(path).unwrap();
    let (start, end) = (content.len() * part_idx / n_parts, content.len() * (part_idx + 1) / n_parts);
    let byte_idx = (start + random.below((end - start).max(1))).min(content.len() - 1);
    content[byte_idx] ^= 1 << random.below(8);
    overwrite_silently(path, &content);
}

/// `cache verify` reports exactly this file.
fn assert_reported(project: &Project, file: &Path, damaged: &str) {
    let report = json(project, &["cache", "verify", "--artifacts", "artifacts", "--json"]);
    let objects = report["damaged_objects"].as_array().unwrap().iter().map(|object| object["path"].clone());
    let records = report["damaged_records"].as_array().unwrap().iter().cloned();
    let reported: Vec<_> = objects.chain(records).collect();
    assert_eq!(reported, [file.canonicalize().unwrap().to_str().unwrap()], "{damaged}");
}

#[test]
fn a_flipped_bit_in_any_cached_file_is_reported_and_computed_again_with_a_warning() {
    let (project, undisturbed) = settled();
    let (n_positions, began, mut random) = (rounds(2, 20), Instant::now(), Random::new(30));
    let objects = files(&project, "objects");
    assert!(objects.len() >= 5, "{objects:?}");
    for object in &objects {
        for position in 0..n_positions {
            flip_in_part(object, position, n_positions, &mut random);
            let damaged = format!("{} in part {position}", object.display());
            assert_reported(&project, object, &damaged);
            // Now everything is needed: `digest` reads all shards, and both files are published.
            PUBLISHED.iter().for_each(|name| project.remove(name));
            let again = recorded::run(&project, &["--force", "digest"]);
            assert!(again.warnings().contains("damaged"), "{damaged}: {}", again.warnings());
            assert_eq!(published(&project), undisturbed.published, "{damaged}");
            assert!(again.n_shards_computed() <= 1, "{damaged}: {:?}", again.finished());
            assert_intact(&project, &damaged);
        }
    }
    let (n_flips, seconds) = (objects.len() * n_positions, began.elapsed().as_secs());
    show(&format!("{n_flips} flipped bits in {} cached files, {seconds} s", objects.len()));
}

#[test]
fn a_flipped_bit_in_any_record_is_reported_and_never_believed() {
    let (project, undisturbed) = settled();
    let (n_positions, began, mut random) = (rounds(1, 20), Instant::now(), Random::new(31));
    let records = files(&project, "actions");
    assert!(records.len() >= 8, "{records:?}");
    for record in &records {
        for position in 0..n_positions {
            flip_in_part(record, position, n_positions, &mut random);
            let damaged = format!("{} in part {position}", record.display());
            assert_reported(&project, record, &damaged);
            PUBLISHED.iter().for_each(|name| project.remove(name));
            recorded::run(&project, &["--force", "digest"]);
            assert_eq!(published(&project), undisturbed.published, "{damaged}");
            let repaired = project.run(&["cache", "verify", "--repair", "--artifacts", "artifacts"]);
            assert_eq!(repaired.code, Some(0), "{damaged}: {repaired:?}");
            // The records of shards are read only when their stage runs.
            recorded::run(&project, &["--force", "images", "--force", "queries"]);
            assert_intact(&project, &damaged);
            assert!(record.exists(), "{damaged}");
        }
    }
    let (n_flips, seconds) = (records.len() * n_positions, began.elapsed().as_secs());
    show(&format!("{n_flips} flipped bits in {} records, {seconds} s", records.len()));
}

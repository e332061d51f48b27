//! Bytes that are derived from a source stay as long as they are used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pipeline_core::{Digest, FileEntry, Tree};
use pipeline_store::CollectOptions;

use crate::fixture::{Fixture, flip_bit, record};

const INDEX: &[u8] = b"where each row is";

/// A store that keeps an index, and the object that holds it.
fn kept() -> (Fixture, pipeline_core::Key, PathBuf) {
    let mut fixture = Fixture::new();
    let by = record("index", 0, &Tree::default());
    fixture.store.keep_derived(&by.manifest, INDEX, by.provenance).unwrap();
    fixture.reopen();
    let entry = FileEntry { digest: Digest::of(INDEX), bytes: INDEX.len() as u64, executable: false };
    let object = fixture.object(&entry);
    (fixture, by.key, object)
}

fn age(object: &Path, days: u64) {
    let used = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    fs::File::open(object).unwrap().set_modified(used).unwrap();
}

#[test]
fn a_collection_spares_what_was_derived_and_used_in_the_last_month() {
    let (mut fixture, key, object) = kept();
    let limits =
        CollectOptions { max_bytes: Some(0), max_age: Some(Duration::from_secs(60)), ..CollectOptions::default() };
    for options in [CollectOptions::default(), limits] {
        age(&object, 29);
        fixture.store.collect(&options).unwrap();
        assert!(object.exists(), "{options:?}");
    }
    age(&object, 31);
    // Reading is use.
    assert_eq!(fixture.store.derived(&key).unwrap().as_deref(), Some(INDEX));
    fixture.reopen();
    fixture.store.collect(&CollectOptions::default()).unwrap();
    assert!(object.exists());
    age(&object, 31);
    fixture.store.collect(&CollectOptions::default()).unwrap();
    assert_eq!(fixture.store.derived(&key).unwrap(), None);
}

#[test]
fn damage_counts_as_absence_even_where_it_cannot_be_moved_away() {
    let (fixture, key, object) = kept();
    flip_bit(&object, 3);
    // As in a store that cannot be written.
    fs::write(fixture.in_store("quarantine"), "").unwrap();
    assert_eq!(fixture.store.derived(&key).unwrap(), None);
    assert!(object.exists());
}

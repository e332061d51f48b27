//! Digests of sources: of content, never of paths or times.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pipeline_core::Digest;
use pipeline_store::StoreError;

use crate::fixture::{Fixture, put};

#[test]
fn the_digest_follows_every_edit_however_quick() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("data.tsv");
    for edit_idx in 0..500 {
        // The same length and most often the same tick of the file system's clock.
        let content = format!("{edit_idx:04}");
        fs::write(&path, &content).unwrap();
        assert_eq!(fixture.store.source_digest(&path).unwrap(), Digest::of(content.as_bytes()));
    }
}

#[test]
fn touching_moving_or_another_process_changes_nothing() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("data.tsv");
    fs::write(&path, "rows").unwrap();
    let digest = fixture.store.source_digest(&path).unwrap();
    fixture.store.flush_sources().unwrap();
    fs::File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(fixture.another_handle().source_digest(&path).unwrap(), digest);
    let moved = fixture.folder.path().join("moved.tsv");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(fixture.another_handle().source_digest(&moved).unwrap(), digest);
}

#[test]
fn a_folder_has_the_digest_of_its_files_and_no_file_has_it() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("model");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("inner/.hidden"), "h").unwrap();
    let digest = fixture.store.source_digest(&folder).unwrap();
    let tree = put(&fixture.store, &[("config.json", b"{}"), ("inner/.hidden", b"h")]);
    assert_eq!(digest, tree.source_digest());
    let lines = tree.files.iter().map(|(name, entry)| format!("{} {name:?}\n", entry.digest));
    let like_it = fixture.folder.path().join("like it");
    fs::write(&like_it, lines.collect::<String>()).unwrap();
    assert_eq!(fixture.store.source_digest(&like_it).unwrap(), tree.digest());
    assert_ne!(fixture.store.source_digest(&like_it).unwrap(), digest);

    fs::write(folder.join("inner/.hidden"), "H").unwrap();
    assert_ne!(fixture.store.source_digest(&folder).unwrap(), digest);
    fs::write(folder.join("inner/.hidden"), "h").unwrap();
    assert_eq!(fixture.store.source_digest(&folder).unwrap(), digest);
    fs::rename(folder.join("config.json"), folder.join("konfig.json")).unwrap();
    assert_ne!(fixture.store.source_digest(&folder).unwrap(), digest);
}

#[test]
fn links_are_followed_as_in_a_hugging_face_cache_but_not_in_circles() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("snapshot");
    fs::create_dir(&folder).unwrap();
    fs::write(fixture.folder.path().join("blob"), "weights").unwrap();
    std::os::unix::fs::symlink("../blob", folder.join("model.safetensors")).unwrap();
    let digest = fixture.store.source_digest(&folder).unwrap();
    assert_eq!(digest, put(&fixture.store, &[("model.safetensors", b"weights")]).source_digest());

    std::os::unix::fs::symlink(".", folder.join("circle")).unwrap();
    let error = fixture.store.source_digest(&folder).unwrap_err();
    assert!(matches!(&error, StoreError::Loop { path } if path.ends_with("circle")), "{error}");
}

#[test]
fn what_is_missing_or_special_is_told_by_name() {
    let fixture = Fixture::new();
    let error = fixture.store.source_digest(&fixture.folder.path().join("none.tsv")).unwrap_err();
    assert!(error.to_string().ends_with("/none.tsv`"), "{error}");
    let _socket = UnixListener::bind(fixture.folder.path().join("socket")).unwrap();
    let error = fixture.store.source_digest(fixture.folder.path()).unwrap_err();
    assert!(matches!(&error, StoreError::NotAFile { path } if path.ends_with("socket")), "{error}");
}

#[test]
fn a_change_while_a_stage_reads_is_noticed() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("data");
    let path = folder.join("data.tsv");
    fs::create_dir(&folder).unwrap();
    fs::write(&path, "rows").unwrap();
    let (digest, folder_digest) =
        (fixture.store.source_digest(&path).unwrap(), fixture.store.source_digest(&folder).unwrap());
    assert!(fixture.store.source_unchanged(&path, &digest).unwrap());
    assert!(fixture.store.source_unchanged(&folder, &folder_digest).unwrap());

    fs::write(&path, "ROWS").unwrap();
    assert!(!fixture.store.source_unchanged(&path, &digest).unwrap());
    assert!(!fixture.store.source_unchanged(&folder, &folder_digest).unwrap());
    let digest = fixture.store.source_digest(&path).unwrap();
    fs::write(folder.join("new.tsv"), "").unwrap();
    assert!(fixture.store.source_unchanged(&path, &digest).unwrap());
    assert!(!fixture.store.source_unchanged(&folder, &folder_digest).unwrap());
}

#[test]
fn a_file_that_never_rests_is_an_error() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("growing.tsv");
    let file = fs::File::create(&path).unwrap();
    // Reading this much takes longer than a tick of the file system's clock.
    file.set_len(256 << 20).unwrap();
    let is_done = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                file.write_all_at(b"x", 7).unwrap();
            }
        });
        let outcome = fixture.store.source_digest(&path);
        is_done.store(true, Ordering::Relaxed);
        outcome
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::ChangesWhileRead { .. }), "{error}");
    assert!(error.help().is_some());
}

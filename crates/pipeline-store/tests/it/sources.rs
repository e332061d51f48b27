//! Digests of sources: of content, never of paths or times.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pipeline_core::Digest;
use pipeline_store::{RunOrigin, Store, StoreError};

use crate::fixture::{Fixture, put};

#[test]
fn the_digest_follows_every_edit_however_quick() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("data.tsv");
    for edit_idx in 0..500 {
        // The same length and usually the same tick of the file system's clock.
        let content = format!("{edit_idx:04}");
        fs::write(&path, &content).unwrap();
        assert_eq!(fixture.store.sources().digest(&path).unwrap(), Digest::of(content.as_bytes()));
    }
}

#[test]
fn touching_moving_or_another_process_changes_nothing() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("data.tsv");
    fs::write(&path, "rows").unwrap();
    let digest = fixture.store.sources().digest(&path).unwrap();
    fixture.store.sources().flush().unwrap();
    fs::File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(fixture.another_handle().sources().digest(&path).unwrap(), digest);
    let moved = fixture.folder.path().join("moved.tsv");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(fixture.another_handle().sources().digest(&moved).unwrap(), digest);
}

#[test]
fn a_folder_has_the_digest_of_its_files_and_no_file_has_it() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("model");
    fs::create_dir_all(folder.join("inner")).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    fs::write(folder.join("inner/.hidden"), "h").unwrap();
    let digest = fixture.store.sources().digest(&folder).unwrap();
    fs::write(folder.join("inner/.hidden"), "H").unwrap();
    assert_ne!(fixture.store.sources().digest(&folder).unwrap(), digest);
    fs::write(folder.join("inner/.hidden"), "h").unwrap();
    assert_eq!(fixture.store.sources().digest(&folder).unwrap(), digest);
    fs::rename(folder.join("config.json"), folder.join("konfig.json")).unwrap();
    assert_ne!(fixture.store.sources().digest(&folder).unwrap(), digest);
}

/// A folder that is a source, and its digest after each change.
struct Folder {
    fixture: Fixture,
    path: PathBuf,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let fixture = Fixture::new();
        let path = fixture.folder.path().join("source");
        let folder = Self { fixture, path };
        files.iter().for_each(|(name, content)| folder.write(name, content));
        folder
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
        symlink(target, self.path.join(name)).unwrap();
    }

    fn digest(&self) -> Digest {
        self.fixture.store.sources().digest(&self.path).unwrap()
    }

    /// Whether `edit` changes the digest.
    fn notices(&self, edit: impl FnOnce(&Self)) -> bool {
        let before = self.digest();
        edit(self);
        self.digest() != before
    }
}

#[test]
fn links_to_files_and_folders_elsewhere_stand_for_them_as_in_a_hugging_face_cache() {
    let plain = Folder::with(&[("model.safetensors", "weights"), ("inner/vocab.txt", "words")]);
    let linked = Folder::with(&[("../blob", "weights"), ("../elsewhere/vocab.txt", "words"), (".pipelineignore", "")]);
    fs::remove_file(linked.path.join(".pipelineignore")).unwrap();
    linked.link("../blob", "model.safetensors");
    linked.link("../elsewhere", "inner");
    assert_eq!(linked.digest(), plain.digest());
    assert!(linked.notices(|folder| folder.write("../elsewhere/vocab.txt", "other words")));
    assert!(linked.notices(|folder| folder.write("../elsewhere/new.txt", "")));
}

#[test]
fn no_link_stops_anything_wherever_it_leads() {
    let folder = Folder::with(&[("a/file", "content"), ("b", "")]);
    for (target, name) in [
        ("nowhere", "dangling"),
        ("me@host.1:2", "lock"),
        (".", "itself"),
        ("..", "above"),
        ("a", "latest"),
        ("other-circle", "circle"),
        ("circle", "other-circle"),
        ("b/below-a-file", "wrong"),
    ] {
        assert!(folder.notices(|folder| folder.link(target, name)), "{name} -> {target}");
    }
    assert!(folder.notices(|folder| folder.link("somewhere", "dangling")), "what it says counts");
    assert!(folder.notices(|folder| folder.link("a/file", "latest")), "so does where it leads");
    assert!(folder.notices(|folder| folder.write("a/file", "other content")));

    // Folders that are linked twice are walked once: 2^40 paths lead through these.
    let maze = Folder::with(&[("end", "")]);
    for level in 0..40 {
        fs::create_dir(maze.fixture.folder.path().join(format!("level{level}"))).unwrap();
        for side in ["left", "right"] {
            let link = maze.fixture.folder.path().join(format!("level{level}/{side}"));
            symlink(format!("../level{}", level + 1), link).unwrap();
        }
    }
    maze.link("../level0", "begin");
    maze.digest();
}

#[test]
fn a_moved_folder_has_the_digest_that_it_had_with_links_inside_it() {
    let folder = Folder::with(&[("runs/3/weights", "w")]);
    folder.link("runs/3", "latest");
    let relative = folder.digest();
    symlink(folder.path.join("runs/3"), folder.path.join("new")).unwrap();
    fs::rename(folder.path.join("new"), folder.path.join("latest")).unwrap();
    assert_eq!(folder.digest(), relative);
}

#[test]
fn caches_version_control_and_what_an_ignore_file_names_are_no_sources() {
    let folder = Folder::with(&[("train.py", "code"), ("data/rows.tsv", "rows"), ("data/old/rows.tsv", "old")]);
    for ignored in
        ["__pycache__/train.pyc", "data/__pycache__/x", ".git/HEAD", ".train.py.swp", "train.py~", "#train.py#"]
    {
        assert!(!folder.notices(|folder| folder.write(ignored, "noise")), "{ignored}");
    }
    folder.link("me@host.1:2", ".#train.py");
    assert!(folder.notices(|folder| folder.write(".hidden", "h")));
    assert!(folder.notices(|folder| folder.write("data/.pipelineignore", "/old/\n*.log\n")), "its text counts, too");
    assert!(!folder.notices(|folder| folder.write("data/old/rows.tsv", "other")));
    assert!(!folder.notices(|folder| folder.write("data/deep/run.log", "noise")));
    assert!(folder.notices(|folder| folder.write("run.log", "not below the ignore file")));
    folder.write(".pipelineignore", "!*.py[co]\n");
    assert!(folder.notices(|folder| folder.write("compiled.pyc", "taken back")));

    // The source itself is never ignored.
    let store = &folder.fixture.store;
    assert_eq!(store.sources().digest(&folder.path.join(".train.py.swp")).unwrap(), Digest::of(b"noise"));
    let cache = folder.path.join("__pycache__");
    let before = store.sources().digest(&cache).unwrap();
    fs::write(cache.join("new"), "").unwrap();
    assert_ne!(store.sources().digest(&cache).unwrap(), before);
}

#[test]
fn a_store_inside_a_source_is_no_part_of_it() {
    let folder = Folder::with(&[("rows.tsv", "rows")]);
    let store = Store::open(&folder.path.join("artifacts")).unwrap();
    let before = store.sources().digest(&folder.path).unwrap();
    put(&store, &[("out.txt", b"bytes")]);
    drop(store.runs().start(0, "demo", &RunOrigin::default()).unwrap());
    store.sources().flush().unwrap();
    assert_eq!(store.sources().digest(&folder.path).unwrap(), before);
    // Nor for a handle on another store.
    assert_eq!(folder.digest(), before);
    assert!(folder.notices(|folder| folder.write("artifacts/README.md", "not the store's")));
}

#[test]
fn names_that_are_no_text_and_what_is_no_file_stop_nothing() {
    let folder = Folder::with(&[("rows.tsv", "rows")]);
    let odd = |byte: u8| folder.path.join(OsStr::from_bytes(&[b'n', byte]));
    assert!(folder.notices(|_| fs::write(odd(0xFF), "odd").unwrap()));
    assert!(folder.notices(|_| fs::rename(odd(0xFF), odd(0xFE)).unwrap()));
    assert!(folder.notices(|_| fs::write(odd(0xFE), "even").unwrap()));
    let mut sockets = Vec::new();
    assert!(!folder.notices(|folder| sockets.push(UnixListener::bind(folder.path.join("socket")).unwrap())));
    assert!(!folder.notices(|folder| folder.link("/dev/zero", "device")));
    assert!(Command::new("mkfifo").arg(folder.path.join("fifo")).status().unwrap().success());
    folder.digest();
}

#[test]
fn what_is_missing_or_special_is_named() {
    let fixture = Fixture::new();
    let error = fixture.store.sources().digest(&fixture.folder.path().join("none.tsv")).unwrap_err();
    assert!(error.to_string().ends_with("/none.tsv`"), "{error}");
    assert!(error.is_not_found());
    let socket = fixture.folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let error = fixture.store.sources().digest(&socket).unwrap_err();
    assert!(matches!(&error, StoreError::NotAFile { path } if path.ends_with("socket")), "{error}");
}

#[test]
fn a_file_that_somebody_has_open_for_writing_is_read_each_time() {
    let fixture = Fixture::new();
    let path = fixture.folder.path().join("mapped.bin");
    fs::write(&path, "before").unwrap();
    let writer = fs::File::options().write(true).open(&path).unwrap();
    assert_eq!(fixture.store.sources().digest(&path).unwrap(), Digest::of(b"before"));
    fixture.store.sources().flush().unwrap();
    assert!(!fixture.store.artifacts().join("store-v1/sources/memo-v1").exists(), "nothing is remembered of it");
    drop(writer);
    assert_eq!(fixture.store.sources().digest(&path).unwrap(), Digest::of(b"before"));
    fixture.store.sources().flush().unwrap();
    assert!(fixture.store.artifacts().join("store-v1/sources/memo-v1").exists());
}

#[test]
fn a_change_while_a_stage_reads_is_noticed() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path().join("data");
    let path = folder.join("data.tsv");
    fs::create_dir(&folder).unwrap();
    fs::write(&path, "rows").unwrap();
    let (digest, folder_digest) =
        (fixture.store.sources().digest(&path).unwrap(), fixture.store.sources().digest(&folder).unwrap());
    assert!(fixture.store.sources().is_unchanged(&path, &digest).unwrap());
    assert!(fixture.store.sources().is_unchanged(&folder, &folder_digest).unwrap());

    fs::write(&path, "ROWS").unwrap();
    assert!(!fixture.store.sources().is_unchanged(&path, &digest).unwrap());
    assert!(!fixture.store.sources().is_unchanged(&folder, &folder_digest).unwrap());
    let digest = fixture.store.sources().digest(&path).unwrap();
    fs::write(folder.join("new.tsv"), "").unwrap();
    assert!(fixture.store.sources().is_unchanged(&path, &digest).unwrap());
    assert!(!fixture.store.sources().is_unchanged(&folder, &folder_digest).unwrap());

    // Only content counts.
    fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::hard_link(&path, fixture.folder.path().join("backup")).unwrap();
    assert!(fixture.store.sources().is_unchanged(&path, &digest).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!fixture.store.sources().is_unchanged(&path, &digest).unwrap());
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
        let outcome = fixture.store.sources().digest(&path);
        is_done.store(true, Ordering::Relaxed);
        outcome
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, StoreError::ChangesWhileRead { .. }), "{error}");
    assert!(error.help().is_some());
}

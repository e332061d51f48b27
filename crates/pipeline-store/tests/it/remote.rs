//! A store with a remote: what comes from there is checked, and what goes there is sound.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Barrier};

use pipeline_core::{FileEntry, ShardReport, Tree};
use pipeline_store::{
    Access, PulledTree, PutMode, Record, Remote, RemoteError, RemoteFile, RemoteFolder, RemoteNews, Signatures,
    SigningKey, Store, Upload,
};

use crate::fixture::{Fixture, flip_bit, put, record};

/// A fixture whose store has a remote in a folder beside it.
fn with_remote(folder: &Path) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.store = fixture.another_handle().with_remote(Box::new(RemoteFolder::new(folder)), Access::Read);
    fixture
}

/// Answers only when `Barrier` requests wait together.
#[derive(Debug)]
struct Together(RemoteFolder, Arc<Barrier>);

impl Remote for Together {
    fn url(&self) -> &str {
        self.0.url()
    }
    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError> {
        self.1.wait();
        self.0.get(name, max_bytes, to)
    }
    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        self.0.size(name)
    }
    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError> {
        self.0.put(name, upload, mode)
    }
    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.0.delete(name)
    }
    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        self.0.list(prefix, found)
    }
}

#[test]
fn look_ups_of_shards_wait_together() {
    let shared = tempfile::tempdir().unwrap();
    let fixture = Fixture::new();
    let remote = Together(RemoteFolder::new(shared.path()), Arc::new(Barrier::new(64)));
    let store = fixture.another_handle().with_remote(Box::new(remote), Access::Read);
    let records: Vec<Record> = (0..192).map(|seed| record("train", seed, &Tree::default())).collect();
    store.records().fetch_shards(&records.iter().map(|record| &record.key).collect::<Vec<_>>());
    assert_eq!(store.remote().unwrap().counts().n_misses, 192);
    // A miss is remembered: a request of its own would wait for ever.
    assert_eq!(store.records().get_shard(&records[0].key).unwrap(), None::<Record<ShardReport>>);
}

#[test]
fn a_record_whose_files_would_lie_outside_their_folder_is_not_used() {
    let (shared, maker) = (tempfile::tempdir().unwrap(), Fixture::new());
    let tree = put(&maker.store, &[("a", b"alpha")]);
    for (seed, name) in ["../a", "/a", "b/../../a", ""].into_iter().enumerate() {
        let evil = record("train", seed as u32, &Tree::of_file(name, tree.files["a"]));
        maker.store.records().put(&evil).unwrap();
        fs::create_dir_all(shared.path().join("store-v1")).unwrap();
        copy_all(&maker.in_store("actions"), &shared.path().join("store-v1/actions"));
        let other = with_remote(shared.path());
        assert_eq!(other.store.records().get(&evil.key).unwrap(), None, "{name}");
        assert_eq!(other.store.remote().unwrap().take_news().len(), 1, "{name}");
    }
}

#[test]
fn damage_is_not_uploaded() {
    let (shared, fixture) = (tempfile::tempdir().unwrap(), Fixture::new());
    let store = fixture.another_handle().with_remote(Box::new(RemoteFolder::new(shared.path())), Access::Write);
    let tree = put(&fixture.store, &[("a", b"alpha")]);
    let record = record("train", 0, &tree);
    fixture.store.records().put(&record).unwrap();
    flip_bit(&fixture.object(&tree.files["a"]), 3);
    let pushed = store.remote().unwrap().push(&[record.key]).unwrap();
    assert_eq!((pushed.n_records, pushed.n_objects, pushed.n_without_objects), (1, 0, 1));
    assert_eq!(with_remote(shared.path()).store.pull(&record.key).unwrap(), PulledTree::NotRetained);

    // Once the bytes are there, the record may claim them.
    fs::remove_file(fixture.object(&tree.files["a"])).unwrap();
    put(&fixture.store, &[("a", b"alpha")]);
    let pushed = store.remote().unwrap().push(&[record.key]).unwrap();
    assert_eq!((pushed.n_records, pushed.n_objects), (1, 1));
    let other = with_remote(shared.path());
    assert_eq!(other.store.pull(&record.key).unwrap(), PulledTree::Here);
    assert_eq!(fs::read(other.object(&tree.files["a"])).unwrap(), b"alpha");
}

#[test]
fn a_collection_leaves_what_another_process_may_still_write() {
    let shared = tempfile::tempdir().unwrap();
    let folder = shared.path().join("store-v1/objects/ab");
    fs::create_dir_all(&folder).unwrap();
    let [young, old] = [".put-young", ".put-old"].map(|name| folder.join(name));
    [&young, &old].into_iter().for_each(|path| fs::write(path, "half").unwrap());
    let two_hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options().write(true).open(&old).unwrap().set_modified(two_hours_ago).unwrap();
    let report = with_remote(shared.path()).store.remote().unwrap().collect(std::time::Duration::ZERO, false).unwrap();
    assert_eq!((report.n_objects, young.exists(), old.exists()), (1, true, false));
}

#[test]
fn a_copy_of_two_folders_is_a_push() {
    let (shared, maker) = (tempfile::tempdir().unwrap(), Fixture::new());
    let record = record("train", 0, &put(&maker.store, &[("a", b"alpha"), ("empty", b"")]));
    maker.store.records().put(&record).unwrap();
    for folder in ["actions", "objects"] {
        copy_all(&maker.in_store(folder), &shared.path().join("store-v1").join(folder));
    }
    let other = with_remote(shared.path());
    let found = other.store.records().get(&record.key).unwrap().unwrap();
    assert!(other.store.has_bytes(&found) && !other.store.cas().has_bytes(&found.tree));
    let open = other.store.cas().open(&found.tree).unwrap();
    assert_eq!(fs::read(open.folder().join("a")).unwrap(), b"alpha");
    let FileEntry { bytes, .. } = found.tree.files["a"];
    assert_eq!(bytes, 5);
}

/// A store whose remote lies in `folder`, with the keys of a process.
fn signing(fixture: &Fixture, folder: &Path, signing: Option<&SigningKey>, trusted: &[&SigningKey]) -> Store {
    let copy = |key: &SigningKey| key.secret().parse().unwrap();
    let trusted = trusted.iter().map(|key| key.trusted()).collect();
    let signatures = Signatures { signing: signing.map(copy), trusted };
    fixture.another_handle().with_signed_remote(Box::new(RemoteFolder::new(folder)), Access::Write, signatures)
}

#[test]
fn only_records_that_a_trusted_key_has_signed_are_used_and_others_are_replaced() {
    let shared = tempfile::tempdir().unwrap();
    let [ci, people] = ["ci", "people"].map(|name| SigningKey::generate(name).unwrap());
    let maker = Fixture::new();
    let record = record("train", 0, &put(&maker.store, &[("a", b"alpha")]));
    maker.store.records().put(&record).unwrap();
    let push = |key| signing(&maker, shared.path(), key, &[]).remote().unwrap().push(&[record.key]).unwrap();
    // How many records a reader finds and leaves unused.
    let found = |signing_key: Option<&SigningKey>, trusted: &[&SigningKey]| {
        let reader = Fixture::new();
        let store = signing(&reader, shared.path(), signing_key, trusted);
        let is_found = store.records().get(&record.key).unwrap().is_some();
        // What was found has been committed with its signature, and can be read again.
        assert_eq!(reader.store.records().get(&record.key).unwrap().is_some(), is_found);
        (is_found, store.remote().unwrap().take_untrusted())
    };
    let (hit, unused) = ((true, 0), (false, 1));
    push(None);
    assert_eq!([found(None, &[]), found(None, &[&ci]), found(Some(&ci), &[])], [hit, unused, unused]);
    assert_eq!(push(Some(&people)).n_records, 1, "one without a signature is worth less");
    assert_eq!([found(None, &[]), found(None, &[&ci]), found(None, &[&ci, &people])], [hit, unused, hit]);
    assert_eq!(push(None).n_there, 1, "who has no key leaves it");
    assert_eq!(push(Some(&ci)).n_records, 1, "one of a key that this process does not trust, too");
    assert_eq!([found(None, &[&people]), found(None, &[&ci]), found(Some(&ci), &[])], [unused, hit, hit]);
    assert_eq!(push(Some(&ci)).n_there, 1);
    let distrusting = signing(&maker, shared.path(), None, &[&people]);
    assert_eq!(distrusting.remote().unwrap().push(&[record.key]).unwrap().n_there, 1, "an unsigned one is no better");
    assert_eq!(found(None, &[&ci]), hit);

    // A record with its files is worth more than one without, but an unsigned one is worth less than a signed one.
    let elsewhere = tempfile::tempdir().unwrap();
    let without = Record { has_objects: false, ..record.clone() };
    for (key, is_replaced) in [(Some(&ci), false), (None, true)] {
        let first = Fixture::new();
        first.store.records().put(&without).unwrap();
        let pushed = signing(&first, elsewhere.path(), key, &[]).remote().unwrap().push(&[record.key]).unwrap();
        assert_eq!(pushed.n_records, 1);
        let pushed = signing(&maker, elsewhere.path(), None, &[]).remote().unwrap().push(&[record.key]).unwrap();
        assert_eq!(pushed.n_records, usize::from(is_replaced), "{key:?}");
        fs::remove_dir_all(elsewhere.path().join("store-v1/actions")).unwrap();
    }

    let report = signing(&maker, shared.path(), None, &[&people]).remote().unwrap().verify(false).unwrap();
    assert_eq!((report.n_records, report.n_untrusted, report.damaged.len()), (1, 1, 0));
    // Another store that has the record and its files hands the signature on.
    let (second, elsewhere) = (Fixture::new(), tempfile::tempdir().unwrap());
    signing(&second, shared.path(), None, &[&ci]).pull(&record.key).unwrap();
    signing(&second, elsewhere.path(), None, &[]).remote().unwrap().push(&[record.key]).unwrap();
    let third = Fixture::new();
    assert!(signing(&third, elsewhere.path(), None, &[&ci]).records().get(&record.key).unwrap().is_some());
}

#[test]
fn a_record_whose_files_would_fill_the_disk_brings_none() {
    let (shared, maker) = (tempfile::tempdir().unwrap(), Fixture::new());
    let mut tree = put(&maker.store, &[("a", b"alpha")]);
    tree.files.get_mut("a").unwrap().bytes = 1 << 60;
    let record = record("train", 0, &tree);
    maker.store.records().put(&record).unwrap();
    for folder in ["actions", "objects"] {
        copy_all(&maker.in_store(folder), &shared.path().join("store-v1").join(folder));
    }
    let other = with_remote(shared.path());
    assert!(matches!(other.store.pull(&record.key).unwrap(), PulledTree::Incomplete(_)));
    assert_eq!(other.store.remote().unwrap().counts().n_errors, 0, "it was not asked for");
    let news = other.store.remote().unwrap().take_news();
    assert!(matches!(news[..], [RemoteNews::TooLarge { bytes, .. }] if bytes == 1 << 60), "{news:?}");
}

fn copy_all(from: &Path, to: &Path) {
    for outer in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let inner = to.join(outer.file_name());
        fs::create_dir_all(&inner).unwrap();
        for file in fs::read_dir(outer.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), inner.join(file.file_name())).unwrap();
        }
    }
}

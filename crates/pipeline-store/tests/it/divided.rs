//! Divided artifacts: their sub-trees are verified, healed, kept, dropped and shared as files are.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pipeline_core::{Digest, SubTree, Tree};
use pipeline_store::{
    Access, CollectOptions, Objects, OpenTreeError, PulledTree, Record, Remote, RemoteFolder, Store, StoreError,
};

use crate::fixture::{Fixture, flip_bit, last_of, nothing_kept, put, put_divided, record};

const FILES: [(&str, &[u8]); 4] =
    [("part-00000/a", b"alpha"), ("part-00000/b", b"beta"), ("part-00001/a", b"gamma"), ("top", b"top")];

fn commit(store: &Store, seed: u32, files: &[(&str, &[u8])]) -> Record {
    let record = record("train", seed, &put_divided(store, files));
    store.records().put(&record).unwrap();
    record
}

fn objects(fixture: &Fixture) -> usize {
    fixture.store.stats().unwrap().n_objects
}

#[test]
fn a_divided_artifact_lies_in_folders_and_its_record_names_no_file_in_them() {
    let fixture = Fixture::new();
    let record = commit(&fixture.store, 0, &FILES);
    let found = fixture.another_handle().records().get(&record.key).unwrap().unwrap();
    assert_eq!((found.tree.files.len(), found.tree.trees.len(), found.tree.n_files()), (1, 2, 4));
    assert_eq!(found.tree, record.tree);
    let open = fixture.store.cas().open(&found.tree).unwrap();
    for (name, content) in FILES {
        assert_eq!(fs::read(open.folder().join(name)).unwrap(), content);
    }
    assert_eq!(open.tree().digest(), record.tree.digest());
    assert_eq!((open.tree().files.len(), open.artifact().tree.files.len()), (4, 4));
    assert_eq!(fs::read(open.artifact().file("part-00001/a").unwrap()).unwrap(), b"gamma");
}

#[test]
fn one_changed_file_makes_one_sub_tree_anew() {
    let fixture = Fixture::new();
    let before = commit(&fixture.store, 0, &FILES).tree;
    let n_objects = objects(&fixture);
    let mut files = FILES;
    files[2].1 = b"delta";
    let after = commit(&fixture.store, 1, &files).tree;
    assert_eq!(objects(&fixture), n_objects + 2, "the file and the tree of its folder");
    assert_eq!(before.trees["part-00000"], after.trees["part-00000"]);
    assert_ne!(before.digest(), after.digest());
}

#[test]
fn a_flipped_bit_of_a_sub_tree_is_found_quarantined_and_healed_by_a_commit() {
    let fixture = Fixture::new();
    let tree = commit(&fixture.store, 0, &FILES).tree;
    let sub_tree = tree.trees["part-00000"].object();
    for position in 0..20 {
        assert!(fixture.store.cas().has_bytes(&tree));
        flip_bit(&fixture.object(&sub_tree), (sub_tree.bytes * 8 - 1) * position / 19);
        let error = fixture.store.cas().open(&tree).unwrap_err();
        assert!(matches!(&error, OpenTreeError::Corrupt { files } if files == &["part-00000"]), "{error}");
        assert_eq!(fixture.quarantined(), position as usize + 1);
        assert!(!fixture.store.cas().has_bytes(&tree));
        let error = fixture.store.cas().open(&tree).unwrap_err();
        assert!(matches!(&error, OpenTreeError::Missing { files } if files == &["part-00000"]), "{error}");
        put_divided(&fixture.store, &FILES);
    }
    assert_eq!(fixture.store.verify().unwrap().n_without_bytes, 0);
    fs::remove_file(fixture.object(&fixture.store.cas().whole(&tree).unwrap().files["part-00000/b"])).unwrap();
    assert!(!fixture.store.cas().has_bytes(&tree), "a file of a sub-tree counts like any other");
    assert_eq!(fixture.store.verify().unwrap().n_without_bytes, 1);
}

#[test]
fn a_collection_spares_sub_trees_and_their_files_and_drops_take_both() {
    const EVERYTHING: CollectOptions =
        CollectOptions { max_bytes: None, max_age: None, keep_missing: None, dry_run: false };
    let mut fixture = Fixture::new();
    let kept = commit(&fixture.store, 0, &FILES);
    let mut files = FILES;
    files[0].1 = b"garbage";
    let garbage = commit(&fixture.store, 1, &files);
    let spec = fixture.folder.path().join("a.yaml");
    fixture.store.specs().put_last(&spec, &last_of(&spec, &[&kept])).unwrap();
    fixture.reopen();
    // Used long ago: a collection that looked at a sub-tree and marked it would spare it.
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    for sub_tree in garbage.tree.trees.values() {
        fs::File::open(fixture.object(&sub_tree.object())).unwrap().set_modified(long_ago).unwrap();
    }
    let report = fixture.store.collect(&EVERYTHING).unwrap();
    assert_eq!(report.stages["train"].n_files, 2, "the changed file and the tree of its folder");
    assert!(fixture.store.cas().has_bytes(&kept.tree) && !fixture.store.cas().has_bytes(&garbage.tree));

    // Where a sub-tree is lost, nothing that its stage has computed is collected: it may name any of it.
    let shard = record("train", 2, &put(&fixture.store, &[("shard", b"alpha")]));
    fixture.store.records().put(&shard).unwrap();
    fs::remove_file(fixture.object(&kept.tree.trees["part-00000"].object())).unwrap();
    fixture.reopen();
    fixture.store.collect(&EVERYTHING).unwrap();
    assert!(fixture.store.cas().has_bytes(&shard.tree));
    let Objects { digests, is_complete } = fixture.store.cas().objects_of(&kept.tree).unwrap();
    assert_eq!((digests.len(), is_complete), (4, false));

    put_divided(&fixture.store, &FILES);
    drop(fixture.store.cas().open(&kept.tree).unwrap());
    let bytes: u64 = kept.tree.bytes() + kept.tree.trees.values().map(|sub_tree| sub_tree.tree_bytes).sum::<u64>();
    assert_eq!(fixture.store.cas().drop_tree(&kept.tree, &nothing_kept).unwrap(), bytes);
    assert_eq!(objects(&fixture), 0);
}

fn with_remote(fixture: &Fixture, folder: &Path, access: Access) -> Store {
    fixture.another_handle().with_remote(Box::new(RemoteFolder::new(folder)), access)
}

#[test]
fn a_remote_gets_sub_trees_and_gives_those_that_are_absent() {
    let (shared, maker, reader) = (tempfile::tempdir().unwrap(), Fixture::new(), Fixture::new());
    let writing = with_remote(&maker, shared.path(), Access::Write);
    let first = commit(&maker.store, 0, &FILES);
    let pushed = writing.remote().unwrap().push(&[first.key]).unwrap();
    assert_eq!((pushed.n_records, pushed.n_objects, pushed.n_without_objects), (1, 6, 0));

    let store = with_remote(&reader, shared.path(), Access::Read);
    let found = store.records().get(&first.key).unwrap().unwrap();
    assert!(store.has_bytes(&found) && objects(&reader) == 0, "nothing is fetched before it is read");
    let open = store.cas().open_unverified(&found.tree).unwrap();
    assert_eq!(objects(&reader), 2, "the sub-trees");
    assert_eq!(fs::read(open.artifact().file("part-00001/a").unwrap()).unwrap(), b"gamma");
    assert_eq!(objects(&reader), 3, "and the file that was asked for");
    assert_eq!(store.pull(&first.key).unwrap(), PulledTree::Here);
    assert_eq!(objects(&reader), 6);

    let mut files = FILES;
    files[2].1 = b"delta";
    let second = commit(&maker.store, 1, &files);
    let pushed = writing.remote().unwrap().push(&[second.key]).unwrap();
    assert_eq!((pushed.n_records, pushed.n_objects), (1, 2));
    let before = store.remote().unwrap().counts().bytes_down;
    let found = store.records().get(&second.key).unwrap().unwrap();
    drop(store.cas().open_unverified(&found.tree).unwrap());
    let record_bytes = fs::metadata(reader.in_store(&record_path(&second))).unwrap().len();
    let bytes = store.remote().unwrap().counts().bytes_down - before;
    assert_eq!(bytes, record_bytes + second.tree.trees["part-00001"].tree_bytes, "one sub-tree is new");

    // All that a young record names stays.
    let kept = writing.remote().unwrap().collect(Duration::from_secs(3600), false).unwrap();
    assert_eq!((kept.n_records, kept.n_objects), (0, 0));
    age(shared.path(), &first);
    let collected = writing.remote().unwrap().collect(Duration::from_secs(3600), false).unwrap();
    assert_eq!((collected.n_records, collected.n_objects), (1, 2), "the old file and the tree of its folder");
    assert_eq!(Fixture::new().pull_from(shared.path(), &second), PulledTree::Here);
}

impl Fixture {
    fn pull_from(&self, folder: &Path, record: &Record) -> PulledTree {
        with_remote(self, folder, Access::Read).pull(&record.key).unwrap()
    }
}

fn record_path(record: &Record) -> String {
    let hex = record.key.0.hex();
    format!("actions/{}/{}.json", &hex[..2], &hex[2..])
}

/// Makes the record and all objects of a remote look old, but for the records of others.
fn age(remote: &Path, record: &Record) {
    let old = SystemTime::now() - Duration::from_secs(7200);
    let age = |path: &Path| fs::File::open(path).unwrap().set_modified(old).unwrap();
    age(&remote.join("store-v1").join(record_path(record)));
    for folder in fs::read_dir(remote.join("store-v1/objects")).unwrap() {
        fs::read_dir(folder.unwrap().path()).unwrap().for_each(|file| age(&file.unwrap().path()));
    }
}

#[test]
fn a_sub_tree_of_a_remote_that_leads_out_of_its_folder_or_was_changed_is_not_used() {
    let (shared, maker) = (tempfile::tempdir().unwrap(), Fixture::new());
    let writing = with_remote(&maker, shared.path(), Access::Write);
    let entry = put(&maker.store, &[("a", b"alpha")]).files["a"];
    let evil = |name: &str| Tree { files: [(name.to_owned(), entry)].into(), ..Tree::default() };
    for (seed, (folder, name)) in
        [("part-00000", "../a"), ("..", "a"), ("a/b", "a"), ("part-00000", "/a")].into_iter().enumerate()
    {
        let trees = maker.store.cas().put_sub_trees(&[(folder.to_owned(), evil(name))]).unwrap();
        let tree = Tree { trees: trees.into_iter().collect(), ..Tree::default() };
        let opened = maker.store.cas().open(&tree);
        let is_refused =
            matches!(opened, Err(OpenTreeError::Corrupt { .. } | OpenTreeError::Store(StoreError::Name { .. })));
        assert!(is_refused, "{folder}/{name}");
        let record = record("evil", seed as u32, &tree);
        maker.store.records().put(&record).unwrap();
        writing.remote().unwrap().push(&[record.key]).unwrap();
        let pulled = Fixture::new().pull_from(shared.path(), &record);
        assert_eq!(pulled, PulledTree::NotRetained, "neither is it uploaded: {folder}/{name}");
    }

    let record = commit(&maker.store, 9, &FILES);
    writing.remote().unwrap().push(&[record.key]).unwrap();
    let SubTree { tree, .. } = record.tree.trees["part-00000"];
    let hex = tree.hex();
    flip_bit(&shared.path().join(format!("store-v1/objects/{}/{}", &hex[..2], &hex[2..])), 100);
    let pulled = Fixture::new().pull_from(shared.path(), &record);
    assert_eq!(pulled, PulledTree::Incomplete("train".parse().unwrap()));
    let remote = RemoteFolder::new(shared.path());
    assert!(remote.size(&format!("store-v1/objects/{}/{}", &hex[..2], &hex[2..])).unwrap().is_some());
}

#[test]
fn a_record_with_a_file_in_the_folder_of_a_sub_tree_is_not_believed() {
    let fixture = Fixture::new();
    let record = commit(&fixture.store, 0, &FILES);
    let path = fixture.in_store(&record_path(&record));
    let text = fs::read_to_string(&path).unwrap();
    let content = text.split_once("\"content\":").unwrap().1.trim_end().strip_suffix('}').unwrap();
    let sealed = |content: &str| {
        let digest = Digest::of(content.as_bytes());
        fs::write(&path, format!("{{\"blake3\":\"{digest}\",\"content\":{content}}}\n")).unwrap();
        fixture.store.records().get(&record.key).unwrap()
    };
    assert_eq!(sealed(content), Some(record.clone()));
    let entry = serde_json::to_string(&record.tree.files["top"]).unwrap();
    let with_file = content.replace("\"top\":", &format!("\"part-00001/b\":{entry},\"top\":"));
    assert_ne!(with_file, content);
    assert_eq!(sealed(&with_file), None, "the digest of the artifact does not cover the file");
}

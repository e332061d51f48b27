//! A store in a temporary folder, and common steps of the stories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use pipeline_core::{Device, Digest, FileEntry, Manifest, Numerics, Part, RunId, StageReport, Tree};
use pipeline_store::{Last, LastStage, Provenance, Record, Store};

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        Self { folder, store }
    }

    /// Another handle on the same store, like another process.
    pub fn another_handle(&self) -> Store {
        Store::open(self.store.artifacts()).unwrap()
    }

    pub fn in_store(&self, path: &str) -> PathBuf {
        self.store.artifacts().join("store-v1").join(path)
    }

    pub fn object(&self, entry: &FileEntry) -> PathBuf {
        let hex = entry.digest.hex();
        self.in_store(&format!("objects/{}/{}", &hex[..2], &hex[2..]))
    }

    pub fn quarantined(&self) -> usize {
        fs::read_dir(self.in_store("quarantine")).map_or(0, Iterator::count)
    }

    /// Ends the session of the handle, like the end of its process.
    pub fn reopen(&mut self) {
        self.store = self.another_handle();
    }
}

pub fn put(store: &Store, files: &[(&str, &[u8])]) -> Tree {
    let scratch = store.workspace().scratch().unwrap();
    for (name, content) in files {
        let path = scratch.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    store.cas().put_folder(scratch.folder()).unwrap()
}

/// Like [`put`], with a sub-tree for each folder.
pub fn put_divided(store: &Store, files: &[(&str, &[u8])]) -> Tree {
    let mut tree = put(store, files);
    let folder = |name: &String| name.split_once('/').map(|(folder, _)| folder.to_owned());
    let folders: BTreeSet<String> = tree.files.keys().filter_map(folder).collect();
    let part = |folder: &String| match tree.part(folder) {
        Some(Part::Folder(part)) => (folder.clone(), part),
        _ => panic!("`{folder}` is a folder"),
    };
    let trees = store.cas().put_sub_trees(&folders.iter().map(part).collect::<Vec<_>>()).unwrap();
    tree.files.retain(|name, _| !name.contains('/'));
    tree.trees = trees.into_iter().collect();
    tree
}

/// The record of a stage whose only param is `seed`.
pub fn record(stage: &str, seed: u32, tree: &Tree) -> Record {
    let mut manifest = Manifest::new("command", 1);
    manifest.param("stage", &format!("\"{stage}\""));
    manifest.param("seed", &seed.to_string());
    let mut report = StageReport::default();
    report.metrics.insert("loss".into(), 0.5);
    Record {
        key: manifest.key(),
        manifest,
        tree: tree.clone(),
        report,
        shard_rows: Vec::new(),
        seconds: 1.5,
        provenance: Provenance {
            at_ms: 1,
            host: "here".into(),
            pid: 1,
            stage: stage.parse().unwrap(),
            device: Device::Cpu,
            cards: Vec::new(),
            others: Vec::new(),
            instruction_set: "avx2".into(),
            numerics: vec![Numerics::Fma],
            version: "0.1.0".into(),
            adopted_from: None,
        },
        has_objects: true,
    }
}

/// The last results of the spec at `spec`, whose file exists.
pub fn last_of(spec: &Path, records: &[&Record]) -> Last {
    fs::write(spec, "stages: {}").unwrap();
    let stages = records.iter().map(|record| (record.provenance.stage.clone(), last_stage(record)));
    Last::of_run(RunId("r".into()), spec, 1, stages.collect::<BTreeMap<_, _>>())
}

/// The last result of a stage with this record.
pub fn last_stage(record: &Record) -> LastStage {
    LastStage {
        key: record.key,
        artifact: record.tree.digest(),
        seconds: record.seconds,
        recorded_ns: 0,
        dropped: false,
        report: record.report.clone(),
        published: BTreeMap::new(),
    }
}

/// Flips one bit of a file in place.
pub fn flip_bit(path: &Path, bit_idx: u64) {
    let permissions = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit_idx / 8).unwrap();
    byte[0] ^= 1 << (bit_idx % 8);
    file.write_all_at(&byte, bit_idx / 8).unwrap();
    fs::set_permissions(path, permissions).unwrap();
}

pub fn nothing_kept(_: &Digest) -> bool {
    false
}

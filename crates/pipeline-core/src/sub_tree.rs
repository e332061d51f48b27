//! Divided trees: an artifact of very many shards names folders of them, whose contents are trees that are stored as
//! objects of their own.
//!
//! So its record is small, no folder is large, and a changed shard makes one sub-tree anew. Smaller artifacts are not
//! divided: their digests and records are those that they always were.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::cut::{self, CutSizes};
use crate::{Digest, FileEntry, Tree};

/// The most shards that lie side by side in an artifact. More are divided into folders of fewer.
pub const MAX_UNDIVIDED: usize = 4096;

/// The sizes of folders, in shards: cut where the shards' rows say so, so that an insertion changes one folder or two.
const FOLDER: CutSizes = CutSizes { min_rows: 512, target_rows: 512, max_rows: MAX_UNDIVIDED };

/// A folder of a divided tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubTree {
    /// The digest of the object with the folder's tree as JSON.
    pub tree: Digest,
    /// The length of that object.
    pub tree_bytes: u64,
    /// The number of files in the folder.
    pub n_files: u64,
    /// The sum of their lengths.
    pub bytes: u64,
}

impl SubTree {
    /// The object with the folder's tree.
    pub const fn object(&self) -> FileEntry {
        FileEntry::new(self.tree, self.tree_bytes)
    }

    /// The folder with this tree, and the content of the object that it is stored as.
    ///
    /// # Panics
    /// When the tree is itself divided: a bug of the caller.
    pub fn of(tree: &Tree) -> (Self, Vec<u8>) {
        assert!(tree.trees.is_empty(), "BUG: sub-trees are not divided");
        let content = serde_json::to_vec(tree).expect("a tree becomes JSON");
        let (n_files, bytes) = (tree.files.len() as u64, tree.bytes());
        (Self { tree: Digest::of(&content), tree_bytes: content.len() as u64, n_files, bytes }, content)
    }

    /// Reads the object's content; `None` if it is no tree, or divided.
    pub fn read(content: &[u8]) -> Option<Tree> {
        serde_json::from_slice(content).ok().filter(|tree: &Tree| tree.trees.is_empty())
    }
}

impl Tree {
    /// False if files of the artifact are named by its sub-trees alone.
    pub fn is_whole(&self) -> bool {
        let is_there = |folder: &String| {
            let inner = format!("{folder}/");
            self.files.range(inner.clone()..).next().is_some_and(|(name, _)| name.starts_with(&inner))
        };
        self.trees.iter().all(|(folder, tree)| tree.n_files == 0 || is_there(folder))
    }

    /// True if no file lies in the folder of a sub-tree, as in a record: the digest of the artifact would not cover it.
    pub fn is_as_recorded(&self) -> bool {
        self.trees.is_empty() || self.own_files().count() == self.files.len()
    }

    /// The files that no sub-tree names.
    pub fn own_files(&self) -> impl Iterator<Item = (&String, &FileEntry)> {
        let is_own = |name: &str| match name.split_once('/') {
            Some((folder, _)) => !self.trees.contains_key(folder),
            None => true,
        };
        self.files.iter().filter(move |(name, _)| self.trees.is_empty() || is_own(name))
    }

    /// The number of files.
    pub fn n_files(&self) -> u64 {
        self.own_files().count() as u64 + self.trees.values().map(|tree| tree.n_files).sum::<u64>()
    }

    /// Adds the files of the sub-tree in `folder`.
    pub fn add_files_of(&mut self, folder: &str, sub_tree: Tree) {
        self.files.extend(sub_tree.files.into_iter().map(|(name, entry)| (format!("{folder}/{name}"), entry)));
    }
}

/// The folders of shards with rows of these digests; `None` where the shards are few enough to lie side by side.
pub(crate) fn folders(rows: &[Digest]) -> Option<Vec<Range<usize>>> {
    (rows.len() > MAX_UNDIVIDED).then(|| cut::cut(rows, FOLDER))
}

/// The name of a folder of shards. Names sort in the order of the rows.
pub(crate) fn folder_name(folder_idx: usize) -> String {
    format!("part-{folder_idx:05}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn divided() -> (Tree, Tree) {
        let entry = |text: &str| FileEntry::new(Digest::of(text.as_bytes()), text.len() as u64);
        let folder = |names: &[&str]| Tree {
            files: names.iter().map(|name| ((*name).to_owned(), entry(name))).collect(),
            ..Tree::default()
        };
        let folders = [("part-00000", folder(&["a", "b"])), ("part-00001", folder(&["a"]))];
        let trees: BTreeMap<_, _> =
            folders.iter().map(|(name, tree)| ((*name).to_owned(), SubTree::of(tree).0)).collect();
        let record = Tree { trees, ..folder(&["top", "part-00001.txt"]) };
        let mut whole = record.clone();
        folders.into_iter().for_each(|(name, tree)| whole.add_files_of(name, tree));
        (record, whole)
    }

    #[test]
    fn a_divided_tree_is_the_same_artifact_with_its_files_and_without() {
        let (record, whole) = divided();
        assert_eq!((record.is_whole(), whole.is_whole()), (false, true));
        assert_eq!((record.is_as_recorded(), whole.is_as_recorded()), (true, false));
        assert_eq!((record.digest(), record.bytes(), record.n_files()), (whole.digest(), whole.bytes(), 5));
        assert_eq!(whole.n_files(), 5);
        assert_eq!(
            whole.files.keys().collect::<Vec<_>>(),
            ["part-00000/a", "part-00000/b", "part-00001.txt", "part-00001/a", "top"]
        );
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Tree>(&json).unwrap(), record, "{json}");
        let flat = Tree { trees: BTreeMap::new(), ..whole.clone() };
        assert_ne!(flat.digest(), whole.digest());
        assert_eq!(serde_json::to_string(&whole).unwrap(), serde_json::to_string(&flat).unwrap());
    }

    #[test]
    fn each_fact_of_a_sub_tree_is_in_the_digest() {
        let (record, _) = divided();
        let mut digests = BTreeSet::from([record.digest()]);
        let mut changed = record.clone();
        changed.trees.get_mut("part-00000").unwrap().tree = Digest::of(b"other");
        digests.insert(changed.digest());
        let mut renamed = record.clone();
        let tree = renamed.trees.remove("part-00000").unwrap();
        renamed.trees.insert("part-00002".to_owned(), tree);
        digests.insert(renamed.digest());
        assert_eq!(digests.len(), 3);
    }

    #[test]
    fn an_insertion_changes_one_folder_or_two_and_none_is_large() {
        let rows = |range: Range<u32>| range.map(|row| Digest::of(&row.to_le_bytes())).collect::<Vec<_>>();
        let before = rows(0..100_000);
        let contents = |rows: &[Digest]| -> BTreeSet<Vec<Digest>> {
            folders(rows).unwrap().into_iter().map(|range| rows[range].to_vec()).collect()
        };
        let folders_before = contents(&before);
        assert!(folders_before.iter().all(|folder| folder.len() <= MAX_UNDIVIDED));
        assert!((70..150).contains(&folders_before.len()), "{}", folders_before.len());
        for at in [0, 50_000, 100_000] {
            let mut inserted = before.clone();
            inserted.splice(at..at, rows(200_000..200_001));
            let n_new = contents(&inserted).difference(&folders_before).count();
            assert!((1..=2).contains(&n_new), "{n_new} at {at}");
        }
        assert!(folders(&before[..MAX_UNDIVIDED]).is_none());
    }
}

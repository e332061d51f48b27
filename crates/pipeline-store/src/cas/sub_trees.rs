//! Divided trees: stores the sub-trees of an artifact, and brings all its files together again.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path};

use pipeline_core::{Digest, SubTree, Tree};
use rayon::prelude::*;

use super::listing::check_tree;
use super::{Cas, OpenTreeError};
use crate::StoreError;
use crate::error::At;
use crate::workspace::Session;

/// The objects of an artifact, as far as this store knows them.
#[derive(Debug, Default)]
pub struct Objects {
    /// The digests of its files and its sub-trees.
    pub digests: BTreeSet<Digest>,
    /// False if a sub-tree is not here, so that its files are unknown.
    pub is_complete: bool,
}

impl Cas {
    /// Stores the trees of folders, each as an object, and returns their places in the artifact. Those that are here
    /// stay.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_sub_trees(&self, folders: &[(String, Tree)]) -> Result<Vec<(String, SubTree)>, StoreError> {
        let put = |(folder, tree): &(String, Tree)| {
            let (sub_tree, content) = SubTree::of(tree);
            if !self.has_file(&sub_tree.object()) {
                self.put_content(&sub_tree, &content)?;
            }
            Ok((folder.clone(), sub_tree))
        };
        folders.par_iter().map(put).collect()
    }

    fn put_content(&self, sub_tree: &SubTree, content: &[u8]) -> Result<(), StoreError> {
        let path = self.workspace.new_path()?;
        fs::write(&path, content).at("write", &path)?;
        let entry = self.prepare_file(&path, Some(sub_tree.tree))?;
        self.put_prepared(&path, &entry)
    }

    /// The tree with the files of all its sub-trees, which come from the remote where they are absent here.
    ///
    /// # Errors
    /// When sub-trees are missing or damaged (then they are quarantined), or the store fails.
    pub fn whole<'a>(&self, tree: &'a Tree) -> Result<Cow<'a, Tree>, OpenTreeError> {
        check_tree(tree)?;
        if tree.is_whole() {
            return Ok(Cow::Borrowed(tree));
        }
        let mut whole = tree.clone();
        let objects: Vec<_> = tree.trees.values().map(SubTree::object).collect();
        self.fetch(&objects)?;
        let read = |(folder, sub_tree): (&String, &SubTree)| Ok((folder.clone(), self.look_at(sub_tree)?));
        let looks: Vec<(String, Look)> = tree.trees.par_iter().map(read).collect::<Result<_, StoreError>>()?;
        let (mut missing, mut damaged) = (Vec::new(), Vec::new());
        for (folder, look) in looks {
            match look {
                Look::Intact(sub_tree) => whole.add_files_of(&folder, sub_tree),
                Look::Missing => missing.push(folder),
                Look::Damaged => damaged.push(folder),
            }
        }
        match (damaged.is_empty(), missing.is_empty()) {
            (true, true) => Ok(Cow::Owned(whole)),
            (true, false) => Err(OpenTreeError::Missing { files: missing }),
            (false, _) => Err(OpenTreeError::Corrupt { files: damaged }),
        }
    }

    /// The objects of an artifact, from this store alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn objects_of(&self, tree: &Tree) -> Result<Objects, StoreError> {
        self.objects_unseen(tree, &mut BTreeSet::new())
    }

    /// The same without the files of sub-trees that were seen before, which are read once for many artifacts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn objects_unseen(&self, tree: &Tree, seen: &mut BTreeSet<SubTree>) -> Result<Objects, StoreError> {
        let own = tree.files.values().map(|entry| entry.digest);
        let mut objects = Objects { digests: own.collect(), is_complete: true };
        let is_whole = tree.is_whole();
        for sub_tree in tree.trees.values() {
            objects.digests.insert(sub_tree.tree);
            if is_whole || seen.contains(sub_tree) {
                continue;
            }
            match self.look_at(sub_tree)? {
                Look::Intact(files) => {
                    objects.digests.extend(files.files.values().map(|entry| entry.digest));
                    seen.insert(*sub_tree);
                }
                Look::Missing | Look::Damaged => objects.is_complete = false,
            }
        }
        Ok(objects)
    }

    /// Reads a sub-tree of this store.
    fn look_at(&self, sub_tree: &SubTree) -> Result<Look, StoreError> {
        let is_there = self.knows(&sub_tree.tree);
        Ok(match self.read_intact(&sub_tree.object())?.and_then(|content| checked(&content, sub_tree)) {
            Some(tree) => Look::Intact(tree),
            None if is_there => Look::Damaged,
            None => Look::Missing,
        })
    }

    /// True if every file of the folder exists with its length.
    pub(super) fn has_sub_tree(&self, sub_tree: &SubTree, session: Option<&Session>) -> bool {
        let has_files = |tree: &Tree| tree.files.par_iter().all(|(_, entry)| self.has_object(entry, session));
        self.has_object(&sub_tree.object(), session)
            && matches!(self.look_at(sub_tree), Ok(Look::Intact(tree)) if has_files(&tree))
    }
}

/// The state of a sub-tree's object.
enum Look {
    Intact(Tree),
    Missing,
    Damaged,
}

/// The tree in the intact content of an object. `None` if it is another than the record says: then others have made the
/// record.
pub(crate) fn checked(content: &[u8], sub_tree: &SubTree) -> Option<Tree> {
    let tree = SubTree::read(content)?;
    let is_as_recorded = tree.n_files() == sub_tree.n_files && tree.bytes() == sub_tree.bytes;
    let has_only_files = tree.folders.is_empty() && tree.links.is_empty();
    (is_as_recorded && has_only_files && check_tree(&tree).is_ok()).then_some(tree)
}

/// True for the name of a folder at the top of a tree that has nothing else under this name.
pub(super) fn is_folder_of_its_own(tree: &Tree, folder: &str) -> bool {
    let mut parts = Path::new(folder).components();
    let is_one_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    let is_below = |name: &String| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let is_taken = tree.files.contains_key(folder)
        || tree.folders.iter().any(|name| name == folder || is_below(name))
        || tree.links.keys().any(|name| name == folder || is_below(name));
    is_one_name && !folder.contains('/') && !is_taken
}

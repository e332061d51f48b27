//! Inputs laid out for one stage alone: other stages do not see files that its program adds to the folders.
//!
//! The files are links to those of the artifact, so writing into one changes the artifact:
//! [`Cas::altered`](crate::Cas::altered) detects that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::{InputArtifact, Key};
use rayon::prelude::*;

use super::Workspace;
use super::locks::{KeyLock, take_from_dead};
use crate::cas::lay_out_folders;
use crate::durable::list_folder;
use crate::error::At;
use crate::folders::remove_folder;
use crate::{OpenTree, StoreError};

/// The inputs of one stage, by slot, in folders of its own; removed when dropped.
#[derive(Debug)]
pub struct Lent {
    inputs: BTreeMap<String, InputArtifact>,
    folder: Option<PathBuf>,
}

impl Lent {
    /// The inputs as the stage sees them.
    pub fn inputs(&self) -> &BTreeMap<String, InputArtifact> {
        &self.inputs
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // The next process removes what cannot be removed now.
            let _ = remove_folder(folder);
        }
    }
}

impl Workspace {
    /// Lays out the inputs of the stage that computes the key of `lock`, in folders of its own. All their files must be
    /// verified. The paths depend on the key only: a program may write them into its outputs.
    ///
    /// Where the file system has no hard links or no locks, the stage gets the folders that all stages share.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn lend(&self, key: &Key, lock: &KeyLock, inputs: &BTreeMap<String, OpenTree>) -> Result<Lent, StoreError> {
        let shared = inputs.iter().map(|(slot, open)| (slot.clone(), open.artifact().clone()));
        let mut lent = Lent { inputs: shared.collect(), folder: None };
        if inputs.is_empty() || !lock.is_exclusive() {
            return Ok(lent);
        }
        let folder = self.lent_to(key);
        if folder.exists() {
            remove_folder(&folder).at("remove", &folder)?;
        }
        lent.folder = Some(folder.clone());
        for (idx, (artifact, open)) in lent.inputs.values_mut().zip(inputs.values()).enumerate() {
            let own = folder.join(idx.to_string());
            fs::create_dir_all(&own).at("create", &own)?;
            if link_all(open, &own)? {
                *artifact = InputArtifact::in_folder(own, open.tree().clone());
            }
        }
        Ok(lent)
    }

    fn lent_to(&self, key: &Key) -> PathBuf {
        self.lent.join(key.0.hex())
    }

    /// Removes the folders of killed processes, by way of the unused paths that `aside` gives.
    pub(super) fn sweep_lent(&self, aside: impl Fn() -> PathBuf) -> Result<(), StoreError> {
        for entry in list_folder(&self.lent)? {
            let Ok(digest) = entry.file_name().to_string_lossy().parse() else { continue };
            // Only under the lock: another process may begin to use the same folder at this moment.
            let Some(lock) = take_from_dead(&self.lock_file(&Key(digest))) else { continue };
            let aside = aside();
            let moved = fs::rename(entry.path(), &aside);
            drop(lock);
            if moved.is_ok() {
                let _ = remove_folder(&aside);
            }
        }
        Ok(())
    }
}

/// Lays an artifact out again; returns false where files cannot be linked.
fn link_all(open: &OpenTree, own: &Path) -> Result<bool, StoreError> {
    lay_out_folders(open.tree(), own)?;
    let link = |name: &String| fs::hard_link(open.folder().join(name), own.join(name)).is_ok();
    Ok(open.tree().files.par_iter().all(|(name, _)| link(name)))
}

#[cfg(test)]
mod tests {
    use pipeline_core::{Digest, Numerics};

    use super::*;
    use crate::LockOutcome;

    #[test]
    fn folders_left_by_a_killed_process_go_and_those_in_use_stay() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let [used, left] = [b"used", b"left"].map(|name| Key(Digest::of(name)));
        for key in [&used, &left] {
            fs::create_dir_all(workspace.lent_to(key).join("0")).unwrap();
        }
        let LockOutcome::Acquired(_lock) = workspace.lock(&used, "a", Numerics::Plain).unwrap() else {
            panic!("the key is free")
        };
        workspace.sweep_lent(|| folder.path().join("aside")).unwrap();
        assert_eq!([&used, &left].map(|key| workspace.lent_to(key).exists()), [true, false]);
        assert!(!folder.path().join("aside").exists());
    }

    #[test]
    fn a_folder_that_another_process_begins_to_use_is_not_swept() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let key = Key(Digest::of(b"stage"));
        let input = workspace.lent_to(&key).join("0");
        for round in 0..500 {
            // A killed process has left it.
            fs::create_dir_all(&input).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| workspace.sweep_lent(|| folder.path().join("aside")).unwrap());
                let lock = loop {
                    match workspace.lock(&key, "a", Numerics::Plain).unwrap() {
                        LockOutcome::Acquired(lock) => break lock,
                        LockOutcome::Held(_) => std::thread::yield_now(),
                    }
                };
                if workspace.lent_to(&key).exists() {
                    remove_folder(&workspace.lent_to(&key)).unwrap();
                }
                fs::create_dir_all(&input).unwrap();
                fs::write(input.join("file"), "input").unwrap();
                // The sweep has time to do its worst.
                (0..50).for_each(|_| std::thread::yield_now());
                assert!(input.join("file").exists(), "round {round}");
                drop(lock);
            });
            drop(fs::remove_dir_all(workspace.lent_to(&key)));
        }
    }
}

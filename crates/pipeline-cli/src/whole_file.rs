//! Writes files for users whole or not at all, and replaces nothing that other programs wrote.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use pipeline_experiments::Protected;
use pipeline_store::{Store, StoreError};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// A file to write.
pub struct WholeFile<'a> {
    /// Its path; follows links there, and writes into devices and pipes.
    pub path: &'a Path,
    /// The paths that no command may overwrite.
    pub protected: Option<&'a Protected>,
    /// The store, which remembers the files that this program has written.
    pub store: &'a Store,
    /// True to replace a file of another program.
    pub force: bool,
}

impl WholeFile<'_> {
    /// Writes the file, and creates its folder if it is missing.
    ///
    /// # Errors
    /// When the file is protected, belongs to another program, or cannot be written.
    pub fn write(&self, content: &[u8], terminal: &Terminal) -> Result<(), Failure> {
        if let Some(protected) = self.protected {
            protected.check(self.path)?;
        }
        let kept = self.store.outside().write(self.path, content, self.force).map_err(|error| {
            let help = match &error {
                StoreError::Foreign { link: Some(_), .. } => {
                    Some("remove the link, or have the file replaced with `--force`")
                }
                StoreError::Foreign { .. } => Some("move it away, or have it replaced with `--force`"),
                _ => None,
            };
            let failure = Failure::from(error).under(format!("cannot write `{}`", self.path.display()));
            match help {
                Some(help) => failure.with_help(help),
                None => failure,
            }
        })?;
        if let Some(kept) = kept {
            terminal.remark(&format!(
                "note: `{}` was changed after it was written; the changed version is kept as `{}` until `cache gc`",
                self.path.display(),
                kept.display()
            ));
        }
        Ok(())
    }
}

/// Writes a file where there is none, whole or not at all, and creates its folder. Returns whether there was none.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn create_new(path: &Path, content: &[u8]) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = folder.join(format!(".pipeline-{}", std::process::id()));
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    // A link, unlike a rename, never replaces a file that has appeared meanwhile.
    let linked = written.and_then(|()| match fs::hard_link(&beside, path) {
        // Some file systems have no links.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && path.symlink_metadata().is_err() => {
            fs::rename(&beside, path)
        }
        linked => linked,
    });
    let _ = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true),
    }
}

/// The failure of a file that cannot be written.
pub fn cannot(file: &Path, error: &io::Error) -> Failure {
    Failure::because(Exit::Usage, error).under(format!("cannot write `{}`", file.display()))
}

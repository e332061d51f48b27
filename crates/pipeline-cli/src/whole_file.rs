//! Writes files for users whole or not at all, and replaces nothing that other programs wrote.

use std::io;
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
            let is_foreign = matches!(error, StoreError::Foreign { .. });
            let failure = Failure::from(error).under(format!("cannot write `{}`", self.path.display()));
            if is_foreign { failure.with_help("move it away, or have it replaced with `--force`") } else { failure }
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

/// The failure of a file that cannot be written.
pub fn cannot(file: &Path, error: &io::Error) -> Failure {
    Failure::because(Exit::Usage, error).under(format!("cannot write `{}`", file.display()))
}

//! Files that a command writes for people appear whole or not at all, and replace nothing that somebody else wrote.

use std::io;
use std::path::Path;

use pipeline_experiments::Protected;
use pipeline_store::{Store, StoreError};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// A file that is to be written.
pub struct WholeFile<'a> {
    /// Its path; links there are followed, devices and pipes are written into.
    pub path: &'a Path,
    /// The paths that no command may write over.
    pub protected: Option<&'a Protected>,
    /// Where it is remembered which files the program has written.
    pub store: &'a Store,
    /// True to replace what somebody else has written.
    pub force: bool,
}

impl WholeFile<'_> {
    /// Writes the file, and its folder if that is not there.
    ///
    /// # Errors
    /// When the file is guarded, somebody else's, or cannot be written.
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
                "note: `{}` was changed after it was written; what it was is kept as `{}` until `cache gc`",
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

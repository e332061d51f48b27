//! Errors of the store's files, with advice for the user.

use std::io;
use std::path::{Path, PathBuf};

use pipeline_core::{RunId, StageError, StageId};

use crate::check::is_bad_disk;

/// A failure to read or write below `artifacts/`, or to read a source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// The verb of the failed operation, such as `write`.
        verb: &'static str,
        /// The file or folder of the operation.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The content changed during two reads in a row.
    #[error("`{}` changes while it is read", path.display())]
    ChangesWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link, device, socket or pipe where only files and folders can be.
    #[error("`{}` is neither a file nor a folder", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Something in an artifact that is neither a file nor a folder nor a link.
    #[error("`{name}` is {what}, and an artifact holds files, folders and links")]
    SpecialFile {
        /// Its name in the artifact.
        name: String,
        /// Its kind, such as `a named pipe`.
        what: &'static str,
    },
    /// A link in an artifact that would lead elsewhere, or nowhere, once the artifact is stored.
    #[error("the link `{name}` leads to `{target}`, which is no part of the artifact")]
    Link {
        /// Its name in the artifact.
        name: String,
        /// Its target.
        target: String,
    },
    /// A file name that no tree can hold.
    #[error("`{}` cannot name a file of an artifact: names are UTF-8, relative and without `..`", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A store of a later format.
    #[error("the store `{}` was written by a newer version of `pipeline`: it has `{folder}`", path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// The folder of that format.
        folder: String,
    },
    /// A run that cannot be read, or was changed after it ended.
    #[error("run {run} cannot be believed: {problem}")]
    RunDamaged {
        /// The run.
        run: RunId,
        /// The fault, in a few words.
        problem: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// A file that would be replaced although this program did not write it.
    #[error("`{}`{} is not a file that this program has written, and is left alone", path.display(), led_by(link))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The link that leads to it, where the path given was another.
        link: Option<PathBuf>,
    },
    /// A metric that JSON cannot hold and no check can compare.
    #[error("the metric `{metric}` of `{stage}` is not a finite number")]
    NotFinite {
        /// The stage.
        stage: StageId,
        /// The metric's name.
        metric: String,
    },
}

impl StoreError {
    /// The error and its cause in one line.
    pub(crate) fn in_one_line(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// Advice for the user, if there is any.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { path, source, .. } => io_help(path, source),
            Self::ChangesWhileRead { .. } => Some("wait until whatever writes the file is done, then run again".into()),
            Self::NotAFile { .. } => Some("replace it by a file, or remove it".into()),
            Self::SpecialFile { .. } => Some("remove it before the stage ends".into()),
            Self::Link { .. } => {
                Some("leave a copy in its place (`cp -L`), or let it lead to another output by a relative path".into())
            }
            Self::Name { .. } => Some("rename the file".into()),
            Self::RunDamaged { folder, .. } => Some(format!(
                "other runs are not affected; if it cannot be read, check who owns `{}`, and if it was changed, bring \
                 the file back from a copy",
                folder.display()
            )),
            Self::Newer { .. } => {
                Some("use that version, or another store: `--artifacts DIR`; nothing was changed here".into())
            }
            Self::Foreign { link: Some(_), .. } => {
                Some("remove the link, or have the file replaced with `--overwrite`".into())
            }
            Self::Foreign { .. } => Some("move it away, or have it replaced with `--overwrite`".into()),
            Self::NotFinite { .. } => None,
        }
    }

    /// The failure of a stage that this error causes, with its advice.
    pub fn stage_error(self, message: impl Into<String>) -> StageError {
        let help = self.help();
        StageError { help, ..StageError::because(message, self) }
    }

    /// True when a file or folder is missing.
    pub fn is_not_found(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    }

    /// True when the store cannot be written at all, though it may be read.
    pub(crate) fn is_read_only(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
    }
}

fn led_by(link: &Option<PathBuf>) -> String {
    link.as_ref().map_or(String::new(), |link| format!(", to which `{}` leads,", link.display()))
}

fn io_help(path: &Path, source: &io::Error) -> Option<String> {
    let folder = path.parent().unwrap_or(path).display();
    match source.kind() {
        io::ErrorKind::FileTooLarge => {
            Some("raise the limit of the size of files (`ulimit -f unlimited`), and run again".into())
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!(
            "the disk that holds `{folder}` is full: free some space, for example with `pipeline cache gc`, and run \
             again; finished shards are kept"
        )),
        io::ErrorKind::PermissionDenied => Some(format!("check who owns `{folder}` and that you may write there")),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is mounted read-only: choose another store with `--artifacts`".into())
        }
        io::ErrorKind::NotADirectory => Some(format!("something above `{}` is a file: move it away", path.display())),
        _ if is_bad_disk(source) => Some(format!(
            "the disk or file server that holds `{folder}` reports a fault of its own: its log (`dmesg`) says more; \
             choose another store with `--artifacts`, or run again once it is mended; finished shards are kept"
        )),
        io::ErrorKind::CrossesDevices => Some(format!(
            "`{folder}` is on another file system than the rest of the store, and its parts must share one: take away \
             the link inside the store, and let the whole folder `artifacts` be a link to the other disk"
        )),
        _ => None,
    }
}

/// Turns an operating-system error into a [`StoreError`] that names the operation and the path.
pub(crate) trait At<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { verb, path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_reported_with_the_path_and_a_remedy() {
        let full: io::Result<()> = Err(io::ErrorKind::StorageFull.into());
        let error = full.at("write", Path::new("/a/b/c")).unwrap_err();
        assert_eq!(error.to_string(), "cannot write `/a/b/c`");
        assert!(error.help().unwrap().contains("the disk that holds `/a/b` is full"));
        assert!(!error.is_read_only());
    }

    #[test]
    fn a_store_that_may_not_be_written_is_distinguished_from_a_broken_one() {
        let denied: io::Result<()> = Err(io::ErrorKind::PermissionDenied.into());
        let error = denied.at("create", Path::new("/a/b")).unwrap_err();
        assert!(error.is_read_only());
        assert!(error.help().unwrap().contains("who owns `/a`"));
    }
}

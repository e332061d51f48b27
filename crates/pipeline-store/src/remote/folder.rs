//! A remote in a folder, such as a disk that several machines mount: `file:///mnt/shared/cache`.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{PutMode, Remote, RemoteError, RemoteFile, Upload};

/// The permissions of its files: several users read them, and nobody writes into them.
const READ_ONLY: u32 = 0o444;

/// The bytes that are copied at once.
const PIECE_BYTES: usize = 128 << 10;

/// A remote whose files lie in a folder.
#[derive(Debug)]
pub struct RemoteFolder {
    folder: PathBuf,
    url: String,
}

impl RemoteFolder {
    /// The remote in `folder`, which must exist when it is first used: a disk may not be mounted.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), url: format!("file://{}", folder.display()) }
    }

    /// Distinguishes a missing file from a missing disk.
    fn missing(&self) -> Result<(), RemoteError> {
        match fs::metadata(&self.folder) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(RemoteError::Rejected(format!("`{}` is no folder", self.folder.display()))),
            Err(error) => Err(failure(&error)),
        }
    }
}

impl Remote for RemoteFolder {
    fn url(&self) -> &str {
        &self.url
    }

    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError> {
        let mut file = match pipeline_files::open(&self.folder.join(name)) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return self.missing().map(|()| false),
            Err(error) => return Err(failure(&error)),
        };
        let mut piece = vec![0; PIECE_BYTES];
        let mut n_bytes = 0;
        loop {
            let n = match file.read(&mut piece) {
                Ok(0) => return Ok(true),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failure(&error)),
            };
            n_bytes += n as u64;
            if n_bytes > max_bytes {
                return Err(RemoteError::TooLong { name: name.to_owned(), max_bytes });
            }
            to.write_all(&piece[..n]).map_err(RemoteError::Local)?;
        }
    }

    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        match fs::metadata(self.folder.join(name)) {
            Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
            Err(error) if is_absence(&error) => self.missing().map(|()| None),
            Err(error) => Err(failure(&error)),
        }
    }

    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError> {
        let to = self.folder.join(name);
        self.missing()?;
        let above = to.parent().unwrap_or(&self.folder);
        fs::create_dir_all(above).map_err(|error| failure(&error))?;
        let place = tempfile::Builder::new().prefix(".put-").tempfile_in(above).map_err(|error| failure(&error))?;
        write(place.as_file(), upload)?;
        let placed = match mode {
            PutMode::Create => place.persist_noclobber(&to),
            PutMode::Replace => place.persist(&to),
        };
        match placed {
            Ok(_) => Ok(true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failure(&error.error)),
        }
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if is_absence(&error) => Ok(()),
            removed => removed.map_err(|error| failure(&error)),
        }
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        self.missing()?;
        list(&self.folder, prefix, found).map_err(|error| failure(&error))
    }
}

fn write(mut place: &File, upload: Upload<'_>) -> Result<(), RemoteError> {
    match upload {
        Upload::Bytes(bytes) => place.write_all(bytes).map_err(|error| failure(&error))?,
        Upload::File(path) => {
            let mut file = pipeline_files::open(path).map_err(RemoteError::Local)?;
            io::copy(&mut file, &mut place).map_err(|error| failure(&error))?;
        }
    }
    let ready = place.set_permissions(Permissions::from_mode(READ_ONLY)).and_then(|()| place.sync_all());
    ready.map_err(|error| failure(&error))
}

fn list(folder: &Path, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> io::Result<()> {
    let entries = match fs::read_dir(folder.join(prefix)) {
        Err(error) if is_absence(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        let metadata = match entry.metadata() {
            Err(error) if is_absence(&error) => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            list(folder, &name, found)?;
        } else if metadata.is_file() {
            found(RemoteFile { name, bytes: metadata.len(), modified: metadata.modified()? });
        }
    }
    Ok(())
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failure(error: &io::Error) -> RemoteError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => RemoteError::Refused(error.to_string()),
        _ => RemoteError::Unavailable(error.to_string()),
    }
}

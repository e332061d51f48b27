//! Opens and reads regular files: never waits for a FIFO and never reads a device without end.
//!
//! Every path that a user names is opened here, and every file of a store that another program may have replaced. Knows
//! no format and no purpose of a file.
//!
//! ```
//! let error = pipeline_files::open("/dev/zero".as_ref()).unwrap_err();
//! assert_eq!(error.to_string(), "it is a device and not a regular file");
//! ```
//!
//! All other crates that touch the system depend on this one, so it refuses to compile on other systems.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "`pipeline` runs on Linux: leases say who writes a file, /proc lists the processes of a stage, and guards adopt \
     what their programs leave behind. On other systems run it in a Linux container or virtual machine."
);

mod stale;
mod writers;

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

pub use stale::{again_if_stale, is_stale, unless_stale};
pub use writers::is_open_for_writing;

/// The reason why this crate refuses to read a file that the operating system would read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// The path leads to something else.
    #[error("it is {found} and not a regular file")]
    NotRegular { found: &'static str },
    /// The file is longer than the caller accepts.
    #[error("it is longer than {max_bytes} bytes")]
    TooLong { max_bytes: u64 },
}

/// Opens a regular file for reading. Follows symbolic links.
///
/// # Errors
/// When it cannot be opened, or is a folder, FIFO, socket or device; the message names the kind.
pub fn open(path: &Path) -> io::Result<File> {
    again_if_stale(|| open_once(path))
}

fn open_once(path: &Path) -> io::Result<File> {
    // Checked before opening, since opening alone sets some devices in motion.
    check(&path.metadata()?)?;
    // And afterwards: a FIFO may have taken the file's place, and a non-blocking open does not wait for its writer.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of any length.
///
/// # Errors
/// As [`open`], and when it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    again_if_stale(|| {
        let mut file = open_once(path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(content)
    })
}

/// Reads a regular file of at most `max_bytes`, even one that grows or has no length, such as those of `/proc`.
///
/// # Errors
/// As [`open`], when it cannot be read, and when it is longer (`FileTooLarge`).
pub fn read_at_most(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    again_if_stale(|| read_at_most_once(path, max_bytes))
}

fn read_at_most_once(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_once(path)?;
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, Refusal::TooLong { max_bytes });
    if file.metadata()?.len() > max_bytes {
        return Err(too_long());
    }
    let mut content = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes { Err(too_long()) } else { Ok(content) }
}

/// Reads a regular file of any length as text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8 (`InvalidData`).
pub fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// The name of a file type that is not a regular file; `None` for a regular file.
pub fn other_than_regular(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() {
        None
    } else if file_type.is_dir() {
        Some("a folder")
    } else if file_type.is_fifo() {
        Some("a FIFO")
    } else if file_type.is_socket() {
        Some("a socket")
    } else if file_type.is_symlink() {
        Some("a symbolic link")
    } else {
        Some("a device")
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    let Some(found) = other_than_regular(metadata.file_type()) else { return Ok(()) };
    let kind = if metadata.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
    Err(io::Error::new(kind, Refusal::NotRegular { found }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType as NodeType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let [fifo, socket, link, file] = ["fifo", "socket", "link", "file"].map(|name| folder.path().join(name));
        mknodat(CWD, &fifo, NodeType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink("fifo", &link).unwrap();
        fs::write(&file, "content").unwrap();
        for (path, expect) in [
            (fifo.as_path(), "it is a FIFO and not a regular file"),
            (&link, "it is a FIFO and not a regular file"),
            (&socket, "it is a socket and not a regular file"),
            (folder.path(), "it is a folder and not a regular file"),
            (Path::new("/dev/zero"), "it is a device and not a regular file"),
        ] {
            assert_eq!(open(path).unwrap_err().to_string(), expect, "{}", path.display());
            assert_eq!(read_at_most(path, 5).unwrap_err().to_string(), expect, "{}", path.display());
        }
        assert_eq!(read(&file).unwrap(), b"content");
        assert_eq!(read_to_string(&file).unwrap(), "content");
        assert_eq!(open(&folder.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_bound_holds_for_files_that_say_they_are_empty_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "12345").unwrap();
        assert_eq!(read_at_most(&file, 5).unwrap(), b"12345");
        let error = read_at_most(&file, 4).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::FileTooLarge, "it is longer than 4 bytes")
        );
        let listing = Path::new("/proc/self/maps");
        assert_eq!(listing.metadata().unwrap().len(), 0);
        assert_eq!(read_at_most(listing, 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}

//! Files that a command writes for people appear whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;

/// Lets `write` fill another file beside `file` and gives that its name.
///
/// # Errors
/// What `write` returns, or when the file cannot be put in its place; nothing is left then.
pub fn write<T>(file: &Path, write: &mut dyn FnMut(&Path) -> Result<T, Failure>) -> Result<T, Failure> {
    let unfinished = unfinished(file);
    let written = write(&unfinished).and_then(|written| {
        std::fs::rename(&unfinished, file).map_err(|error| cannot(file, &error))?;
        Ok(written)
    });
    if written.is_err() {
        // The error that is told matters more than a leftover.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

/// Writes a text, and the file's folder if that is not there.
///
/// # Errors
/// When the file cannot be written.
pub fn write_text(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = unfinished(file);
    std::fs::write(&unfinished, text)?;
    std::fs::rename(&unfinished, file)
}

/// The failure of a file that cannot be written.
pub fn cannot(file: &Path, error: &io::Error) -> Failure {
    Failure::because(Exit::Usage, error).under(format!("cannot write `{}`", file.display()))
}

/// Where a file is written before it has its name.
pub fn unfinished(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.unfinished", std::process::id()))
}

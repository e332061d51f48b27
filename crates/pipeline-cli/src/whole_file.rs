//! Files that appear whole or not at all.

use std::fs;
use std::io;
use std::path::Path;

/// Writes a file, and its folder if that is not there.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_added_extension(format!("{}.unfinished", std::process::id()));
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}

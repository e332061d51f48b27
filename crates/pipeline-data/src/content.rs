//! Recognises the content of a file by its first bytes, for messages about a file in another format than its reader
//! expects.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::DataError;

/// The number of bytes to look at.
const N_LOOKED_AT: u64 = 4096;

/// The formats that no reader of lines can use, by their first bytes; the texts complete a sentence.
const NO_TEXT: [(&[u8], &str); 16] = [
    (b"\x1f\x8b", "is compressed by gzip; unpack it first (`gunzip`)"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it first (`unzstd`)"),
    (b"\xfd7zXZ\0", "is compressed by xz; unpack it first (`unxz`)"),
    (b"BZh", "is compressed by bzip2; unpack it first (`bunzip2`)"),
    (b"\x04\x22\x4d\x18", "is compressed by lz4; unpack it first (`unlz4`)"),
    (b"PK\x03\x04", "is a zip archive, perhaps an `.npz`; unpack it first (`unzip`)"),
    (b"PAR1", "is Parquet, not text"),
    (b"ARROW1", "is an Arrow file, not text"),
    (b"\x93NUMPY", "is a NumPy array, not text"),
    (b"\x89PNG", "is a PNG image, not text"),
    (b"\xff\xd8\xff", "is a JPEG image, not text"),
    (b"SQLite format 3\0", "is an SQLite database, not text"),
    (b"\xff\xfe\0\0", "is UTF-32 text; save it as UTF-8"),
    (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as UTF-8"),
    (b"version https://git-lfs.github.com", "is a pointer of Git LFS and not the file; `git lfs pull` fetches it"),
];

/// The first bytes of a file; rewinds it.
pub(crate) fn first_bytes(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Read::by_ref(file).take(N_LOOKED_AT).read_to_end(&mut bytes)?;
    file.rewind()?;
    Ok(bytes)
}

/// Opens a file of lines.
///
/// # Errors
/// When it cannot be read, or its first bytes show that it is not UTF-8 text.
pub(crate) fn open_text(path: &Path) -> Result<File, DataError> {
    let mut file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let bytes = first_bytes(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    match no_text(&bytes) {
        Some(problem) => Err(DataError::Malformed { path: path.to_owned(), problem: problem.to_owned() }),
        None => Ok(file),
    }
}

/// Opens an archive of tar, which may be empty.
///
/// # Errors
/// When it cannot be read, or its first bytes are those of another format.
pub(crate) fn open_tar(path: &Path) -> Result<File, DataError> {
    let mut file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let bytes = first_bytes(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    // Old archives have no signature; their first bytes are a name.
    let is_tar = bytes.get(257..262) == Some(b"ustar");
    let other = NO_TEXT.iter().find(|(begin, _)| bytes.starts_with(begin) && !is_tar);
    match other {
        Some((_, problem)) => {
            let problem = problem.replace(", not text", ", not a tar");
            Err(DataError::Malformed { path: path.to_owned(), problem })
        }
        None => Ok(file),
    }
}

fn no_text(bytes: &[u8]) -> Option<&'static str> {
    let found = NO_TEXT.iter().find(|(begin, _)| bytes.starts_with(begin));
    // An id may begin with `PAR1` or `BZh`: a signature of letters counts only if non-text bytes follow.
    let is_letters = |begin: &[u8]| begin.iter().all(u8::is_ascii_alphanumeric);
    let is_binary = bytes.iter().any(|byte| *byte < b'\t');
    if let Some((_, problem)) = found.filter(|(begin, _)| is_binary || !is_letters(begin)) {
        return Some(problem);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("is a tar archive, which is read where its name ends in `.tar`");
    }
    // Every second byte of Latin text in UTF-16 is zero.
    let n_zeros = bytes.iter().filter(|byte| **byte == 0).count();
    let is_wide = bytes.len() >= 4 && n_zeros * 10 >= bytes.len() * 4;
    is_wide.then_some("is no UTF-8 text, perhaps UTF-16; save it as UTF-8")
}

/// The likely format of a text file, such as `comma-separated text`; `None` when it is empty, unreadable or not
/// recognised.
pub fn looks_like(path: &Path) -> Option<&'static str> {
    let bytes = first_bytes(&mut pipeline_files::open(path).ok()?).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let line = text.lines().next().unwrap_or_default().trim_end();
    match line.chars().next()? {
        '[' => Some("one JSON array"),
        // Whether it is right within is another question, such as that of `NaN`.
        '{' if line.ends_with('}') => Some("JSON objects, one a line"),
        '{' if line.len() + 1 >= bytes.len() && bytes.len() as u64 == N_LOOKED_AT => None,
        '{' => Some("one JSON document over several lines"),
        '<' => Some("HTML or XML"),
        _ if line.contains('\t') => Some("tab-separated text"),
        _ if line.contains(',') => Some("comma-separated text"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named_and_text_is_not() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let named = |bytes: &[u8]| no_text(bytes).unwrap_or("text");
        assert!(named(b"\x1f\x8b\x08\0\0").contains("gzip"));
        assert!(named(b"PK\x03\x04").contains("zip archive"));
        assert!(named(&[b"\xff\xfe".as_slice(), &utf16("{}")].concat()).contains("UTF-16"));
        assert!(named(&utf16("{\"query_id\": 1}")).contains("UTF-16"));
        assert!(named(b"version https://git-lfs.github.com/spec/v1\noid").contains("git lfs pull"));
        assert!(named(&[[0; 257].as_slice(), b"ustar"].concat()).contains("tar archive"));
        assert!(named(b"PAR1\x15\x04\x15").contains("Parquet"));
        for text in
            ["", "a", "PAR1\nPAR2\n", "BZh1\tabc\n", "{\"text\": \"\u{7ea2}\"}\n", "\u{feff}{}", "1\tabc\n", "BZ"]
        {
            assert_eq!(named(text.as_bytes()), "text", "{text:?}");
        }
    }

    #[test]
    fn text_is_recognised_by_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expect) in [
            ("id,text\n1,a\n", Some("comma-separated text")),
            ("1\tabc\n", Some("tab-separated text")),
            ("\u{feff}\n[{\"a\": 1}]", Some("one JSON array")),
            ("{\n  \"a\": 1\n}", Some("one JSON document over several lines")),
            ("{\"a\": 1}\n", Some("JSON objects, one a line")),
            ("{\"a\": NaN}\n", Some("JSON objects, one a line")),
            (&format!("{{\"a\": \"{}\"}}\n", "x".repeat(5000)), None),
            ("<!DOCTYPE html>", Some("HTML or XML")),
            ("hello", None),
            ("", None),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(looks_like(file.path()), expect, "{text:?}");
        }
    }
}

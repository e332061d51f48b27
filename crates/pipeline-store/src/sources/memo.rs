//! The remembered digests of sources on disk: one line per file, and the digest of all lines at the end.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use pipeline_core::Digest;

use super::identity::{Identity, is_settled};

/// The initial capacity of a map, per line of the file.
const TYPICAL_LINE_BYTES: usize = 180;

/// The remembered digests by absolute path. The keys are `OsString`, since a `Path` is slow to hash.
pub(crate) type Entries = HashMap<OsString, Remembered>;

/// A digest, and the identity of the file when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) identity: Identity,
    /// When hashing began, in nanoseconds since 1970-01-01 UTC.
    pub(crate) taken_ns: i64,
    pub(crate) digest: Digest,
}

impl Remembered {
    /// True if a change after the digest was taken would show in the identity (git's rule for racy entries).
    ///
    /// A modification time in the future was set by hand; then only the change time counts, which cannot be set.
    pub(crate) fn is_trusted(&self) -> bool {
        is_settled(&self.identity, self.taken_ns)
    }
}

/// Writes the memo's text. Skips paths with a line break.
pub(crate) fn to_bytes<'a>(entries: impl Iterator<Item = (&'a Path, &'a Remembered)>) -> Vec<u8> {
    let mut content = Vec::new();
    let mut line = String::new();
    for (path, remembered) in entries {
        let path = path.as_os_str().as_bytes();
        if path.contains(&b'\n') {
            continue;
        }
        let Remembered { identity: Identity { bytes, modified_ns, changed_ns, inode, device }, taken_ns, digest } =
            remembered;
        line.clear();
        write!(line, "{digest} {bytes} {modified_ns} {changed_ns} {inode} {device} {taken_ns} ")
            .expect("writing to a string does not fail");
        content.extend_from_slice(line.as_bytes());
        content.extend_from_slice(path);
        content.push(b'\n');
    }
    let seal = Digest::of(&content);
    content.extend_from_slice(seal.hex().as_bytes());
    content.push(b'\n');
    content
}

/// Reads a memo's text; empty if a single byte has changed.
pub(crate) fn from_bytes(text: &[u8]) -> Entries {
    intact_content(text).and_then(parse_lines).unwrap_or_default()
}

fn parse_lines(content: &[u8]) -> Option<Entries> {
    let mut entries = Entries::with_capacity(content.len() / TYPICAL_LINE_BYTES);
    for line in content.split_inclusive(|b| *b == b'\n') {
        let (path, remembered) = parse_line(line)?;
        entries.insert(path, remembered);
    }
    Some(entries)
}

fn intact_content(text: &[u8]) -> Option<&[u8]> {
    let (content, seal) = text.split_at_checked(text.len().checked_sub(65)?)?;
    (Digest::of(content).hex().as_bytes() == &seal[..64]).then_some(content)
}

fn parse_line(line: &[u8]) -> Option<(OsString, Remembered)> {
    let mut fields = line.strip_suffix(b"\n")?.splitn(8, |b| *b == b' ');
    let remembered = Remembered {
        digest: field(fields.next())?,
        identity: Identity {
            bytes: field(fields.next())?,
            modified_ns: field(fields.next())?,
            changed_ns: field(fields.next())?,
            inode: field(fields.next())?,
            device: field(fields.next())?,
        },
        taken_ns: field(fields.next())?,
    };
    Some((OsStr::from_bytes(fields.next()?).to_owned(), remembered))
}

fn field<T: FromStr>(text: Option<&[u8]>) -> Option<T> {
    str::from_utf8(text?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::identity::GRANULES_NS;

    const SECOND_NS: i64 = 1_000_000_000;
    const TAKEN_NS: i64 = 1_800_000_000 * SECOND_NS + 1;

    fn remembered(modified_ns: i64, changed_ns: i64) -> Remembered {
        let identity = Identity { bytes: 5, modified_ns, changed_ns, inode: 7, device: 8 };
        Remembered { identity, taken_ns: TAKEN_NS, digest: Digest::of(b"content") }
    }

    #[test]
    fn a_digest_is_trusted_once_the_last_change_is_two_ticks_old() {
        let (recent, settled) = (TAKEN_NS - GRANULES_NS, TAKEN_NS - GRANULES_NS - 1);
        let (coarse_recent, coarse_settled) = (TAKEN_NS - 3 * SECOND_NS - 1, TAKEN_NS - 5 * SECOND_NS - 1);
        for (modified_ns, changed_ns, is_trusted) in [
            (settled, settled, true),
            (recent, settled, false),
            (settled, recent, false),
            (settled, TAKEN_NS + SECOND_NS + 2, false),
            (TAKEN_NS + SECOND_NS, settled, true),
            (coarse_recent, coarse_recent, false),
            (coarse_settled, coarse_settled, true),
        ] {
            assert_eq!(remembered(modified_ns, changed_ns).is_trusted(), is_trusted, "{modified_ns} {changed_ns}");
        }
    }

    #[test]
    fn the_memo_comes_back_whole_or_not_at_all() {
        let entries = [(Path::new("/a b"), remembered(1, -2)), (Path::new("/line\nbreak"), remembered(1, 2))];
        let mut text = to_bytes(entries.iter().map(|(path, remembered)| (*path, remembered)));
        assert_eq!(from_bytes(&text), HashMap::from([(OsString::from("/a b"), remembered(1, -2))]));
        for byte_idx in 0..text.len() {
            text[byte_idx] ^= 1;
            // The line break at the very end has no meaning.
            assert_eq!(from_bytes(&text).is_empty(), byte_idx != text.len() - 1, "byte {byte_idx}");
            text[byte_idx] ^= 1;
        }
        assert!(from_bytes(b"").is_empty());
    }
}

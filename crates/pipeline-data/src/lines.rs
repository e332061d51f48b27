//! Lines of a text file, split as Python's text mode splits them, each with its number and its place in the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// A line may be as long as this; what is longer is not read into memory.
const MAX_LINE_BYTES: u64 = 256 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one line after the other: `\n`, `\r\n` and `\r` end a line, a byte order mark at the start is left out.
pub(crate) struct Lines {
    reader: BufReader<File>,
    /// What was read up to and including one `\n`: one line, or more if there are lone `\r`.
    chunk: Vec<u8>,
    /// Where `chunk` begins in the file.
    chunk_offset: u64,
    /// Bytes of the file behind `chunk` that were passed over because the line was too long.
    n_passed_over: u64,
    /// Where the next line begins in `chunk`.
    next: usize,
    number: u64,
}

/// One line without its end.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Where `bytes` begin in the file.
    pub offset: u64,
    /// The line, or none if it is longer than 256 MiB.
    pub bytes: Option<&'a [u8]>,
}

impl Lines {
    pub fn new(file: File) -> Self {
        let reader = BufReader::with_capacity(1 << 20, file);
        Self { reader, chunk: Vec::new(), chunk_offset: 0, n_passed_over: 0, next: 0, number: 0 }
    }

    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.next == self.chunk.len() && !self.read_chunk()? {
            return Ok(None);
        }
        self.number += 1;
        let offset = self.chunk_offset + self.next as u64;
        let rest = &self.chunk[self.next..];
        let (length, n_end) = line_length(rest);
        let is_complete = self.n_passed_over == 0 || n_end > 0;
        self.next += length + n_end;
        Ok(Some(Line { number: self.number, offset, bytes: is_complete.then_some(&rest[..length]) }))
    }

    /// False at the end of the file.
    fn read_chunk(&mut self) -> io::Result<bool> {
        self.chunk_offset += self.chunk.len() as u64 + self.n_passed_over;
        self.chunk.clear();
        self.n_passed_over = 0;
        (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.chunk)?;
        if self.chunk.len() as u64 == MAX_LINE_BYTES && self.chunk.last() != Some(&b'\n') {
            self.n_passed_over = self.reader.skip_until(b'\n')? as u64;
        }
        let is_start = self.chunk_offset == 0 && self.chunk.starts_with(BYTE_ORDER_MARK);
        self.next = if is_start { BYTE_ORDER_MARK.len() } else { 0 };
        Ok(self.next < self.chunk.len())
    }
}

/// The length of the first line of `rest`, and that of its end.
fn line_length(rest: &[u8]) -> (usize, usize) {
    let n_end = if rest.ends_with(b"\r\n") { 2 } else { usize::from(rest.ends_with(b"\n")) };
    let body = &rest[..rest.len() - n_end];
    // `contains` is a vectorised search, `position` is not; a lone `\r` is rare.
    match body.contains(&b'\r').then(|| body.iter().position(|&byte| byte == b'\r')).flatten() {
        Some(length) => (length, 1),
        None => (body.len(), n_end),
    }
}

/// `text` without the characters at both ends that Python's `str.strip` takes for white space.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// The bytes that [`strip`] removes at the start of `text`.
pub(crate) fn n_leading_space(text: &str) -> usize {
    text.len() - text.trim_start_matches(is_python_space).len()
}

fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_and_offsets_are_places_in_the_file() {
        let text = b"\xef\xbb\xbfone\ntwo\r\nthree\rfour\r\r\n\nlast";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut lines = Lines::new(file.reopen().unwrap());
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let bytes = line.bytes.unwrap();
            assert_eq!(&text[line.offset as usize..][..bytes.len()], bytes);
            seen.push((line.number, String::from_utf8(bytes.to_vec()).unwrap()));
        }
        let expected = [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, ""), (6, ""), (7, "last")];
        assert_eq!(seen, expected.map(|(number, text)| (number, text.to_owned())));
    }

    #[test]
    fn the_white_space_of_python_is_stripped() {
        assert_eq!(strip("\u{3000}\x1f a b\x1c\u{a0}\r"), "a b");
        assert_eq!(n_leading_space("\u{3000}\x1f a"), 5);
    }
}

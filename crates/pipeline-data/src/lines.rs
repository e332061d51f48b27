//! Lines of a text file, split as Python's text mode splits them, each with its number and its byte offset.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// The longest line that is read into memory, in bytes.
const MAX_LINE_BYTES: usize = 256 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one line after the other: `\n`, `\r\n` and `\r` end a line; skips a byte order mark at the start.
///
/// Holds one line in memory at a time, whatever ends it.
pub(crate) struct Lines<R = File> {
    reader: BufReader<R>,
    /// The current line without its end, or its first bytes if it is too long.
    line: Vec<u8>,
    /// The byte offset of the next line.
    next_offset: u64,
    number: u64,
    max_line_bytes: usize,
}

/// One line without its end.
pub(crate) struct Line<'a> {
    /// The number, counted from 1.
    pub number: u64,
    /// The byte offset of `bytes` in the file.
    pub offset: u64,
    /// The line, or `None` if it is longer than 256 MiB.
    pub bytes: Option<&'a [u8]>,
}

impl<R: Read> Lines<R> {
    pub fn new(file: R) -> Self {
        let reader = BufReader::with_capacity(1 << 20, file);
        Self { reader, line: Vec::new(), next_offset: 0, number: 0, max_line_bytes: MAX_LINE_BYTES }
    }

    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let begin = self.next_offset;
        let Some(n_bytes) = self.read_line()? else { return Ok(None) };
        self.number += 1;
        let n_marks = if begin == 0 && self.line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let is_whole = n_bytes == self.line.len() as u64;
        let bytes = is_whole.then_some(&self.line[n_marks..]);
        Ok(Some(Line { number: self.number, offset: begin + n_marks as u64, bytes }))
    }

    /// Reads up to the end of the line and returns its length; `None` at the end of the file.
    fn read_line(&mut self) -> io::Result<Option<u64>> {
        let mut n_bytes = 0;
        let mut is_any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(is_any.then_some(n_bytes));
            }
            is_any = true;
            let end = memchr::memchr2(b'\n', b'\r', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let n_kept = part.len().min(self.max_line_bytes - self.line.len());
            self.line.extend_from_slice(&part[..n_kept]);
            n_bytes += part.len() as u64;
            let is_carriage_return = end.is_some_and(|end| buffer[end] == b'\r');
            let n_consumed = part.len() + usize::from(end.is_some());
            self.consume(n_consumed);
            if is_carriage_return && self.reader.fill_buf()?.starts_with(b"\n") {
                self.consume(1);
            }
            if end.is_some() {
                return Ok(Some(n_bytes));
            }
        }
    }

    fn consume(&mut self, n_bytes: usize) {
        self.reader.consume(n_bytes);
        self.next_offset += n_bytes as u64;
    }
}

/// `text` without the characters at both ends that Python's `str.strip` removes.
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

    /// Reads one byte at a time, so that every buffer ends within a line end or a character.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n_bytes = out.len().min(1);
            self.0.read(&mut out[..n_bytes])
        }
    }

    #[test]
    fn lines_are_the_same_however_the_file_comes() {
        for (text, expected) in [
            (b"a\rb\rc".as_slice(), ["a", "b", "c"].as_slice()),
            (b"a\r\nb\r\n", &["a", "b"]),
            (b"\r\r\n\n", &["", "", ""]),
            (b"", &[]),
            (b"\n", &[""]),
            (b"\xef\xbb\xbfa\r\nb", &["a", "b"]),
        ] {
            let mut lines = Lines::new(Drops(text));
            let mut seen = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                seen.push(String::from_utf8(line.bytes.unwrap().to_vec()).unwrap());
            }
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_no_other() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["short", "much too long", "12345678", "", "last"].join(end);
            let mut lines = Lines { max_line_bytes: 8, ..Lines::new(text.as_bytes()) };
            let mut seen = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                let begin = &text[line.offset as usize..];
                assert!(line.bytes.is_none_or(|bytes| begin.as_bytes().starts_with(bytes)));
                seen.push((line.number, line.bytes.map(|bytes| bytes.len())));
            }
            assert_eq!(seen, [(1, Some(5)), (2, None), (3, Some(8)), (4, Some(0)), (5, Some(4))], "{end:?}");
        }
    }

    #[test]
    fn the_white_space_of_python_is_stripped() {
        assert_eq!(strip("\u{3000}\x1f a b\x1c\u{a0}\r"), "a b");
        assert_eq!(n_leading_space("\u{3000}\x1f a"), 5);
    }
}

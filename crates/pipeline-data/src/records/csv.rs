//! CSV and TSV with a header, by RFC 4180: quoted fields may hold separators, line breaks and doubled quotes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::columns::Resolved;
use super::{Cell, Record, Take};
use crate::DataError;
use crate::content::open_text;
use crate::vectors::malformed;

/// The longest row, in bytes: a quote that is never closed must not take the rest of a file for one field.
const MAX_ROW_BYTES: usize = 16 << 20;

/// The separators of a CSV, of which the header shows the right one.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of rows.
pub(super) struct CsvTable {
    path: PathBuf,
    separator: u8,
}

impl CsvTable {
    /// Finds the separator.
    pub fn open(path: &Path, is_tsv: bool) -> Result<Self, DataError> {
        let separator = if is_tsv { b'\t' } else { separator_of(path)? };
        Ok(Self { path: path.to_owned(), separator })
    }

    /// The names in the header.
    ///
    /// # Errors
    /// When there is none, or a name occurs twice.
    pub fn names(&self) -> Result<Vec<String>, DataError> {
        let mut rows = Rows::open(&self.path, self.separator)?;
        header(&self.path, &mut rows)
    }

    pub fn read(&self, columns: &Resolved, take: &mut Take<'_>) -> Result<(), DataError> {
        let mut rows = Rows::open(&self.path, self.separator)?;
        let names = header(&self.path, &mut rows)?;
        let place = |name: Option<&String>| name.and_then(|name| names.iter().position(|known| known == name));
        let places =
            [Some(&columns.text), columns.id.as_ref(), columns.images.as_ref(), columns.filter.as_ref()].map(place);
        while let Some((line, fields)) = rows.next()? {
            if fields.len() == 1 && fields[0].is_empty() {
                continue;
            }
            take((line, record(&names, fields, places)))?;
        }
        Ok(())
    }
}

fn record(names: &[String], fields: Vec<Vec<u8>>, places: [Option<usize>; 4]) -> Result<Record, String> {
    if fields.len() != names.len() {
        return Err(format!("{} fields, and the header has {}", fields.len(), names.len()));
    }
    let mut texts = Vec::with_capacity(4);
    for place in places {
        let text =
            place.map(|place| str::from_utf8(&fields[place]).map_err(|_| format!("`{}` is not UTF-8", names[place])));
        texts.push(text.transpose()?.map_or(Cell::Absent, |text| Cell::of_text(text.to_owned())));
    }
    let [text, id, images, filter] = <[Cell; 4]>::try_from(texts).expect("a cell for each of four places");
    Ok(Record { text, id, images, filter })
}

fn header(path: &Path, rows: &mut Rows) -> Result<Vec<String>, DataError> {
    let Some((_, fields)) = rows.next()? else { return Err(malformed(path, "is empty, and has no header")) };
    let names: Result<Vec<String>, _> = fields.into_iter().map(String::from_utf8).collect();
    let names = names.map_err(|_| malformed(path, "has a header that is not UTF-8"))?;
    let names: Vec<String> = names.into_iter().map(|name| name.trim().to_owned()).collect();
    let repeated = names.iter().enumerate().find(|(idx, name)| !name.is_empty() && names[..*idx].contains(name));
    match repeated {
        Some((_, name)) => Err(malformed(path, format!("has several columns `{name}`"))),
        None => Ok(names),
    }
}

/// The separator that the header has most often outside of quotes.
fn separator_of(path: &Path) -> Result<u8, DataError> {
    let mut counts = [0; SEPARATORS.len()];
    let mut is_quoted = false;
    let mut reader = BufReader::new(open_text(path)?);
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    'header: while let bytes @ [_, ..] = reader.fill_buf().map_err(failed)? {
        for byte in bytes {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b'\n' | b'\r' if !is_quoted => break 'header,
                _ if is_quoted => {}
                byte => SEPARATORS
                    .iter()
                    .zip(&mut counts)
                    .filter(|(known, _)| *known == byte)
                    .for_each(|(_, count)| *count += 1),
            }
        }
        let n_bytes = bytes.len();
        reader.consume(n_bytes);
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let found = counts.iter().position(|count| *count == most && most > 0);
    Ok(SEPARATORS[found.unwrap_or(0)])
}

/// The line on which a row begins, and its fields.
type Row = (u64, Vec<Vec<u8>>);

/// The rows of a file with the lines on which they begin.
struct Rows<R = BufReader<File>> {
    path: PathBuf,
    reader: R,
    separator: u8,
    line: u64,
    max_row_bytes: usize,
}

impl Rows {
    fn open(path: &Path, separator: u8) -> Result<Self, DataError> {
        let mut reader = BufReader::with_capacity(1 << 20, open_text(path)?);
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        if reader.fill_buf().map_err(failed)?.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
        }
        Ok(Self { path: path.to_owned(), reader, separator, line: 1, max_row_bytes: MAX_ROW_BYTES })
    }
}

/// The place within a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field.
    Start,
    /// In a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// After a quote within quotes: the end, or the first half of a doubled quote.
    Closed,
}

impl<R: BufRead> Rows<R> {
    /// The next row; `None` at the end.
    fn next(&mut self) -> Result<Option<Row>, DataError> {
        let begin = self.line;
        let (mut fields, mut field, mut n_bytes) = (Vec::new(), Vec::new(), 0);
        let mut state = State::Start;
        loop {
            let Some(byte) = self.byte()? else {
                return match state {
                    State::Quoted => Err(self.unclosed(begin, "never closed")),
                    State::Start if fields.is_empty() => Ok(None),
                    _ => {
                        fields.push(field);
                        Ok(Some((begin, fields)))
                    }
                };
            };
            n_bytes += 1;
            if n_bytes > self.max_row_bytes {
                return Err(self.too_long(begin, state));
            }
            match (state, byte) {
                (State::Start, b'"') => state = State::Quoted,
                (State::Quoted, b'"') => state = State::Closed,
                (State::Quoted, byte) => field.push(byte),
                (State::Closed, b'"') => {
                    field.push(b'"');
                    state = State::Quoted;
                }
                (_, b'\n') => {
                    fields.push(field);
                    return Ok(Some((begin, fields)));
                }
                (_, b'\r') if self.is_before(b'\n')? => {}
                (_, b'\r') => {
                    self.line += 1;
                    fields.push(field);
                    return Ok(Some((begin, fields)));
                }
                (_, byte) if byte == self.separator => {
                    fields.push(std::mem::take(&mut field));
                    state = State::Start;
                }
                (State::Closed, byte) => {
                    field.push(byte);
                    state = State::Plain;
                }
                (_, byte) => {
                    field.push(byte);
                    state = State::Plain;
                }
            }
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, DataError> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.reader.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    fn is_before(&mut self, expected: u8) -> Result<bool, DataError> {
        Ok(self.peek()? == Some(expected))
    }

    fn peek(&mut self) -> Result<Option<u8>, DataError> {
        let bytes: io::Result<&[u8]> = self.reader.fill_buf();
        bytes.map(|bytes| bytes.first().copied()).map_err(|source| DataError::Read { path: self.path.clone(), source })
    }

    fn unclosed(&self, line: u64, what: &str) -> DataError {
        DataError::Row { path: self.path.clone(), row: line, problem: format!("has a quote that is {what}") }
    }

    fn too_long(&self, line: u64, state: State) -> DataError {
        if state == State::Quoted {
            return self.unclosed(line, "still open after 16 MiB");
        }
        DataError::Row { path: self.path.clone(), row: line, problem: "is longer than 16 MiB".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Result<Vec<(u64, Vec<String>)>, String> {
        let mut rows = Rows { path: "x.csv".into(), reader: text, separator: b',', line: 1, max_row_bytes: 64 };
        let mut all = Vec::new();
        while let Some((line, fields)) = rows.next().map_err(|error| error.to_string())? {
            all.push((line, fields.into_iter().map(|field| String::from_utf8(field).unwrap()).collect()));
        }
        Ok(all)
    }

    #[test]
    fn quotes_hold_separators_line_breaks_and_quotes() {
        let texts = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        let text = b"a,b\r\n\"1,\"\"x\"\"\n2\",\n\"\",3\n4 \"5\",6";
        let expect = [
            (1, texts(&["a", "b"])),
            (2, texts(&["1,\"x\"\n2", ""])),
            (4, texts(&["", "3"])),
            (5, texts(&["4 \"5\"", "6"])),
        ];
        assert_eq!(rows(text).unwrap(), expect);
        assert_eq!(rows(b"a\rb\r").unwrap(), [(1, texts(&["a"])), (2, texts(&["b"]))]);
        assert_eq!(rows(b"").unwrap(), []);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named_and_takes_no_rows() {
        assert_eq!(rows(b"a\nb\n\"c\nd\n").unwrap_err(), "row 3 of `x.csv` has a quote that is never closed");
        let long = [b"a\n\"".as_slice(), &[b'x'; 100]].concat();
        assert_eq!(rows(&long).unwrap_err(), "row 2 of `x.csv` has a quote that is still open after 16 MiB");
        let without_a_quote = [b"a,b\n".as_slice(), &[b'x'; 100], b",1"].concat();
        assert_eq!(rows(&without_a_quote).unwrap_err(), "row 2 of `x.csv` is longer than 16 MiB");
    }

    #[test]
    fn the_header_shows_the_separator() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, separator) in [
            ("a,b;c,d\n1", b','),
            ("a;b\n1,2,3;4", b';'),
            ("image_name| comment_number| comment\n", b'|'),
            ("\"a;b;c\",d\n", b','),
            ("a\tb", b'\t'),
            ("a", b','),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(separator_of(file.path()).unwrap(), separator, "{text:?}");
        }
    }
}

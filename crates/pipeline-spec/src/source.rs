//! Places of values: files with their text, positions in them, values with positions.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A YAML file, or the text of an override; kept so that errors can quote it.
pub struct SpecFile {
    path: PathBuf,
    folder: Arc<Path>,
    text: String,
    line_starts: OnceLock<Vec<usize>>,
    /// True if every character is one byte: then finding a column needs no scan of the line.
    is_ascii: bool,
}

/// A piece of one line of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SpecFile>,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The number of characters on that line, at least 1.
    pub len: u32,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl SpecFile {
    /// A file shown as `path`, whose relative paths start in the absolute `folder`.
    pub(crate) fn new(path: PathBuf, folder: Arc<Path>, text: String) -> Arc<Self> {
        let is_ascii = text.is_ascii();
        Arc::new(Self { path, folder, text, line_starts: OnceLock::new(), is_ascii })
    }

    /// The path as the user gave it, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The absolute folder in which the file lies.
    pub fn folder(&self) -> &Arc<Path> {
        &self.folder
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Shows the path.
    pub fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// The byte offset of character number `n_chars` of a `text` of this file; its end if there are fewer.
    fn byte_of(&self, text: &str, n_chars: usize) -> usize {
        if self.is_ascii {
            return n_chars.min(text.len());
        }
        text.char_indices().nth(n_chars).map_or(text.len(), |(byte, _)| byte)
    }

    /// The text of a line, counted from 1, without its end; empty past the last line.
    pub fn line(&self, line: u32) -> &str {
        let starts = self
            .line_starts
            .get_or_init(|| std::iter::once(0).chain(self.text.match_indices('\n').map(|(idx, _)| idx + 1)).collect());
        let line_idx = (line as usize).saturating_sub(1);
        let Some(&start) = starts.get(line_idx) else { return "" };
        let end = starts.get(line_idx + 1).map_or(self.text.len(), |next| next - 1);
        self.text[start..end].trim_end_matches('\r')
    }
}

impl Span {
    /// The first character of a file.
    pub(crate) fn start_of(file: &Arc<SpecFile>) -> Self {
        Self { file: file.clone(), line: 1, column: 1, len: 1 }
    }

    /// The characters of the span as written, with quotes and escapes.
    pub fn text(&self) -> &str {
        let line = self.file.line(self.line);
        let start = self.file.byte_of(line, self.column as usize - 1);
        let rest = &line[start..];
        &rest[..self.file.byte_of(rest, self.len as usize)]
    }

    /// The part of the span that reads `part`, or the whole span.
    pub(crate) fn narrow(&self, part: &str) -> Self {
        let text = self.text();
        let Some(start) = text.find(part) else { return self.clone() };
        let column = self.column + text[..start].chars().count() as u32;
        Self { file: self.file.clone(), line: self.line, column, len: part.chars().count() as u32 }
    }
}

impl PartialEq for SpecFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for SpecFile {}

impl fmt::Debug for SpecFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpecFile({})", self.path.display())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({self}+{})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_quotes_its_characters_and_its_line() {
        let file = SpecFile::new("a.yaml".into(), Path::new("/").into(), "über: 1\r\nb: „x“ y\n".into());
        let span = Span { file: file.clone(), line: 2, column: 4, len: 3 };
        assert_eq!(span.text(), "„x“");
        assert_eq!(span.narrow("x").to_string(), "a.yaml:2:5");
        assert_eq!(file.line(1), "über: 1");
        assert_eq!(file.line(3), "");
        assert_eq!(file.line(4), "");
        assert_eq!(Span { file, line: 2, column: 40, len: 3 }.text(), "");
    }
}

//! Reads MUGE queries, one JSON object per line, in the dialects of Tianchi and of Chinese-CLIP.

mod parse;
mod remarks;

use std::ops::ControlFlow;
use std::path::Path;

use crate::DataError;
use crate::content::open_text;
use crate::lines::Lines;
pub(crate) use parse::must_be_one;
use parse::parse_query;
use remarks::Counts;
pub use remarks::{Remark, repeated_ids};

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRow {
    /// `query_id` or `text_id`, as text; `None` if absent, null or empty.
    pub id: Option<String>,
    /// `query_text` or `text`; may be empty.
    pub text: String,
    /// `item_ids` or `image_ids`, as text: the relevant images. `None` if absent or null, as in the test split.
    pub image_ids: Option<Vec<String>>,
}

/// A line that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLine {
    /// The line, counted from 1.
    pub line: u64,
    /// The reason, as a lower-case fragment.
    pub reason: String,
}

/// The noteworthy lines of a file of queries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryReading {
    /// The skipped lines, in order.
    pub skipped: Vec<SkippedLine>,
    /// Accepted but odd lines, counted by oddity.
    pub remarks: Vec<Remark>,
}

impl QueryRow {
    /// The BLAKE3 digest of everything in the row; equal rows have equal digests.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut add = |mark: u8, text: &str| {
            hasher.update(&[mark]).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        // A prefix marks each part, so that no two rows give the same bytes.
        self.id.iter().for_each(|id| add(1, id));
        add(2, &self.text);
        if let Some(image_ids) = &self.image_ids {
            add(3, "");
            image_ids.iter().for_each(|id| add(4, id));
        }
        *hasher.finalize().as_bytes()
    }
}

/// Passes every query of the file with its line to `each`, in order; holds one line in memory at a time.
///
/// A line without a text, with invalid ids or that is not a JSON object is skipped. Blank lines are not mentioned.
/// Numbers become text as Python's `str` formats them (`8.0` stays `8.0`), and the last of repeated keys counts.
///
/// # Errors
/// When the file cannot be read or is not text, and [`DataError::Stopped`] when `each` breaks.
pub fn read_queries(
    path: &Path,
    each: &mut dyn FnMut(u64, QueryRow) -> ControlFlow<()>,
) -> Result<QueryReading, DataError> {
    let mut lines = Lines::new(open_text(path)?);
    let mut skipped = Vec::new();
    let mut counts = Counts::default();
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { return Ok(QueryReading { skipped, remarks: counts.remarks() }) };
        match line.bytes.map_or(Err("longer than 256 MiB".to_owned()), parse_query) {
            Ok(None) => {}
            Ok(Some(query)) => {
                query.oddities.iter().for_each(|oddity| counts.add(*oddity, line.number));
                if each(line.number, query.row).is_break() {
                    return Err(DataError::Stopped { path: path.to_owned() });
                }
            }
            Err(reason) => skipped.push(SkippedLine { line: line.number, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_have_different_digests() {
        let row = |id: Option<&str>, text: &str, ids: Option<Vec<&str>>| {
            let image_ids = ids.map(|ids| ids.into_iter().map(str::to_owned).collect());
            QueryRow { id: id.map(str::to_owned), text: text.to_owned(), image_ids }.digest()
        };
        let digests = std::collections::BTreeSet::from([
            row(None, "a", None),
            row(Some("a"), "", None),
            row(None, "a", Some(vec![])),
            row(None, "a", Some(vec![""])),
            row(None, "a", Some(vec!["b", "c"])),
            row(None, "a", Some(vec!["bc"])),
        ]);
        assert_eq!(digests.len(), 6);
    }

    #[test]
    fn odd_lines_are_counted_and_refused_ones_listed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [
            r#"{"query_id": 1, "query_text": "a", "item_ids": 7}"#,
            r#"{"query_id": 2, "query_text": "", "item_ids": "8"}"#,
            "",
            r#"{"query_text": "b", "item_ids": [true]}"#,
            r#"{"query_text": "c"}"#,
        ];
        std::fs::write(file.path(), lines.join("\r")).unwrap();
        let mut seen = Vec::new();
        let reading = read_queries(file.path(), &mut |line, row| {
            seen.push((line, row.image_ids));
            ControlFlow::Continue(())
        });
        let reading = reading.unwrap();
        let ids = |id: &str| Some(vec![id.to_owned()]);
        assert_eq!(seen, [(1, ids("7")), (2, ids("8")), (5, None)]);
        let skipped: Vec<_> = reading.skipped.iter().map(|skip| (skip.line, skip.reason.as_str())).collect();
        assert_eq!(skipped, [(4, "`item_ids` holds `true`, which is no id")]);
        let remarks: Vec<String> = reading.remarks.iter().map(Remark::to_string).collect();
        assert_eq!(
            remarks,
            [
                "1 line has no id, the first at line 5",
                "1 line has an empty text, so that no training and no metric counts it, the first at line 2",
                "2 lines name one id instead of a list of ids, which is taken for a list of one, the first at line 1",
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_text_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\x1f\x8b\x08\0rest").unwrap();
        let error = read_queries(file.path(), &mut |_, _| ControlFlow::Continue(())).unwrap_err().to_string();
        assert!(error.ends_with("is compressed by gzip; unpack it first (`gunzip`)"), "{error}");
    }
}

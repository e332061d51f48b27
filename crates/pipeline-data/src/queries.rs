//! Reads MUGE queries, one JSON object a line, in the dialects of Tianchi and of Chinese-CLIP.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::value::RawValue;

use crate::DataError;
use crate::lines::{Lines, strip};
use crate::python::number_text;

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRow {
    /// `query_id` or `text_id`, as text; none if absent or null.
    pub id: Option<String>,
    /// `query_text` or `text`; may be empty.
    pub text: String,
    /// `item_ids` or `image_ids`, as text: the relevant images. None if absent, null or not a list; the test split has
    /// none.
    pub image_ids: Option<Vec<String>>,
}

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedLine {
    /// The line, counted from 1.
    pub line: u64,
    /// Why, as a lower-case fragment.
    pub reason: String,
}

impl QueryRow {
    /// The BLAKE3 digest of everything in the row; equal rows have equal digests.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut add = |mark: u8, text: &str| {
            hasher.update(&[mark]).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        // The mark says what follows, so that no two rows give the same bytes.
        self.id.iter().for_each(|id| add(1, id));
        add(2, &self.text);
        if let Some(image_ids) = &self.image_ids {
            add(3, "");
            image_ids.iter().for_each(|id| add(4, id));
        }
        *hasher.finalize().as_bytes()
    }
}

/// Gives every query of the file to `each`, in order; a few lines at a time are in memory.
///
/// A line that is not a JSON object with a text is left out; these lines are returned. Blank lines are not mentioned.
/// Numbers become text as Python's `str` writes them (`8.0` stays `8.0`), and the last of repeated keys counts.
///
/// # Errors
/// When the file cannot be read, and [`DataError::Stopped`] when `each` breaks.
pub fn read_queries(
    path: &Path,
    each: &mut dyn FnMut(QueryRow) -> ControlFlow<()>,
) -> Result<Vec<SkippedLine>, DataError> {
    let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let mut lines = Lines::new(file);
    let mut skipped = Vec::new();
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { return Ok(skipped) };
        match line.bytes.map_or(Err("longer than 256 MiB".to_owned()), parse_query) {
            Ok(None) => {}
            Ok(Some(row)) => {
                if each(row).is_break() {
                    return Err(DataError::Stopped { path: path.to_owned() });
                }
            }
            Err(reason) => skipped.push(SkippedLine { line: line.number, reason }),
        }
    }
}

/// The query of one line; none if the line is blank, else why it is not a query.
fn parse_query(line: &[u8]) -> Result<Option<QueryRow>, String> {
    let line = strip(str::from_utf8(line).map_err(|_| "not UTF-8")?);
    if line.is_empty() {
        return Ok(None);
    }
    // A map and not a struct: serde's derive would take a JSON array for a struct.
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(line).map_err(|error| reason_of(&error))?;
    let field = |name: &str, other_name: &str| fields.get(name).or_else(|| fields.get(other_name)).copied();
    let text = field("query_text", "text").ok_or("no text: neither `query_text` nor `text`")?;
    let text = serde_json::from_str(text.get()).map_err(|_| format!("the text is not a string: `{}`", short(text)))?;
    let id = field("query_id", "text_id").filter(|id| id.get() != "null").map(id_text);
    let image_ids = field("item_ids", "image_ids")
        .and_then(|ids| serde_json::from_str::<Vec<&RawValue>>(ids.get()).ok())
        .map(|ids| ids.into_iter().map(id_text).collect());
    Ok(Some(QueryRow { id, text, image_ids }))
}

/// What is wrong with a line's JSON. serde_json's own text says `line 1` for every row, which would mislead.
pub(crate) fn reason_of(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "not JSON: the line ends too early".to_owned(),
        serde_json::error::Category::Data => "not a JSON object".to_owned(),
        _ => format!("not JSON from column {}", error.column()),
    }
}

/// An id as Python's `str` gives it.
pub(crate) fn id_text(value: &RawValue) -> String {
    match value.get() {
        "null" => "None".to_owned(),
        "true" => "True".to_owned(),
        "false" => "False".to_owned(),
        text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
        text => number_text(text),
    }
}

fn short(value: &RawValue) -> String {
    value.get().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, id: Option<&str>, text: &str, image_ids: Option<&[&str]>) {
        let image_ids = image_ids.map(|ids| ids.iter().map(|&id| id.to_owned()).collect());
        let expected = QueryRow { id: id.map(str::to_owned), text: text.to_owned(), image_ids };
        assert_eq!(parse_query(line.as_bytes()), Ok(Some(expected)), "{line}");
    }

    #[test]
    fn both_dialects_are_read_and_ids_become_text() {
        check(
            r#"{"query_id": 1, "query_text": "红苹果", "item_ids": [1, "a"]}"#,
            Some("1"),
            "红苹果",
            Some(&["1", "a"]),
        );
        check(r#" {"text_id": "x", "text": "y", "image_ids": []} "#, Some("x"), "y", Some(&[]));
        check(r#"{"query_text": "\u7ea2", "query_id": null}"#, None, "红", None);
        check(r#"{"query_text": "", "item_ids": null}"#, None, "", None);
        check(r#"{"query_text": "a", "item_ids": "1"}"#, None, "a", None);
        let numbers =
            r#"{"text": "a", "text": "b", "image_ids": [8.0, 123456789012345678901234567890, 1e16, -0, true]}"#;
        let ids = ["8.0", "123456789012345678901234567890", "1e+16", "0", "True"];
        check(numbers, None, "b", Some(&ids));
    }

    #[test]
    fn what_is_not_a_query_is_named() {
        let reason = |line: &[u8]| parse_query(line).unwrap_err();
        assert_eq!(reason(b"{not json"), "not JSON from column 2");
        assert_eq!(reason(br#"{"query_id": 99, "query_text": "unfinished"#), "not JSON: the line ends too early");
        assert_eq!(reason(br#"[1, "text", [2]]"#), "not a JSON object");
        assert_eq!(reason(br#"{"query_id": 1}"#), "no text: neither `query_text` nor `text`");
        assert_eq!(reason(br#"{"query_text": null}"#), "the text is not a string: `null`");
        assert_eq!(reason(b"{\"text\": \"\xff\"}"), "not UTF-8");
        assert_eq!(parse_query(b" \r"), Ok(None));
    }

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
}

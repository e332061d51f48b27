//! Parses the query of one line, with its oddities.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::QueryRow;
use super::remarks::Oddity;
use crate::json_line::{Fields, IdValue, short, shortened};
use crate::lines::strip;

/// The names of an id, a text and labels, in Tianchi's dialect and in Chinese-CLIP's.
const ID: [&str; 2] = ["query_id", "text_id"];
const TEXT: [&str; 2] = ["query_text", "text"];
const LABELS: [&str; 2] = ["item_ids", "image_ids"];

/// A query and the oddities of its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedQuery {
    pub row: QueryRow,
    pub oddities: Vec<Oddity>,
}

/// The query of one line; `None` if the line is blank. The error is the reason why it is not a query.
pub(super) fn parse_query(line: &[u8]) -> Result<Option<ParsedQuery>, String> {
    let Some(fields) = Fields::of_line(line)? else { return Ok(None) };
    let mut oddities = Vec::new();
    for names in [ID, TEXT, LABELS] {
        note_fields(&fields, names, &mut oddities);
    }
    let (_, text) = field(&fields, TEXT).ok_or("no text: neither `query_text` nor `text`")?;
    let text: String = serde_json::from_str(text.get()).map_err(|_| no_text(text))?;
    if strip(&text).is_empty() {
        oddities.push(if text.is_empty() { Oddity::EmptyText } else { Oddity::BlankText });
    }
    let id = field(&fields, ID).map_or(Ok(None), |(name, value)| id_of(name, value, &mut oddities))?;
    if id.is_none() {
        oddities.push(Oddity::NoId);
    }
    let image_ids = field(&fields, LABELS).map_or(Ok(None), |(name, value)| labels_of(name, value, &mut oddities))?;
    oddities.sort_unstable();
    oddities.dedup();
    Ok(Some(ParsedQuery { row: QueryRow { id, text, image_ids }, oddities }))
}

/// The reason why a value is no text. Of strings, only those with half of a character are none.
fn no_text(value: &RawValue) -> String {
    if value.get().starts_with('"') {
        return format!("the text has half of a character (a lone surrogate such as `\\ud83d`): `{}`", short(value));
    }
    format!("the text is not a string: `{}`", short(value))
}

/// The field of the first dialect unless it is absent or null, else that of the other one.
fn field<'a>(fields: &Fields<'a>, names: [&'static str; 2]) -> Option<(&'static str, &'a RawValue)> {
    let found = names.map(|name| Some((name, fields.get(name)?)));
    found.into_iter().flatten().find(|(_, value)| value.get() != "null").or_else(|| found.into_iter().flatten().next())
}

fn note_fields(fields: &Fields<'_>, names: [&str; 2], oddities: &mut Vec<Oddity>) {
    if names.iter().any(|name| fields.is_repeated(name)) {
        oddities.push(Oddity::RepeatedField);
    }
    if let [Some(first), Some(other)] = names.map(|name| fields.get(name).map(RawValue::get))
        && first != other
        && ![first, other].contains(&"null")
    {
        oddities.push(Oddity::TwoDialects);
    }
}

fn id_of(name: &str, value: &RawValue, oddities: &mut Vec<Oddity>) -> Result<Option<String>, String> {
    match IdValue::of(value) {
        IdValue::Id(id) => {
            note_id(value, &id, oddities);
            Ok(Some(id))
        }
        IdValue::Absent => Ok(None),
        IdValue::Other => Err(format!("`{name}` is `{}`, which is no id", short(value))),
    }
}

/// Labels: a list of ids, or one id.
fn labels_of(name: &str, value: &RawValue, oddities: &mut Vec<Oddity>) -> Result<Option<Vec<String>>, String> {
    if !value.get().starts_with('[') {
        return match id_of(name, value, oddities)? {
            Some(id) => {
                oddities.push(Oddity::OneLabel);
                must_be_one(name, &id)?;
                Ok(Some(vec![id]))
            }
            None if value.get() == "null" => Ok(None),
            None => {
                oddities.push(Oddity::EmptyLabels);
                Ok(None)
            }
        };
    }
    let values: Vec<&RawValue> =
        serde_json::from_str(value.get()).map_err(|_| format!("`{name}` is `{}`, which is no list", short(value)))?;
    let mut ids = Vec::with_capacity(values.len());
    for value in values {
        match IdValue::of(value) {
            IdValue::Id(id) => {
                note_id(value, &id, oddities);
                must_be_one(name, &id)?;
                ids.push(id);
            }
            IdValue::Absent => oddities.push(Oddity::AbsentLabel),
            IdValue::Other => return Err(format!("`{name}` holds `{}`, which is no id", short(value))),
        }
    }
    if has_repeats(&ids) {
        oddities.push(Oddity::RepeatedLabel);
    }
    Ok(Some(ids))
}

fn note_id(value: &RawValue, id: &str, oddities: &mut Vec<Oddity>) {
    if !value.get().starts_with('"') && id.contains('.') {
        oddities.push(Oddity::Decimal);
    }
    if strip(id).len() != id.len() {
        oddities.push(Oddity::Padded);
    }
}

/// Refuses a text such as `[1, 2]` or `1,2`: no image has such an id, so the query could only miss.
pub(crate) fn must_be_one(name: &str, id: &str) -> Result<(), String> {
    let text = strip(id);
    let is_list = [('[', ']'), ('(', ')'), ('{', '}')]
        .into_iter()
        .any(|(open, close)| text.starts_with(open) && text.ends_with(close));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = || text.split([',', ';', '|', ' ', '\t']).map(strip).filter(|part| !part.is_empty());
    if is_list || parts().nth(1).is_some() && parts().all(is_number) {
        return Err(format!("`{name}` is the text `{}`, not a list of ids", shortened(id)));
    }
    Ok(())
}

fn has_repeats(ids: &[String]) -> bool {
    match ids {
        [] | [_] => false,
        [first, second] => first == second,
        _ => ids.iter().collect::<HashSet<_>>().len() < ids.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> ParsedQuery {
        parse_query(line.as_bytes()).unwrap_or_else(|reason| panic!("{line}: {reason}")).unwrap()
    }

    fn check(line: &str, id: Option<&str>, text: &str, image_ids: Option<&[&str]>, oddities: &[Oddity]) {
        let image_ids = image_ids.map(|ids| ids.iter().map(|&id| id.to_owned()).collect());
        let row = QueryRow { id: id.map(str::to_owned), text: text.to_owned(), image_ids };
        assert_eq!(parsed(line), ParsedQuery { row, oddities: oddities.to_vec() }, "{line}");
    }

    #[test]
    fn both_dialects_are_read_and_ids_become_text() {
        let line = r#"{"query_id": 1, "query_text": "红苹果", "item_ids": [1, "a"]}"#;
        check(line, Some("1"), "红苹果", Some(&["1", "a"]), &[]);
        check(r#" {"text_id": "x", "text": "y", "image_ids": []} "#, Some("x"), "y", Some(&[]), &[]);
        check(r#"{"query_text": "\u7ea2", "query_id": null, "text_id": 2}"#, Some("2"), "红", None, &[]);
        check(r#"{"query_text": "a", "query_id": 1, "item_ids": null}"#, Some("1"), "a", None, &[]);
        let ids = ["123456789012345678901234567890", "0"];
        let line = r#"{"text": "b", "text_id": 1, "image_ids": [123456789012345678901234567890, -0]}"#;
        check(line, Some("1"), "b", Some(&ids), &[]);
    }

    #[test]
    fn what_is_odd_is_noticed() {
        use Oddity::*;
        check(r#"{"query_id": 1, "query_text": "a", "item_ids": 7}"#, Some("1"), "a", Some(&["7"]), &[OneLabel]);
        check(
            r#"{"query_id": 1, "query_text": "a", "item_ids": "b,c.jpg"}"#,
            Some("1"),
            "a",
            Some(&["b,c.jpg"]),
            &[OneLabel],
        );
        check(r#"{"query_id": 1, "query_text": "a", "item_ids": ""}"#, Some("1"), "a", None, &[EmptyLabels]);
        check(
            r#"{"query_id": 1, "query_text": "a", "item_ids": [7, null, ""]}"#,
            Some("1"),
            "a",
            Some(&["7"]),
            &[AbsentLabel],
        );
        check(
            r#"{"query_id": 1, "query_text": "a", "item_ids": [7, 8, 7]}"#,
            Some("1"),
            "a",
            Some(&["7", "8", "7"]),
            &[RepeatedLabel],
        );
        check(
            r#"{"query_id": 1.0, "query_text": "a", "item_ids": [8.0]}"#,
            Some("1.0"),
            "a",
            Some(&["8.0"]),
            &[Decimal],
        );
        check(r#"{"query_id": " 1", "query_text": "a"}"#, Some(" 1"), "a", None, &[Padded]);
        check(r#"{"query_id": 1, "query_id": 2, "query_text": "a"}"#, Some("2"), "a", None, &[RepeatedField]);
        check(r#"{"query_id": 1, "text_id": 2, "query_text": "a"}"#, Some("1"), "a", None, &[TwoDialects]);
        check(r#"{"query_text": ""}"#, None, "", None, &[NoId, EmptyText]);
        check(r#"{"query_text": " \u3000", "query_id": ""}"#, None, " \u{3000}", None, &[NoId, BlankText]);
    }

    #[test]
    fn what_is_not_a_query_is_named() {
        let reason = |line: &str| parse_query(line.as_bytes()).unwrap_err();
        assert_eq!(reason(r#"{"query_id": 1}"#), "no text: neither `query_text` nor `text`");
        assert_eq!(reason(r#"{"query_text": null}"#), "the text is not a string: `null`");
        assert_eq!(reason(r#"{"query_text": "a", "query_id": [1]}"#), "`query_id` is `[1]`, which is no id");
        let labels = |json: &str| reason(&format!(r#"{{"query_text": "a", "item_ids": {json}}}"#));
        assert_eq!(labels("true"), "`item_ids` is `true`, which is no id");
        assert_eq!(labels(r#"{"1": 2}"#), r#"`item_ids` is `{"1": 2}`, which is no id"#);
        assert_eq!(labels("[[1, 2]]"), "`item_ids` holds `[1, 2]`, which is no id");
        assert_eq!(labels("[1, false]"), "`item_ids` holds `false`, which is no id");
        for text in ["[1, 2]", "1,2", "1, 2", "1;2", "1 2", "['a']", "[]"] {
            assert_eq!(labels(&format!("{text:?}")), format!("`item_ids` is the text `{text}`, not a list of ids"));
            assert_eq!(labels(&format!("[{text:?}]")), format!("`item_ids` is the text `{text}`, not a list of ids"));
        }
    }
}

//! One line of JSON: its fields by name, and values that are ids.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::lines::strip;
use crate::python::number_text;

/// The fields of a JSON object in their order, with repeated ones.
pub(crate) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of a line, `None` if it is blank. The error completes a sentence about the line.
    pub fn of_line(line: &'a [u8]) -> Result<Option<Self>, String> {
        let line = strip(str::from_utf8(line).map_err(|_| "not UTF-8")?);
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(line).map(Some).map_err(|error| reason_of(&error, line))
    }

    /// The last value with that name, as in Python.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Whether a field occurs more than once.
    pub fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(field, _)| field == name).nth(1).is_some()
    }

    /// All names, for messages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::with_capacity(4);
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The fault in a line's JSON. serde_json's own text says `line 1` for every row, which would mislead.
fn reason_of(error: &serde_json::Error, line: &str) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "not JSON: the line ends too early".to_owned(),
        serde_json::error::Category::Data => "not a JSON object".to_owned(),
        _ => {
            let column = error.column();
            let rest = |n_before: usize| line.get(column.saturating_sub(n_before)..).unwrap_or_default().trim_start();
            let is_here = |word: &&str| [1, 2].iter().any(|n_before| rest(*n_before).starts_with(word));
            let no_number = ["-Infinity", "Infinity", "NaN"].into_iter().find(is_here);
            let no_number = no_number.map(|word| format!(": `{word}` is no number of JSON")).unwrap_or_default();
            format!("not JSON from column {column}{no_number}")
        }
    }
}

/// A JSON value in the place of an id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IdValue {
    /// A text or number, as Python's `str` formats it.
    Id(String),
    /// Null or an empty text.
    Absent,
    /// A bool, a list or an object.
    Other,
}

impl IdValue {
    /// Reads a value.
    pub fn of(value: &RawValue) -> Self {
        match value.get() {
            "null" | "\"\"" => Self::Absent,
            text if text.starts_with('"') => serde_json::from_str(text).map_or(Self::Other, Self::Id),
            text if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                Self::Id(number_text(text))
            }
            _ => Self::Other,
        }
    }
}

/// The first characters of a value, for messages.
pub(crate) fn short(value: &RawValue) -> String {
    shortened(value.get())
}

/// The first characters of a text, for messages.
pub fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expect: IdValue) {
        assert_eq!(IdValue::of(serde_json::from_str(json).unwrap()), expect, "{json}");
    }

    #[test]
    fn ids_are_texts_and_numbers() {
        let id = |text: &str| IdValue::Id(text.to_owned());
        for (json, text) in [("7", "7"), ("\"007\"", "007"), ("8.0", "8.0"), ("-0", "0"), ("1e16", "1e+16")] {
            check(json, id(text));
        }
        check("123456789012345678901234567890", id("123456789012345678901234567890"));
        ["null", "\"\""].iter().for_each(|json| check(json, IdValue::Absent));
        ["true", "[1]", "{}", "\"\\ud800\""].iter().for_each(|json| check(json, IdValue::Other));
    }

    #[test]
    fn the_last_of_repeated_fields_counts_and_is_noticed() {
        let fields = Fields::of_line(br#" {"a": 1, "b": 2, "a": 3} "#).unwrap().unwrap();
        assert_eq!(fields.get("a").unwrap().get(), "3");
        assert!(fields.is_repeated("a") && !fields.is_repeated("b") && fields.get("c").is_none());
        assert!(Fields::of_line(b" \r").unwrap().is_none());
    }

    #[test]
    fn what_is_no_object_is_named() {
        let reason = |line: &[u8]| Fields::of_line(line).err().unwrap();
        assert_eq!(reason(b"{not json"), "not JSON from column 2");
        assert_eq!(reason(br#"{"a": "unfinished"#), "not JSON: the line ends too early");
        assert_eq!(reason(br#"[1, "text"]"#), "not a JSON object");
        assert_eq!(reason(b"{\"text\": \"\xff\"}"), "not UTF-8");
        assert_eq!(reason(br#"{"a": NaN}"#), "not JSON from column 7: `NaN` is no number of JSON");
        assert_eq!(reason(br#"{"a": [NaN]}"#), "not JSON from column 8: `NaN` is no number of JSON");
        assert_eq!(reason(br#"{"a": [1, Infinity]}"#), "not JSON from column 11: `Infinity` is no number of JSON");
        assert_eq!(reason(br#"{"a": [-Infinity]}"#), "not JSON from column 9: `-Infinity` is no number of JSON");
    }
}

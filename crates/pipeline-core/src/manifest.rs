//! The manifest: the text of everything that can change a stage's output; its digest is the key.
//!
//! The explanation is exactly what is hashed: `pipeline why` shows the lines of this very text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The separator between a name and its value.
const BEFORE_VALUE: &str = " = ";

/// The digest of a manifest, under which a result is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Digest);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Sorted lines `name = "value"` of everything that can change a stage's output.
///
/// Paths, times, host and device are provenance and never enter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    lines: BTreeMap<String, String>,
}

/// A text that is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the manifest is not `name = \"value\"`")]
pub struct InvalidManifest {
    /// The 1-based line.
    pub line: usize,
}

/// A line that differs between two manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineChange {
    /// The name of the line, such as `param.temperature`.
    pub name: String,
    /// The value in the earlier manifest; `None` when the line is new.
    pub old: Option<String>,
    /// The value in the later manifest; `None` when the line is gone.
    pub new: Option<String>,
}

impl Manifest {
    /// Starts the manifest of a stage of `kind` in the given version of its code.
    pub fn new(kind: &str, version: u32) -> Self {
        let lines = BTreeMap::from([("kind".into(), kind.into()), ("version".into(), version.to_string())]);
        Self { lines }
    }

    /// Adds a param by its canonical JSON text.
    pub fn param(&mut self, name: &str, json: &str) {
        self.lines.insert(format!("param.{name}"), json.to_owned());
    }

    /// Adds the content digest of an input artifact.
    pub fn input(&mut self, slot: &str, digest: &Digest) {
        self.lines.insert(format!("input.{slot}"), digest.hex());
    }

    /// Adds the content digest of a source.
    pub fn source(&mut self, name: &str, digest: &Digest) {
        self.lines.insert(format!("source.{name}"), digest.hex());
    }

    /// The value of a line, if there is one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lines.get(name).map(String::as_str)
    }

    /// The params: name and canonical JSON text, sorted by name.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|(name, value)| Some((name.strip_prefix("param.")?, value.as_str())))
    }

    /// The canonical text: one `name = "value"` per line, sorted by name, values as JSON strings.
    ///
    /// A name that could be confused with its value is a JSON string, too, so that no two manifests have the same text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.lines {
            text.push_str(&written(name));
            text.push_str(BEFORE_VALUE);
            text.push_str(&serde_json::Value::from(value.as_str()).to_string());
            text.push('\n');
        }
        text
    }

    /// The digest of [`Manifest::text`].
    pub fn key(&self) -> Key {
        Key(Digest::of(self.text().as_bytes()))
    }

    /// Reads a canonical text back.
    ///
    /// # Errors
    /// When a line is not `name = "value"`.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        let mut lines = BTreeMap::new();
        for (line_idx, line) in text.split_terminator('\n').enumerate() {
            let invalid = InvalidManifest { line: line_idx + 1 };
            let (name, value) = split(line).ok_or(invalid.clone())?;
            let value: String = serde_json::from_str(value).map_err(|_| invalid)?;
            lines.insert(name.into_owned(), value);
        }
        Ok(Self { lines })
    }

    /// The lines that differ from `earlier`, sorted by name.
    pub fn changes_since(&self, earlier: &Self) -> Vec<LineChange> {
        let names: std::collections::BTreeSet<_> = self.lines.keys().chain(earlier.lines.keys()).collect();
        names
            .into_iter()
            .map(|name| LineChange {
                name: name.clone(),
                old: earlier.lines.get(name).cloned(),
                new: self.lines.get(name).cloned(),
            })
            .filter(|change| change.old != change.new)
            .collect()
    }
}

/// A name in the text: verbatim, unless it could be taken for more than a name.
fn written(name: &str) -> Cow<'_, str> {
    let is_plain = !name.starts_with('"') && !name.contains(" =") && !name.contains(char::is_control);
    if is_plain { name.into() } else { serde_json::Value::from(name).to_string().into() }
}

/// The name of a line and the text of its value.
fn split(line: &str) -> Option<(Cow<'_, str>, &str)> {
    if !line.starts_with('"') {
        return line.split_once(BEFORE_VALUE).map(|(name, value)| (name.into(), value));
    }
    let mut names = serde_json::Deserializer::from_str(line).into_iter::<String>();
    let name = names.next()?.ok()?;
    Some((name.into(), line[names.byte_offset()..].strip_prefix(BEFORE_VALUE)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sorted_quoted_and_parses_back() {
        let mut manifest = Manifest::new("k", 3);
        manifest.param("b", "\"x\ny\"");
        manifest.param("a", "0.07");
        let text = manifest.text();
        assert_eq!(text, "kind = \"k\"\nparam.a = \"0.07\"\nparam.b = \"\\\"x\\ny\\\"\"\nversion = \"3\"\n");
        assert_eq!(Manifest::parse(&text).as_ref(), Ok(&manifest));
        assert_eq!(Manifest::parse("kind: k"), Err(InvalidManifest { line: 1 }));
    }

    #[test]
    fn names_of_any_characters_parse_back_and_ordinary_ones_stand_as_they_are() {
        let pieces =
            ["a", " ", "=", " = ", "\"", "\\", "\n", "\r", "\u{7f}", "\u{85}", "\u{2028}", "é", "x = \"1\"\nb"];
        let mut texts = std::collections::BTreeSet::new();
        for case in 0..pieces.len().pow(3) {
            let digit = |place: u32| pieces[case / pieces.len().pow(place) % pieces.len()];
            let (name, value) = (format!("{}{}", digit(0), digit(1)), digit(2));
            let mut manifest = Manifest::new("k", 1);
            manifest.param(&name, value);
            manifest.lines.insert(name.clone(), value.to_owned());
            let text = manifest.text();
            assert_eq!(Manifest::parse(&text).as_ref(), Ok(&manifest), "{text}");
            texts.insert((text, name, value));
        }
        // Manifests that differ in a name or value differ in the text.
        let n_manifests =
            texts.iter().map(|(_, name, value)| (name, value)).collect::<std::collections::BTreeSet<_>>().len();
        let n_texts = texts.iter().map(|(text, _, _)| text).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(n_texts, n_manifests);
        for name in ["model/config.json", "my data.jsonl#2", "数据", "a=b"] {
            assert_eq!(written(name), name);
        }
    }

    #[test]
    fn changes_name_old_and_new() {
        let mut old = Manifest::new("k", 1);
        old.param("a", "1");
        old.param("gone", "1");
        let mut new = Manifest::new("k", 1);
        new.param("a", "2");
        let changes = new.changes_since(&old);
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0], LineChange { name: "param.a".into(), old: Some("1".into()), new: Some("2".into()) });
        assert_eq!(changes[1].new, None);
    }
}

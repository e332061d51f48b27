//! Any YAML value with its place.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;
use std::path::Path;
use std::sync::Arc;

use crate::{Span, Spanned};

/// A YAML value, its place, and the folder in which its relative paths start.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place: for a list or a map the first character.
    pub span: Span,
    /// Set where relative paths do not start in the folder of the file that holds the value.
    pub(crate) folder: Option<Arc<Path>>,
}

/// A YAML value as the core schema of YAML 1.2 reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or empty.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a decimal point or an exponent, `.inf` or `.nan`.
    Float(f64),
    /// Text.
    Str(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by distinct names, in the order of the file.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// A value whose relative paths start in the folder of its file.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span, folder: None }
    }

    /// The absolute folder in which a relative path in this value starts.
    pub fn folder(&self) -> &Arc<Path> {
        self.folder.as_ref().unwrap_or_else(|| self.span.file.folder())
    }

    /// The value under `name`, if this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The key and value under `name`, if this is a map that has it.
    pub fn entry(&self, name: &str) -> Option<&(Spanned<String>, Node)> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.value == name)
    }

    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// True if both have the same value and the same folder for relative paths, regardless of their places.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Str(one), Value::Str(two)) => one == two && self.folder() == other.folder(),
            (Value::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_same(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                let is_in_other = |(key, node): &(Spanned<String>, Self)| {
                    other.get(&key.value).is_some_and(|other| node.is_same(other))
                };
                one.len() == two.len() && one.iter().all(is_in_other)
            }
            (one, two) => one == two,
        }
    }

    /// A description of the value, for messages: "the number 5", "the text `abc`", "a list".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Str(text) => format!("the text `{}`", shortened(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// Makes relative paths in this value start in `folder`.
    pub(crate) fn set_own_folder(&mut self, folder: Arc<Path>) {
        self.folder = Some(folder);
    }

    /// Makes relative paths in this value and all below it start in `folder`, except where another folder was set
    /// before.
    pub(crate) fn set_folder(&mut self, folder: &Arc<Path>) {
        self.folder.get_or_insert_with(|| folder.clone());
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.set_folder(folder)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.set_folder(folder)),
            _ => {}
        }
    }
}

/// A value as a key of a set: two are equal if [`Node::is_same`] says so.
pub(crate) struct Same<'a>(pub(crate) &'a Node);

impl PartialEq for Same<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(other.0)
    }
}

impl Eq for Same<'_> {}

impl Hash for Same<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        discriminant(&self.0.value).hash(state);
        match &self.0.value {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            // Zero has two signs that compare equal.
            Value::Float(value) => (value + 0.0).to_bits().hash(state),
            Value::Str(text) => (text, self.0.folder()).hash(state),
            Value::List(items) => items.iter().for_each(|item| Same(item).hash(state)),
            // The order of entries does not matter.
            Value::Map(entries) => {
                let hash = |(key, node): &(Spanned<String>, Node)| {
                    let mut hasher = DefaultHasher::new();
                    key.value.hash(&mut hasher);
                    Same(node).hash(&mut hasher);
                    hasher.finish()
                };
                entries.iter().map(hash).fold(0, u64::wrapping_add).hash(state);
            }
        }
    }
}

/// The first line of a text, at most 40 characters of it.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.len() && line.chars().count() <= 40 {
        return text.to_owned();
    }
    line.chars().take(39).chain(['…']).collect()
}

//! The fields of a configuration, with the defaults of the class that its library would make of it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::tower::Activation;
use crate::weights::ModelError;

/// A configuration or a part of one, with the file that it stands in.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    values: &'a Map<String, Value>,
    path: &'a Path,
}

/// Far above every encoder there is, and low enough that no list of that length exhausts memory.
const LARGEST: u64 = 1 << 24;

impl<'a> Fields<'a> {
    /// The fields of a whole file.
    pub(super) fn new(values: &'a Map<String, Value>, path: &'a Path) -> Self {
        Self { values, path }
    }

    /// The fields of a part; those of `empty`, which has none, where the file does not have it.
    pub(super) fn part(&self, name: &str, empty: &'a Map<String, Value>) -> Self {
        Self { values: self.values.get(name).and_then(Value::as_object).unwrap_or(empty), path: self.path }
    }

    /// Whether a field is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// A whole number from 1 on.
    ///
    /// # Errors
    /// When the field is something else.
    pub(super) fn size(&self, name: &str, default: usize) -> Result<usize, ModelError> {
        match self.values.get(name).filter(|value| !value.is_null()) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(size) if (1..=LARGEST).contains(&size) => Ok(size as usize),
                _ => Err(self.wrong(format!("`{name}` is {value}, and must be a number from 1 to {LARGEST}"))),
            },
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// When the field is something else.
    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64, ModelError> {
        match self.values.get(name).filter(|value| !value.is_null()) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) if number.is_finite() && number >= 0.0 => Ok(number),
                _ => Err(self.wrong(format!("`{name}` is {value}, and must be a number from 0 on"))),
            },
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// When the field is something else.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.values.get(name).filter(|value| !value.is_null()) {
            None => Ok(default),
            Some(value) => {
                value.as_bool().ok_or_else(|| self.wrong(format!("`{name}` is {value} instead of true or false")))
            }
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.values.get(name)?.as_str()
    }

    /// The non-linearity of the feed-forward parts.
    ///
    /// # Errors
    /// When it is none of those that are computed here.
    pub(super) fn activation(&self, name: &str, default: Activation) -> Result<Activation, ModelError> {
        let Some(value) = self.values.get(name).filter(|value| !value.is_null()) else { return Ok(default) };
        value.as_str().and_then(Activation::of_name).ok_or_else(|| {
            let names: Vec<String> = Activation::names().map(|name| format!("`{name}`")).collect();
            let found = value.as_str().map_or_else(|| value.to_string(), |name| format!("`{name}`"));
            self.wrong(format!("`{name}` is {found} and none of {}", names.join(", ")))
        })
    }

    /// Heads into which a width can be cut.
    ///
    /// # Errors
    /// When the field is no such number.
    pub(super) fn heads(&self, name: &str, default: usize, width: usize) -> Result<usize, ModelError> {
        let heads = self.size(name, default)?;
        match width.is_multiple_of(heads) {
            true => Ok(heads),
            false => Err(self.wrong(format!("the width {width} is not a multiple of `{name}` {heads}"))),
        }
    }

    /// Refuses whatever may change what is computed: fields that are not among `free` and have another value than their
    /// own in `plain`, where they have one. Fields that are null count as absent.
    ///
    /// # Errors
    /// When there is such a field; the message names it as `part`'s.
    pub(super) fn only(&self, part: &str, free: &[&str], plain: &[(&str, Value)]) -> Result<(), ModelError> {
        let changes = |(name, value): &(&String, &Value)| {
            let is_plain = plain.iter().any(|(known, own)| name == known && *value == own);
            !(value.is_null() || free.contains(&name.as_str()) || is_plain)
        };
        match self.values.iter().find(changes) {
            None => Ok(()),
            Some((name, value)) => {
                Err(self
                    .wrong(format!("`{part}.{name}` is {value}, which changes what is computed and is not done here")))
            }
        }
    }

    /// An error about this configuration.
    pub(super) fn wrong(&self, what: String) -> ModelError {
        ModelError::Unsupported { path: PathBuf::from(self.path), what }
    }
}

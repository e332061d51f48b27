//! The contents of a checkpoint, as the readers of its formats find them.

use std::collections::HashMap;

use super::pytorch::zip::Record;
use super::view::View;

/// The most tensors: more than any checkpoint has.
pub(super) const MAX_TENSORS: usize = 1 << 17;

/// A tensor of a checkpoint by its name.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The names of its dicts, joined by dots; empty for the outermost one.
    pub(super) dict: String,
    /// Its name in that dict.
    pub(super) key: String,
    /// The place of its numbers, or the reason why they cannot be read.
    pub(super) place: Result<View, String>,
}

impl Entry {
    /// The names of its dicts and its own, joined by dots.
    pub(super) fn full_name(&self) -> String {
        if self.dict.is_empty() { self.key.clone() } else { format!("{}.{}", self.dict, self.key) }
    }
}

/// The place of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Storage {
    /// Unpacked in the file.
    Span { start: u64 },
    /// In a file of a zip archive.
    Record(Record),
}

/// The contents of a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    pub(super) storages: Vec<Storage>,
    /// Whether the first byte of each number is the most significant one.
    pub(super) is_swapped: bool,
    /// The metadata of a safetensors file.
    pub(super) metadata: Option<HashMap<String, String>>,
    /// Classes of skipped objects, such as whole models.
    pub(super) classes: Vec<String>,
}

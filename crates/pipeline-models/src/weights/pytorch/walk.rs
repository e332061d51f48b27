//! Finds the tensors of a checkpoint: those that its outermost dict reaches by text keys.

use std::collections::BTreeMap;

use super::StoragePlaces;
use crate::weights::contents::{Contents, Entry, MAX_TENSORS};
use crate::weights::pickle::{Pickle, Storage, Tensor, Unreadable, Value, ValueId, Values};
use crate::weights::shown::shown;
use crate::weights::trouble::Trouble;
use crate::weights::view::View;

/// The deepest nesting of dicts.
const MAX_DEPTH: usize = 32;

/// The bytes of all names together: a thousand times those of any known checkpoint.
const MAX_NAME_BYTES: usize = 64 << 20;

/// The most classes in a message.
const MAX_CLASSES: usize = 8;

/// The contents of a pickle; the storages themselves are left to the caller.
///
/// # Errors
/// When the names of its tensors would take too much memory.
pub(super) fn contents(pickle: &Pickle, places: &StoragePlaces<'_>) -> Result<Contents, Trouble> {
    let values = &pickle.values;
    let mut contents = Contents::default();
    let mut is_seen = vec![false; values.all().len()];
    let mut n_name_bytes = 0;
    let mut dicts = vec![(pickle.root, String::new(), 0)];
    while let Some((id, name, depth)) = dicts.pop() {
        if std::mem::replace(&mut is_seen[id as usize], true) {
            continue;
        }
        let mut inner = Vec::new();
        for (key, item) in text_items(values, id) {
            let place = match values.get(item) {
                Value::Tensor(tensor) => Some(view(values, tensor, places)),
                Value::Unreadable(reason) => Some(Err(why(values, *reason))),
                Value::Dict(_) | Value::Object(_) if depth < MAX_DEPTH && !is_seen[item as usize] => None,
                _ => continue,
            };
            n_name_bytes += name.len() + key.len();
            if n_name_bytes > MAX_NAME_BYTES || contents.entries.len() > MAX_TENSORS {
                return Err(Trouble::new("has more tensors than any checkpoint"));
            }
            match place {
                Some(place) => contents.entries.push(Entry { dict: name.clone(), key: key.to_owned(), place }),
                None if name.is_empty() => inner.push((item, key.to_owned(), depth + 1)),
                None => inner.push((item, format!("{name}.{key}"), depth + 1)),
            }
        }
        if let Value::Object(object) = values.get(id) {
            let class = values.text(object.class).to_owned();
            if contents.classes.len() < MAX_CLASSES && !contents.classes.contains(&class) {
                contents.classes.push(class);
            }
        }
        dicts.extend(inner.into_iter().rev());
    }
    Ok(contents)
}

/// The values of a dict by its text keys; the last of duplicate keys counts, as in Python.
fn text_items(values: &Values, id: ValueId) -> BTreeMap<&str, ValueId> {
    let items = values.as_dict(id).unwrap_or_default().iter();
    items.filter_map(|(key, value)| Some((values.as_text(*key)?, *value))).collect()
}

/// A tensor's view, checked against its storage.
fn view(values: &Values, tensor: &Tensor, places: &StoragePlaces<'_>) -> Result<View, String> {
    let Value::Storage(storage) = values.get(tensor.storage) else { return Err("has no storage".into()) };
    let Storage { key, element: stored, n_numbers, part } = storage.as_ref();
    let place = places.get(&(values.text(*key), *stored)).ok_or("has no storage")?;
    let element = tensor.element.unwrap_or(*stored);
    let n_bytes = n_numbers.saturating_mul(stored.bytes() as u64);
    let n_stored = if tensor.element.is_some() { n_bytes / element.bytes() as u64 } else { *n_numbers };
    let (start, length) = part.unwrap_or((0, n_stored));
    let end = start.checked_add(length).filter(|end| *end <= n_stored).ok_or("is part of no storage")?;
    let count = |n: u64| usize::try_from(n).map_err(|_| "is larger than any memory");
    let counts = |counts: &[u64]| counts.iter().map(|n| count(*n)).collect::<Result<Vec<_>, _>>();
    let offset = start.checked_add(tensor.offset).ok_or("reaches beyond its storage")?;
    let (shape, strides) = (counts(&tensor.shape)?, counts(&tensor.strides)?);
    Ok(View::new(*place, (element, count(end)?), count(offset)?, shape, strides)?)
}

fn why(values: &Values, reason: Unreadable) -> String {
    match reason {
        Unreadable::Kind(function) => {
            format!("is a tensor of a kind that is not read ({})", shown(values.text(function)))
        }
        Unreadable::Description(problem) => problem.to_owned(),
    }
}

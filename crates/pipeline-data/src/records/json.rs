//! JSON Lines with fields of any names; `a.b` is the field `b` of the objects in `a`.

use std::path::Path;

use serde_json::value::RawValue;

use super::columns::Resolved;
use super::{Cell, Record, Take};
use crate::DataError;
use crate::content::{looks_like, open_text};
use crate::json_line::Fields;
use crate::lines::Lines;
use crate::vectors::malformed;

/// The most lines that are searched for the first object.
const MAX_LINES: usize = 100;

/// The fields of the first object.
///
/// # Errors
/// When the file cannot be read, or is a table without objects. A file of other lines has no fields.
pub(super) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let mut lines = Lines::new(open_text(path)?);
    for _ in 0..MAX_LINES {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { break };
        if let Some(Ok(Some(fields))) = line.bytes.map(Fields::of_line) {
            return Ok(names_of(&fields));
        }
    }
    let ending = match looks_like(path) {
        Some("comma-separated text") => ".csv",
        Some("tab-separated text") => ".tsv",
        _ => return Ok(Vec::new()),
    };
    Err(malformed(path, format!("has columns and no JSON: a table is read where its name ends in `{ending}`")))
}

/// The names of the fields of an object, and of the fields of objects in it.
pub(super) fn names_of(fields: &Fields<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for name in fields.names() {
        names.push(name.to_owned());
        let value = fields.get(name).map_or("", RawValue::get);
        let inner = match serde_json::from_str::<Vec<Fields<'_>>>(value) {
            Ok(mut list) if !list.is_empty() => Some(list.swap_remove(0)),
            _ => serde_json::from_str::<Fields<'_>>(value).ok(),
        };
        names.extend(inner.iter().flat_map(Fields::names).map(|inner| format!("{name}.{inner}")));
    }
    names
}

pub(super) fn read(path: &Path, columns: &Resolved, take: &mut Take<'_>) -> Result<(), DataError> {
    let mut lines = Lines::new(open_text(path)?);
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { return Ok(()) };
        match line.bytes.map_or(Err("longer than 256 MiB".to_owned()), Fields::of_line) {
            Ok(None) => {}
            Ok(Some(fields)) => take((line.number, Ok(record(&fields, columns))))?,
            Err(reason) => take((line.number, Err(reason)))?,
        }
    }
}

/// The cells of an object.
pub(super) fn record(fields: &Fields<'_>, columns: &Resolved) -> Record {
    let cell = |name: Option<&String>| name.map_or(Cell::Absent, |name| cell(fields, name));
    Record {
        text: cell(Some(&columns.text)),
        id: cell(columns.id.as_ref()),
        images: cell(columns.images.as_ref()),
        filter: cell(columns.filter.as_ref()),
    }
}

/// The cell of a field, or of a field of the objects in it.
pub(super) fn cell(fields: &Fields<'_>, name: &str) -> Cell {
    if let Some(value) = fields.get(name) {
        return Cell::of_json(value);
    }
    let inner = name.split_once('.').and_then(|(outer, inner)| Some((fields.get(outer)?.get(), inner)));
    let Some((value, inner)) = inner else { return Cell::Absent };
    if let Ok(list) = serde_json::from_str::<Vec<Fields<'_>>>(value) {
        return Cell::many(list.iter().map(|fields| cell(fields, inner)));
    }
    serde_json::from_str::<Fields<'_>>(value).map_or(Cell::Absent, |fields| cell(&fields, inner))
}

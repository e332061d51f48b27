//! Cells of tables: texts and numbers as text, alone or in lists.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use serde_json::value::RawValue;

use crate::json_line::{IdValue, short};
use crate::parquet_file::Leaf;

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No such column, or null.
    #[default]
    Absent,
    /// A text, or a number as text.
    One(String),
    /// A list of them.
    Many(Vec<String>),
    /// Something else, named here.
    Wrong(String),
}

impl Cell {
    /// The cell of a text of CSV: a JSON list of texts and numbers is a list, and an empty text is absent.
    pub fn of_text(text: String) -> Self {
        if text.is_empty() {
            return Self::Absent;
        }
        let list =
            text.trim_start().starts_with('[').then(|| serde_json::from_str::<Vec<&RawValue>>(&text).ok()).flatten();
        match list.map(|values| Self::of_list(&values)) {
            Some(list @ Self::Many(_)) => list,
            _ => Self::One(text),
        }
    }

    /// The cell of a JSON value.
    pub fn of_json(value: &RawValue) -> Self {
        if let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            return Self::of_list(&values);
        }
        match IdValue::of(value) {
            IdValue::Id(text) => Self::One(text),
            IdValue::Absent if value.get() == "null" => Self::Absent,
            IdValue::Absent => Self::One(String::new()),
            IdValue::Other if value.get().starts_with('"') => {
                Self::Wrong(format!("`{}` with half of a character (a lone surrogate)", short(value)))
            }
            IdValue::Other => Self::Wrong(format!("`{}`", short(value))),
        }
    }

    fn of_list(values: &[&RawValue]) -> Self {
        Self::many(values.iter().map(|value| match IdValue::of(value) {
            IdValue::Id(text) => Self::One(text),
            IdValue::Absent => Self::Absent,
            IdValue::Other => Self::Wrong(format!("a list with `{}`", short(value))),
        }))
    }

    /// The cell of a list; absent values are left out.
    pub(super) fn many(cells: impl Iterator<Item = Self>) -> Self {
        let mut many = Vec::new();
        for cell in cells {
            match cell {
                Self::One(text) => many.push(text),
                Self::Absent => {}
                Self::Many(_) => return Self::Wrong("a list of lists".to_owned()),
                Self::Wrong(what) => return Self::Wrong(what),
            }
        }
        Self::Many(many)
    }
}

/// The values of a leaf that no list encloses; `None` where the batch does not have it.
pub(crate) fn array_of(batch: &RecordBatch, leaf: &Leaf) -> Option<ArrayRef> {
    let (root, fields) = leaf.names.split_first()?;
    let root = batch.column_by_name(root)?.clone();
    fields.iter().try_fold(root, |array, field| array.as_struct_opt()?.column_by_name(field).cloned())
}

/// The cell of a leaf in a row of a batch.
pub(crate) fn cell_of(batch: &RecordBatch, leaf: &Leaf, row_idx: usize) -> Cell {
    let Some((root, fields)) = leaf.names.split_first() else { return Cell::Absent };
    batch.column_by_name(root).map_or(Cell::Absent, |array| cell_at(array, row_idx, fields))
}

fn cell_at(array: &ArrayRef, row_idx: usize, fields: &[String]) -> Cell {
    if array.is_null(row_idx) {
        return Cell::Absent;
    }
    macro_rules! number {
        ($of:ty) => {
            Cell::One(array.as_primitive::<$of>().value(row_idx).to_string())
        };
    }
    match array.data_type() {
        DataType::Utf8 => Cell::One(array.as_string::<i32>().value(row_idx).to_owned()),
        DataType::Binary => match str::from_utf8(array.as_binary::<i32>().value(row_idx)) {
            Ok(text) => Cell::One(text.to_owned()),
            Err(_) => Cell::Wrong("bytes that are no text".to_owned()),
        },
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => decimal(f64::from(array.as_primitive::<Float32Type>().value(row_idx))),
        DataType::Float64 => decimal(array.as_primitive::<Float64Type>().value(row_idx)),
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row_idx);
            Cell::many((0..values.len()).map(|idx| cell_at(&values, idx, fields)))
        }
        DataType::Struct(_) => {
            match fields.split_first().and_then(|(field, rest)| Some((array.as_struct().column_by_name(field)?, rest)))
            {
                Some((values, rest)) => cell_at(values, row_idx, rest),
                None => Cell::Wrong("a struct".to_owned()),
            }
        }
        other => Cell::Wrong(format!("of type {other}")),
    }
}

/// The cell of a decimal number. Ids are compared as texts, and `12.0` would never meet `12`.
fn decimal(value: f64) -> Cell {
    if value.is_nan() {
        return Cell::Absent;
    }
    Cell::Wrong(format!(
        "the decimal number `{value:?}` (pandas makes such of whole numbers beside missing ones; \
         `astype(\"Int64\")` keeps them whole)"
    ))
}

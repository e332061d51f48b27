//! Columns of Parquet tables of other tools as ids and vectors, by the types of the file itself.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::{malformed, wrong_row};
use crate::{DataError, VectorShard};

/// Adds a column of texts or integers to `ids`; bytes must be UTF-8.
pub(super) fn texts(path: &Path, name: &str, array: &ArrayRef, ids: &mut Vec<Option<String>>) -> Result<(), DataError> {
    macro_rules! extend {
        ($array:expr) => {
            ids.extend($array.iter().map(|value| value.map(|value| value.to_string())))
        };
    }
    match array.data_type() {
        DataType::Utf8 => extend!(array.as_string::<i32>()),
        DataType::Binary => utf8(path, array.as_binary::<i32>().iter(), ids)?,
        DataType::FixedSizeBinary(_) => utf8(path, array.as_fixed_size_binary().iter(), ids)?,
        DataType::Int8 => extend!(array.as_primitive::<Int8Type>()),
        DataType::Int16 => extend!(array.as_primitive::<Int16Type>()),
        DataType::Int32 => extend!(array.as_primitive::<Int32Type>()),
        DataType::Int64 => extend!(array.as_primitive::<Int64Type>()),
        DataType::UInt8 => extend!(array.as_primitive::<UInt8Type>()),
        DataType::UInt16 => extend!(array.as_primitive::<UInt16Type>()),
        DataType::UInt32 => extend!(array.as_primitive::<UInt32Type>()),
        DataType::UInt64 => extend!(array.as_primitive::<UInt64Type>()),
        other => {
            return Err(malformed(path, format!("has a column `{name}` of type {other}, not of texts or integers")));
        }
    }
    Ok(())
}

fn utf8<'a>(
    path: &Path,
    values: impl Iterator<Item = Option<&'a [u8]>>,
    ids: &mut Vec<Option<String>>,
) -> Result<(), DataError> {
    for value in values {
        let text = value.map(str::from_utf8).transpose();
        let text = text.map_err(|_| wrong_row(path, ids.len() as u64 + 1, "has an id of bytes that are not UTF-8"))?;
        ids.push(text.map(str::to_owned));
    }
    Ok(())
}

/// Adds a column of vectors to those of the `n_before` rows before it.
pub(super) fn vectors(
    path: &Path,
    array: &ArrayRef,
    n_before: usize,
    vectors: &mut VectorShard,
) -> Result<(), DataError> {
    for row_idx in 0..array.len() {
        let number = (n_before + row_idx) as u64 + 1;
        if array.is_null(row_idx) {
            return Err(wrong_row(path, number, "has no vector"));
        }
        let n_values = vectors.values.len();
        append(array, row_idx, &mut vectors.values).map_err(|problem| match problem {
            Problem::Type(what) => malformed(path, format!("has vectors of {what}, not lists of numbers")),
            Problem::Null(place) => wrong_row(path, number, format!("has a vector whose number {place} is null")),
        })?;
        let width = vectors.values.len() - n_values;
        if number == 1 {
            vectors.dim = width;
        } else if width != vectors.dim {
            let problem = format!("has a vector of {width} numbers, and the rows before have {}", vectors.dim);
            return Err(wrong_row(path, number, problem));
        }
    }
    Ok(())
}

/// The reason why a row is not a vector.
enum Problem {
    /// The column has another type, named here.
    Type(String),
    /// The number at this position, counted from 1, is null.
    Null(usize),
}

/// Adds the numbers of one row.
fn append(array: &ArrayRef, row_idx: usize, out: &mut Vec<f32>) -> Result<(), Problem> {
    let list = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row_idx),
        DataType::FixedSizeBinary(width) if width % 4 == 0 => {
            let bytes = array.as_fixed_size_binary().value(row_idx);
            out.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            return Ok(());
        }
        other => return Err(Problem::Type(format!("type {other}"))),
    };
    if let Some(place) = (list.null_count() > 0).then(|| (0..list.len()).find(|place| list.is_null(*place))).flatten() {
        return Err(Problem::Null(place + 1));
    }
    match list.data_type() {
        DataType::Float16 => numbers::<Float16Type>(&list, out, |value| value.to_f32()),
        DataType::Float32 => numbers::<Float32Type>(&list, out, |value| value),
        DataType::Float64 => numbers::<Float64Type>(&list, out, |value| value as f32),
        DataType::Int8 => numbers::<Int8Type>(&list, out, f32::from),
        DataType::Int16 => numbers::<Int16Type>(&list, out, f32::from),
        DataType::Int32 => numbers::<Int32Type>(&list, out, |value| value as f32),
        DataType::Int64 => numbers::<Int64Type>(&list, out, |value| value as f32),
        DataType::UInt8 => numbers::<UInt8Type>(&list, out, f32::from),
        DataType::UInt16 => numbers::<UInt16Type>(&list, out, f32::from),
        DataType::UInt32 => numbers::<UInt32Type>(&list, out, |value| value as f32),
        DataType::UInt64 => numbers::<UInt64Type>(&list, out, |value| value as f32),
        other => return Err(Problem::Type(format!("lists of type {other}"))),
    }
    Ok(())
}

/// Adds a list without nulls.
fn numbers<T: ArrowPrimitiveType>(list: &ArrayRef, out: &mut Vec<f32>, convert: fn(T::Native) -> f32) {
    out.extend(list.as_primitive::<T>().values().iter().map(|value| convert(*value)));
}

//! The contents of a PyTorch checkpoint, in the format since PyTorch 1.6 (a zip archive) and the one before it.
//!
//! Executes nothing in a pickle, and reads no numbers.

mod legacy;
mod walk;
pub(super) mod zip;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};

use super::contents::{Contents, Storage};
use super::element::Element;
use super::pickle::{self, Pickle, PickleError, Value, Values};
use super::shown::shown;
use super::trouble::Trouble;
use zip::Record;

/// The longest inflated pickle: no checkpoint has a longer one.
const MAX_INFLATED_BYTES: u64 = 256 << 20;

/// The names of the two byte orders.
const LITTLE: &[u8] = b"little";
const BIG: &[u8] = b"big";

/// Indices of storages by key and type: many tensors may share one.
type StoragePlaces<'a> = HashMap<(&'a str, Element), usize>;

/// The contents of the checkpoint in `file`, which begins with `start`.
///
/// # Errors
/// When it is not a PyTorch checkpoint, or is cut off or damaged.
pub(super) fn contents(file: &File, n_bytes: u64, start: &[u8]) -> Result<Contents, Trouble> {
    if start.starts_with(zip::MAGIC) {
        return archive(file, n_bytes);
    }
    if start.get(257..262) == Some(b"ustar") {
        return Err(Trouble::new(
            "is in the format of PyTorch before 0.1.10, which is not read: load it in PyTorch and save it again",
        ));
    }
    legacy::contents(file, n_bytes)
}

fn archive(file: &File, n_bytes: u64) -> Result<Contents, Trouble> {
    let records = zip::directory(file, n_bytes)?;
    let mut folders =
        records.keys().filter_map(|name| name.strip_suffix("data.pkl")).filter(|folder| is_folder(folder));
    let folder = match (folders.next(), folders.next()) {
        (Some(folder), None) => folder,
        (None, _) => return Err(Trouble::new("is a zip archive without the `data.pkl` of a PyTorch checkpoint")),
        (Some(_), Some(_)) => return Err(Trouble::new("is a zip archive with several `data.pkl`")),
    };
    let record = |name: &str| records.get(&format!("{folder}{name}"));
    if record("constants.pkl").is_some() {
        return Err(Trouble::new("is a TorchScript program and no checkpoint: save the model's `state_dict()`"));
    }
    let is_swapped = match record("byteorder") {
        None => false,
        Some(record) => is_big_endian(file, n_bytes, record)?,
    };
    let pickle = record("data.pkl").expect("the folder is that of a `data.pkl`");
    let pickle = read_pickle(file, n_bytes, pickle)?;
    let (storages, places) = archived_storages(&pickle.values, record)?;
    let mut contents = walk::contents(&pickle, &places)?;
    contents.storages = storages;
    contents.is_swapped = is_swapped;
    Ok(contents)
}

fn is_folder(name: &str) -> bool {
    name.strip_suffix('/').is_some_and(|folder| !folder.contains('/'))
}

fn is_big_endian(file: &File, n_bytes: u64, record: &Record) -> Result<bool, Trouble> {
    let mut order = Vec::new();
    record.open(file, n_bytes)?.take(BIG.len().max(LITTLE.len()) as u64 + 1).read_to_end(&mut order)?;
    match order.as_slice() {
        LITTLE => Ok(false),
        BIG => Ok(true),
        _ => Err(Trouble::new("is damaged: its byte order is neither `little` nor `big`")),
    }
}

fn read_pickle(file: &File, n_bytes: u64, record: &Record) -> Result<Pickle, Trouble> {
    if !record.is_stored() && record.n_bytes > MAX_INFLATED_BYTES {
        return Err(Trouble::new(format!("is not a checkpoint: its pickle would inflate to {} bytes", record.n_bytes)));
    }
    let mut reader = BufReader::new(record.open(file, n_bytes)?);
    let parsed = pickle::parse(&mut reader);
    // A wrong checksum is the fault to report, whatever the pickle looks like.
    if !matches!(parsed, Err(PickleError::TooLong)) {
        reader.into_inner().finish()?;
    }
    Ok(parsed?)
}

/// The places of a pickle's storages, each with the number of bytes in the pickle.
fn archived_storages<'a>(
    values: &'a Values,
    record: impl Fn(&str) -> Option<&'a Record>,
) -> Result<(Vec<Storage>, StoragePlaces<'a>), Trouble> {
    let (mut storages, mut places) = (Vec::new(), HashMap::new());
    for value in values.all() {
        let Value::Storage(storage) = value else { continue };
        let key = values.text(storage.key);
        let name = shown(&format!("data/{key}"));
        let missing = || Trouble::new(format!("is cut off or damaged: the numbers in {name} are missing"));
        let record = record(&format!("data/{key}")).ok_or_else(missing)?;
        if storage.n_numbers.checked_mul(storage.element.bytes() as u64) != Some(record.n_bytes) {
            let (n_numbers, n_bytes) = (storage.n_numbers, record.n_bytes);
            let element = storage.element.name();
            let problem = format!("is damaged: {name} has {n_bytes} bytes for {n_numbers} numbers of {element}");
            return Err(Trouble::new(problem));
        }
        places.entry((key, storage.element)).or_insert_with(|| {
            storages.push(Storage::Record(record.clone()));
            storages.len() - 1
        });
    }
    Ok((storages, places))
}

impl From<PickleError> for Trouble {
    fn from(error: PickleError) -> Self {
        match error {
            PickleError::Read(source) => Self::Read(source),
            PickleError::CutOff => Self::new("is cut off: its pickle ends too early"),
            other => Self::new(format!("cannot be read: {other}")),
        }
    }
}

#[cfg(test)]
mod tests;

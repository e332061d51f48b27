//! The format before PyTorch 1.6: five pickles in a row, then the numbers of each storage after their count.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use super::super::contents::{Contents, Storage};
use super::super::element::Element;
use super::super::pickle::{self, Pickle, Value, Values};
use super::super::trouble::Trouble;
use super::{StoragePlaces, walk};

/// The value of the first pickle.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// The contents of the checkpoint in `file`.
///
/// # Errors
/// When it has another format, or is cut off or damaged.
pub(super) fn contents(mut file: &File, n_bytes: u64) -> Result<Contents, Trouble> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let is_magic = |pickle: &Pickle| matches!(pickle.values.get(pickle.root), Value::Long(n) if **n == MAGIC);
    match pickle::parse(&mut reader) {
        Ok(magic) if is_magic(&magic) => {}
        Ok(_) => return Err(Trouble::new("is a pickle, but none that `torch.save` wrote")),
        Err(_) => return Err(Trouble::new("is neither a safetensors file nor a PyTorch checkpoint")),
    }
    // The version of the format and the sizes of C types on the machine that wrote it.
    pickle::parse(&mut reader)?;
    pickle::parse(&mut reader)?;
    let pickle = pickle::parse(&mut reader)?;
    let keys = pickle::parse(&mut reader)?;
    let start = reader.stream_position()?;
    let (storages, places) = storages(file, start..n_bytes, &pickle.values, &keys)?;
    let mut contents = walk::contents(&pickle, &places)?;
    contents.storages = storages;
    Ok(contents)
}

/// The places of the storages, in the order of their keys; each has the length in the pickle.
fn storages<'a>(
    mut file: &File,
    range: std::ops::Range<u64>,
    values: &'a Values,
    keys: &Pickle,
) -> Result<(Vec<Storage>, StoragePlaces<'a>), Trouble> {
    let mut described: HashMap<&str, (Element, u64)> = HashMap::new();
    for value in values.all() {
        let Value::Storage(storage) = value else { continue };
        let known = described.entry(values.text(storage.key)).or_insert((storage.element, storage.n_numbers));
        if *known != (storage.element, storage.n_numbers) {
            return Err(Trouble::new("is damaged: a storage is described in two ways"));
        }
    }
    let (mut storages, mut places) = (Vec::new(), HashMap::new());
    let mut start = range.start;
    let keys = keys.values.as_items(keys.root).map(|ids| ids.iter().map(|id| keys.values.as_text(*id)));
    for key in keys.ok_or_else(|| Trouble::new("is damaged: the list of its storages is missing"))? {
        let found = key.and_then(|key| described.remove_entry(key));
        let (key, (element, n_numbers)) =
            found.ok_or_else(|| Trouble::new("is damaged: it has a storage that no tensor uses, or one twice"))?;
        let cut_off = || Trouble::new("is cut off: the numbers of its last tensors are missing");
        let data_start = start.checked_add(8).filter(|data_start| *data_start <= range.end).ok_or_else(cut_off)?;
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut count)?;
        if u64::from_le_bytes(count) != n_numbers {
            return Err(Trouble::new("is damaged: a storage is not as long as its description says"));
        }
        let data_bytes = n_numbers.checked_mul(element.bytes() as u64);
        let end = data_bytes.and_then(|data_bytes| data_start.checked_add(data_bytes));
        start = end.filter(|end| *end <= range.end).ok_or_else(cut_off)?;
        places.insert((key, element), storages.len());
        storages.push(Storage::Span { start: data_start });
    }
    match described.is_empty() {
        true => Ok((storages, places)),
        false => Err(Trouble::new("is damaged: the list of its storages lacks some")),
    }
}

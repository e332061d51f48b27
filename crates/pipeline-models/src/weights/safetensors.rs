//! The contents of a safetensors file: its header, checked against the length of the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::contents::{Contents, Entry, MAX_TENSORS, Storage};
use super::element::Element;
use super::trouble::Trouble;
use super::view::View;

/// The largest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The contents of the file, without its numbers.
///
/// # Errors
/// When it is cut off or damaged.
pub(super) fn contents(mut file: &File, file_bytes: u64) -> Result<Contents, Trouble> {
    file.seek(SeekFrom::Start(0))?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes + 8 > file_bytes {
        return Err(Trouble::new("is cut off or not a safetensors file: its header is longer than the file"));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|source| Trouble::new(format!("has a damaged safetensors header: {source}")))?;
    let expected_bytes = 8 + header_bytes + metadata.data_len() as u64;
    if expected_bytes != file_bytes {
        let problem = format!("is cut off or damaged: it has {file_bytes} bytes and its header says {expected_bytes}");
        return Err(Trouble::new(problem));
    }
    let mut contents =
        Contents { metadata: Some(metadata.metadata().clone().unwrap_or_default()), ..Contents::default() };
    let names = metadata.offset_keys();
    if names.len() > MAX_TENSORS {
        return Err(Trouble::new("has more tensors than any checkpoint"));
    }
    for name in names {
        let info = metadata.info(&name).expect("the header lists this tensor");
        let place = view(info, contents.storages.len()).map_err(str::to_owned);
        contents.storages.push(Storage::Span { start: 8 + header_bytes + info.data_offsets.0 as u64 });
        contents.entries.push(Entry { dict: String::new(), key: name, place });
    }
    Ok(contents)
}

fn view(info: &TensorInfo, storage_idx: usize) -> Result<View, &'static str> {
    let element = match info.dtype {
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        other => Element::Other { name: name_of(other), bytes: 1 },
    };
    let n_bytes = info.data_offsets.1 - info.data_offsets.0;
    if !element.is_float() {
        // Never read, so the size of one number does not matter.
        return View::whole(storage_idx, (element, usize::MAX), info.shape.clone());
    }
    View::whole(storage_idx, (element, n_bytes / element.bytes()), info.shape.clone())
}

fn name_of(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BOOL => "BOOL",
        Dtype::U8 => "U8",
        Dtype::I8 => "I8",
        Dtype::U16 => "U16",
        Dtype::I16 => "I16",
        Dtype::U32 => "U32",
        Dtype::I32 => "I32",
        Dtype::U64 => "U64",
        Dtype::I64 => "I64",
        _ => "numbers of another type",
    }
}

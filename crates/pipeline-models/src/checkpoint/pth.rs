//! The PyTorch form of a checkpoint: an uncompressed zip of a pickle and the numbers.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::error::write_file;
use super::pickle::Pickle;
use super::state_dict::{IMAGE, TEXT, state_dicts};
use super::{Checkpoint, CheckpointError, Heads, little_endian};

/// The alignment of numbers in PyTorch's files, so that they can be mapped into memory.
const ALIGNMENT_BYTES: u16 = 64;

impl Checkpoint {
    /// Writes the notebook's checkpoint, which `torch.load(weights_only=True)` reads; the same checkpoint always gives
    /// the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_pth(&self, path: &Path) -> Result<(), CheckpointError> {
        let heads = self.heads.as_ref();
        let mut entries = vec![
            ("data.pkl".to_owned(), write_pickle(heads)),
            ("byteorder".to_owned(), b"little".to_vec()),
            ("version".to_owned(), b"3\n".to_vec()),
        ];
        let tensors = heads.iter().flat_map(|heads| state_dicts(heads)).flat_map(|(_, tensors)| tensors);
        let storages = tensors.enumerate().map(|(idx, tensor)| (format!("data/{idx}"), little_endian(tensor.values)));
        entries.extend(storages);
        write_file(path, &write_zip(&entries))
    }
}

/// Each tensor has its own storage, numbered in the order of the state dicts.
fn write_pickle(heads: Option<&Heads>) -> Vec<u8> {
    let dicts = heads.map_or_else(|| vec![(TEXT, Vec::new()), (IMAGE, Vec::new())], state_dicts);
    let mut storages = 0..;
    let mut pickle = Pickle::new();
    pickle.dict(|pickle| {
        for (side, tensors) in &dicts {
            pickle.text(side);
            pickle.ordered_dict(|pickle| {
                for (tensor, storage_idx) in tensors.iter().zip(&mut storages) {
                    pickle.text(&tensor.name);
                    write_tensor(pickle, storage_idx, &tensor.shape);
                }
            });
        }
        pickle.text("projection_dim");
        pickle.integer(heads.map_or(0, Heads::dim));
    });
    pickle.finish()
}

/// A tensor that owns a whole storage, with its last axis contiguous.
fn write_tensor(pickle: &mut Pickle, storage_idx: usize, shape: &[usize]) {
    pickle.call("torch._utils", "_rebuild_tensor_v2", |pickle| {
        pickle.persistent(|pickle| {
            pickle.tuple(|pickle| {
                pickle.text("storage");
                pickle.global("torch", "FloatStorage");
                pickle.text(&storage_idx.to_string());
                pickle.text("cpu");
                pickle.integer(shape.iter().product());
            });
        });
        let (offset, needs_gradient) = (0, false);
        pickle.integer(offset);
        pickle.tuple(|pickle| shape.iter().for_each(|&length| pickle.integer(length)));
        pickle.tuple(|pickle| strides(shape).for_each(|stride| pickle.integer(stride)));
        pickle.boolean(needs_gradient);
        pickle.ordered_dict(|_| ());
    });
}

fn strides(shape: &[usize]) -> impl Iterator<Item = usize> {
    (1..=shape.len()).map(|axis| shape[axis..].iter().product())
}

fn write_zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    // A fixed date: the bytes must not depend on the time of writing.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .with_alignment(ALIGNMENT_BYTES);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(format!("archive/{name}"), options).expect("names are short and unlike");
        zip.write_all(bytes).expect("memory can be written");
    }
    zip.finish().expect("memory can be written").into_inner()
}

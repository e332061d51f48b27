//! The safetensors form of a checkpoint.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};

use super::error::write_file;
use super::state_dict::{NamedTensor, state_dicts};
use super::{Checkpoint, CheckpointError, little_endian};
use crate::Matrix;
use crate::weights::ModelError;

const NORMALIZE: &str = "normalize";

impl Checkpoint {
    /// Writes a safetensors file; the same checkpoint always gives the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<(), CheckpointError> {
        let dicts = self.heads.iter().flat_map(state_dicts);
        let tensors = dicts.flat_map(|(side, tensors)| tensors.into_iter().map(move |tensor| (side, tensor)));
        let tensors = tensors.map(|(side, NamedTensor { name, shape, values })| {
            (format!("{side}.{name}"), shape, little_endian(values))
        });
        let tensors: Vec<_> = tensors.collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name, view.expect("a tensor has as many numbers as its shape says"))
        });
        // One entry only: the library writes several in random order.
        let metadata = HashMap::from([(NORMALIZE.to_owned(), self.normalize.to_string())]);
        let bytes = safetensors::serialize(views, Some(metadata)).expect("tensors of f32 can be serialised");
        write_file(path, &bytes)
    }
}

/// Writes one tensor `vectors`.
///
/// # Shapes
/// `vectors`: `[n_rows, n_cols]`
///
/// # Errors
/// When the file cannot be written.
pub fn write_vectors(path: &Path, vectors: &Matrix) -> Result<(), CheckpointError> {
    let bytes = little_endian(&vectors.values);
    let view = TensorView::new(Dtype::F32, vec![vectors.n_rows, vectors.n_cols], &bytes);
    let view = view.expect("a matrix has as many numbers as its shape says");
    let bytes = safetensors::serialize([("vectors", view)], None).expect("a tensor of f32 can be serialised");
    write_file(path, &bytes)
}

/// What the metadata say about `normalize`; none if the file is of another format or does not say.
pub(super) fn read_normalize(path: &Path) -> Result<Option<bool>, ModelError> {
    let header = read_header(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&header) else { return Ok(None) };
    Ok(metadata.metadata().as_ref().and_then(|entries| entries.get(NORMALIZE)).and_then(|value| value.parse().ok()))
}

/// The length in eight bytes, then the header; empty if the file is too short for what it says.
fn read_header(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = pipeline_files::open(path)?;
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() {
        return Ok(Vec::new());
    }
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length)).read_to_end(&mut header)?;
    Ok(header)
}

//! Reads PyTorch checkpoints: zip or older, bare or nested state dicts. Executes nothing that a pickle says.

use std::path::Path;

use burn_store::pytorch::PytorchReader;

use super::read::{Keep, malformed};
use super::{ModelError, PlainTensor};

/// Hands every wanted tensor of the file to `keep`.
///
/// Entries that the reader does not understand are left out: whoever needs a tensor must check that it is there.
pub(super) fn read(
    path: &Path,
    canonical: &dyn Fn(&str) -> Option<String>,
    keep: &mut Keep<'_>,
) -> Result<(), ModelError> {
    let reader = PytorchReader::new(path).map_err(|error| {
        malformed(path, &format!("is neither a safetensors file nor a PyTorch checkpoint: {error}"))
    })?;
    let mut snapshots: Vec<_> = reader.tensors().iter().collect();
    snapshots.sort_by_key(|(name, _)| name.as_str());
    for (name, snapshot) in snapshots {
        let Some(canonical_name) = canonical(name) else { continue };
        let data = snapshot
            .to_data()
            .map_err(|error| malformed(path, &format!("is cut off or damaged at `{name}`: {error}")))?;
        if !data.dtype.is_float() {
            let problem = format!("holds `{name}` as {:?} instead of floating-point numbers", data.dtype);
            return Err(malformed(path, &problem));
        }
        let shape = data.shape.to_vec();
        let values =
            data.convert::<f32>().into_vec().map_err(|error| malformed(path, &format!("`{name}`: {error:?}")))?;
        keep(name, canonical_name, PlainTensor { shape, values })?;
    }
    Ok(())
}

//! Golden files and tiny models that tests read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{PlainTensor, read_tensors};

#[path = "../../../pipeline-kernels/src/fixtures.rs"]
mod numbers;

pub(crate) use numbers::{assert_same_bits, bits};

/// A file below `tests/fixtures`.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// All tensors of a safetensors file below `tests/fixtures`.
pub(crate) fn tensors(name: &str) -> BTreeMap<String, PlainTensor> {
    read_tensors(&path(name)).unwrap()
}

/// The pixels of an image file below `tests/fixtures`.
pub(crate) fn pixels(name: &str) -> Vec<u8> {
    pipeline_data::decode(&std::fs::read(path(name)).unwrap()).unwrap().pixels
}

/// Writes a safetensors file.
pub(crate) fn write(path: &Path, tensors: &BTreeMap<String, PlainTensor>) {
    let bytes: Vec<(&String, &PlainTensor, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| (name, tensor, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, tensor.shape.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A copy of a model folder below `tests/fixtures` without its weights.
pub(crate) fn folder_without_weights(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(path(name)).unwrap() {
        let from = entry.unwrap().path();
        if matches!(from.extension().and_then(|extension| extension.to_str()), Some("json" | "txt")) {
            std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
        }
    }
    folder
}

/// The largest absolute difference between two lists of numbers.
pub(crate) fn max_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

/// A tensor of reproducible numbers in `-size..size`, seeded by `name`.
pub(crate) fn noise(name: &str, shape: Vec<usize>, size: f32) -> PlainTensor {
    let values = numbers::noise(name, shape.iter().product(), size);
    PlainTensor { shape, values }
}

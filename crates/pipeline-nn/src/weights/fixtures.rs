//! Golden files and tiny models that tests read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{PlainTensor, read_tensors};
use crate::device::InstructionSet;

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

/// Numbers in `-size..size` that follow from `name`.
pub(crate) fn noise(name: &str, shape: Vec<usize>, size: f32) -> PlainTensor {
    let mut state = name.bytes().fold(1, |state: u64, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    // Knuth's MMIX constants; the high bits are the good ones.
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let values = (0..shape.iter().product()).map(|_| next() * size).collect();
    PlainTensor { shape, values }
}

/// What two lists of numbers must have in common to be the same to the last bit.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Computes with every instruction set: those that fuse products and sums must agree to the last bit, and so must those that
/// do not.
pub(crate) fn assert_same_bits(what: &str, compute: impl Fn(InstructionSet) -> Vec<f32>) {
    for fuses in [true, false] {
        let mut sets = InstructionSet::available().into_iter().filter(|instructions| instructions.fuses() == fuses);
        let Some(first) = sets.next() else { continue };
        let expected = bits(&compute(first));
        for other in sets {
            let found = bits(&compute(other));
            assert_eq!(found.len(), expected.len(), "{what}");
            let n_other = found.iter().zip(&expected).filter(|(left, right)| left != right).count();
            assert_eq!(n_other, 0, "{what}: numbers of {} that differ by {first:?} and {other:?}", found.len());
        }
    }
}

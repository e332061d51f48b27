//! Reads safetensors files tensor by tensor, so that no second copy of the file is in memory.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::read::{Keep, malformed};
use super::{ModelError, PlainTensor};

/// The largest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Hands every wanted tensor of the file to `keep`.
pub(super) fn read(
    path: &Path,
    canonical: &dyn Fn(&str) -> Option<String>,
    keep: &mut Keep<'_>,
) -> Result<(), ModelError> {
    let read_error = |source| ModelError::Read { path: path.to_owned(), source };
    let file = pipeline_files::open(path).map_err(read_error)?;
    let file_bytes = file.metadata().map_err(read_error)?.len();
    let mut file = BufReader::new(file);
    let (data_start, metadata) = read_header(path, &mut file, file_bytes)?;
    for name in metadata.offset_keys() {
        let Some(canonical_name) = canonical(&name) else { continue };
        let info = metadata.info(&name).expect("the header lists this tensor");
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        file.seek(SeekFrom::Start(data_start + start as u64)).map_err(read_error)?;
        file.read_exact(&mut bytes).map_err(read_error)?;
        keep(&name, canonical_name, decode(path, &name, info, &bytes)?)?;
    }
    Ok(())
}

/// The header, checked against the length of the file, and where the data starts.
fn read_header(path: &Path, file: &mut impl Read, file_bytes: u64) -> Result<(u64, Metadata), ModelError> {
    let read_error = |source| ModelError::Read { path: path.to_owned(), source };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(read_error)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || header_bytes + 8 > file_bytes {
        return Err(malformed(path, "is cut off or not a safetensors file: its header is longer than the file"));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header).map_err(read_error)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|source| malformed(path, &format!("has a damaged safetensors header: {source}")))?;
    let expected_bytes = 8 + header_bytes + metadata.data_len() as u64;
    if expected_bytes != file_bytes {
        let problem = format!("is cut off or damaged: it has {file_bytes} bytes and its header says {expected_bytes}");
        return Err(malformed(path, &problem));
    }
    Ok((8 + header_bytes, metadata))
}

fn decode(path: &Path, name: &str, info: &TensorInfo, bytes: &[u8]) -> Result<PlainTensor, ModelError> {
    let values = match info.dtype {
        Dtype::F32 => numbers(bytes, f32::from_le_bytes),
        Dtype::F64 => numbers(bytes, |eight| f64::from_le_bytes(eight) as f32),
        Dtype::F16 => numbers(bytes, |two| half_to_f32(u16::from_le_bytes(two))),
        Dtype::BF16 => numbers(bytes, |two: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(two)) << 16)),
        other => {
            return Err(malformed(path, &format!("holds `{name}` as {other:?} instead of floating-point numbers")));
        }
    };
    Ok(PlainTensor { shape: info.shape.clone(), values })
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().expect("chunks have N bytes"))).collect()
}

/// An IEEE 754 half-precision number.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match bits >> 10 & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        0x1f if fraction == 0.0 => sign * f32::INFINITY,
        0x1f => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_numbers_are_read_exactly() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x3555, 0.333_251_95)];
        for (bits, expected) in cases {
            assert_eq!(half_to_f32(bits), expected, "{bits:#x}");
        }
        assert_eq!(half_to_f32(0xfc00), f32::NEG_INFINITY);
        assert!(half_to_f32(0x7e00).is_nan());
    }
}

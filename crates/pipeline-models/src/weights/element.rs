//! The number types in a checkpoint, and their conversion to `f32`.

use std::io::{self, Read};

use pipeline_kernels::half_to_f32;

/// The number of bytes per conversion.
const CHUNK_BYTES: usize = 64 << 10;

/// The type of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Element {
    /// IEEE 754 half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    F32,
    F64,
    /// Numbers that cannot be weights, such as integers.
    Other {
        /// Its name in messages.
        name: &'static str,
        /// The size of one number.
        bytes: usize,
    },
}

impl Element {
    /// The size of one number, in bytes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other { bytes, .. } => bytes,
        }
    }

    /// True for the supported types.
    pub(super) fn is_float(self) -> bool {
        !matches!(self, Self::Other { .. })
    }

    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other { name, .. } => name,
        }
    }
}

/// Reads `n_numbers` of a type as `f32`, each rounded to the nearest; `swapped` where the first byte is the most
/// significant.
///
/// The caller has checked that this number is possible: the memory is allocated at once.
///
/// # Errors
/// When reading fails or ends too early.
pub(super) fn read_numbers(
    reader: &mut dyn Read,
    element: Element,
    n_numbers: usize,
    swapped: bool,
) -> io::Result<Vec<f32>> {
    if element == Element::F32 {
        let mut values = vec![0f32; n_numbers];
        reader.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        if swapped || cfg!(target_endian = "big") {
            let from = if swapped { u32::from_be } else { u32::from_le };
            values.iter_mut().for_each(|value| *value = f32::from_bits(from(value.to_bits())));
        }
        return Ok(values);
    }
    let mut values = Vec::with_capacity(n_numbers);
    let mut buffer = vec![0; CHUNK_BYTES.min(n_numbers.saturating_mul(element.bytes()))];
    while values.len() < n_numbers {
        let n_now = (n_numbers - values.len()).min(CHUNK_BYTES / element.bytes());
        let bytes = &mut buffer[..n_now * element.bytes()];
        reader.read_exact(bytes)?;
        if swapped {
            bytes.chunks_exact_mut(element.bytes()).for_each(<[u8]>::reverse);
        }
        append(element, bytes, &mut values);
    }
    Ok(values)
}

/// Appends the numbers in little-endian `bytes`.
fn append(element: Element, bytes: &[u8], values: &mut Vec<f32>) {
    match element {
        Element::F16 => numbers(bytes, values, |two| half_to_f32(u16::from_le_bytes(two))),
        Element::Bf16 => {
            numbers(bytes, values, |two: [u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(two)) << 16));
        }
        Element::F32 => numbers(bytes, values, f32::from_le_bytes),
        Element::F64 => numbers(bytes, values, |eight| f64::from_le_bytes(eight) as f32),
        Element::Other { .. } => unreachable!("BUG: only floating-point numbers are asked for"),
    }
}

fn numbers<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, number: impl Fn([u8; N]) -> f32) {
    values.extend(bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().expect("chunks have N bytes"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_either_byte_order_are_read() {
        let little = [0x00, 0x3e, 0x00, 0xc0];
        assert_eq!(read_numbers(&mut little.as_slice(), Element::F16, 2, false).unwrap(), [1.5, -2.0]);
        let big = [0x3e, 0x00, 0xc0, 0x00];
        assert_eq!(read_numbers(&mut big.as_slice(), Element::F16, 2, true).unwrap(), [1.5, -2.0]);
        let big = 1.5f32.to_be_bytes();
        assert_eq!(read_numbers(&mut big.as_slice(), Element::F32, 1, true).unwrap(), [1.5]);
        assert!(read_numbers(&mut big.as_slice(), Element::F32, 2, true).is_err());
    }
}

//! TensorBoard's event files: records of a length, a checksum and a protobuf message, written by hand.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::DataError;

/// A point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// Its position on the curve.
    pub step: i64,
    /// The name of the curve; the part before the first `/` groups curves.
    pub tag: String,
    /// The value, which TensorBoard keeps as `f32`.
    pub value: f64,
}

/// Writes scalars with the time `seconds` since 1970; the same arguments give the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_scalars(path: &Path, seconds: f64, scalars: &[Scalar]) -> Result<(), DataError> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        let version = message(&[field(1, &seconds.to_le_bytes(), Wire::Fixed64), bytes(3, b"brain.Event:2")]);
        write_record(&mut out, &version)?;
        for scalar in scalars {
            let value = message(&[
                bytes(1, scalar.tag.as_bytes()),
                field(2, &(scalar.value as f32).to_le_bytes(), Wire::Fixed32),
            ]);
            let event = message(&[
                field(1, &seconds.to_le_bytes(), Wire::Fixed64),
                field(2, &varint(scalar.step.cast_unsigned()), Wire::Varint),
                bytes(5, &bytes(1, &value)),
            ]);
            write_record(&mut out, &event)?;
        }
        out.flush()
    };
    write().map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// Protobuf's wire types.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn field(number: u64, value: &[u8], wire: Wire) -> Vec<u8> {
    [varint(number << 3 | wire as u64), value.to_vec()].concat()
}

fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    field(number, &[varint(value.len() as u64), value.to_vec()].concat(), Wire::Bytes)
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

/// Seven bits per byte, the lowest first; a set high bit means that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn write_record(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_checksum(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_checksum(data).to_le_bytes())
}

/// CRC-32C, rotated and offset so that a checksum of data that contains checksums is not a fixed point (TensorFlow's
/// `crc32c.h`).
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Castagnoli's polynomial, bit by bit: event files are small. (`crc32fast` has the polynomial of PNG.)
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C in the catalogue of parametrised CRC algorithms.
    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// The expected messages were serialised by `tensorboard.compat.proto` of TensorBoard 2.21.
    #[test]
    fn a_scalar_is_a_record_of_tensorboards() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let scalar = Scalar { step: 300, tag: "a/b".to_owned(), value: 0.5 };
        write_scalars(file.path(), 1.0, &[scalar]).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let (first, second) = bytes.split_at(16 + 24);
        assert_eq!(first[..8], 24_u64.to_le_bytes());
        assert_eq!(&first[12..36], b"\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0dbrain.Event:2");
        assert_eq!(second[..8], 26_u64.to_le_bytes());
        let expect = b"\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02\x2a\x0c\x0a\x0a\x0a\x03a/b\x15\0\0\0\x3f";
        assert_eq!(&second[12..38], expect);
        assert_eq!(second.len(), 16 + 26);
    }
}

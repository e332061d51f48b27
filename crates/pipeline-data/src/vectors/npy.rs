//! NumPy's `.npy`: matrices of floats to and from `f32`, lists of texts and integers.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use half::f16;

use super::npy_header::{Header, MAGIC};
use super::{malformed, wrong_row};
use crate::DataError;

/// Bytes that are converted at once; a multiple of every width of a number.
const CHUNK_BYTES: usize = 1 << 20;

/// Whether a file begins as a `.npy` does; leaves it at its beginning.
pub(super) fn is_npy(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    Read::by_ref(file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == MAGIC)
}

/// Reads a matrix of `f16`, `f32` or `f64` as `f32`: the width of a row, and the rows one after the other.
///
/// # Shapes
/// returns `dim` and `[n_rows, dim]`
///
/// # Errors
/// When the file cannot be read, is no `.npy`, or holds anything but rows of floats.
pub fn read_npy_vectors(path: &Path) -> Result<(usize, Vec<f32>), DataError> {
    let (header, mut file) = open(path)?;
    let &[n_rows, dim] = header.shape.as_slice() else {
        return Err(malformed(path, format!("has {} dimensions, not rows and columns", header.shape.len())));
    };
    if header.is_fortran && n_rows > 1 && dim > 1 {
        return Err(malformed(path, "is in Fortran order; `np.ascontiguousarray` turns it around"));
    }
    let convert: fn(&[u8], &mut Vec<f32>) = match header.descr.as_str() {
        "<f2" => |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32())),
        "<f4" => |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
        "<f8" => |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32)),
        other => {
            let problem = format!("holds numbers of type `{other}`, not `<f2`, `<f4` or `<f8`");
            return Err(malformed(path, problem));
        }
    };
    let n_bytes = expect_bytes(path, &header, &file)?;
    let mut values = Vec::with_capacity(n_rows * dim);
    let mut chunk = vec![0; CHUNK_BYTES.min(n_bytes)];
    let mut n_left = n_bytes;
    while n_left > 0 {
        let chunk = &mut chunk[..CHUNK_BYTES.min(n_left)];
        file.read_exact(chunk).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        convert(chunk, &mut values);
        n_left -= chunk.len();
    }
    Ok((dim, values))
}

/// Reads a list of texts (`<U…`, `|S…`) or integers, the latter as Python's `str` writes them.
///
/// # Errors
/// When the file cannot be read, is no `.npy`, or holds anything else.
pub fn read_npy_texts(path: &Path) -> Result<Vec<String>, DataError> {
    let (header, mut file) = open(path)?;
    if header.shape.len() != 1 && header.shape != [header.shape.iter().product::<usize>(), 1] {
        return Err(malformed(path, format!("has {} dimensions, not one", header.shape.len())));
    }
    let Some((text, width)) = text_reader(&header.descr) else {
        let what = if header.descr == "|O" { "pickled objects" } else { "neither texts nor integers" };
        return Err(malformed(path, format!("holds {what}; `np.array(ids, dtype=str)` makes texts of them")));
    };
    let n_bytes = expect_bytes(path, &header, &file)?;
    let mut bytes = vec![0; n_bytes];
    file.read_exact(&mut bytes).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let rows = bytes.chunks_exact(width.max(1)).enumerate();
    rows.map(|(row_idx, bytes)| text(bytes).ok_or_else(|| wrong_row(path, row_idx as u64 + 1, "is no text"))).collect()
}

/// Writes a matrix of `f32`, row after row.
///
/// # Shapes
/// `values`: `[n_rows, dim]`
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy(path: &Path, dim: usize, values: &[f32]) -> Result<(), DataError> {
    let header = Header::of_matrix(values.len() / dim.max(1), dim).to_bytes();
    let write = || {
        let mut out = BufWriter::with_capacity(CHUNK_BYTES, File::create(path)?);
        out.write_all(&header)?;
        values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
        out.flush()
    };
    write().map_err(|source| DataError::Write { path: path.to_owned(), source })
}

fn open(path: &Path) -> Result<(Header, BufReader<File>), DataError> {
    let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let mut file = BufReader::new(file);
    let header = Header::read(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    header.map(|header| (header, file)).map_err(|problem| malformed(path, problem))
}

/// The bytes of all numbers, which must be those that are left in the file.
fn expect_bytes(path: &Path, header: &Header, file: &BufReader<File>) -> Result<usize, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut handle = file.get_ref();
    let position = handle.stream_position().map_err(failed)? - file.buffer().len() as u64;
    let n_left = handle.metadata().map_err(failed)?.len().saturating_sub(position);
    let width = width_of(&header.descr).unwrap_or(0);
    let n_numbers = header.shape.iter().try_fold(width, |product, length| product.checked_mul(*length));
    match n_numbers {
        Some(n_bytes) if n_bytes as u64 == n_left => Ok(n_bytes),
        _ => Err(malformed(path, format!("holds {n_left} bytes, which its shape {:?} does not fit", header.shape))),
    }
}

/// The bytes of one number or text of a type such as `<f4` or `<U12`.
fn width_of(descr: &str) -> Option<usize> {
    let number: usize = descr.get(2..)?.parse().ok()?;
    if descr.get(1..2)? == "U" { number.checked_mul(4) } else { Some(number) }
}

type TextReader = fn(&[u8]) -> Option<String>;

/// How a type of text or integer becomes text, and its bytes.
fn text_reader(descr: &str) -> Option<(TextReader, usize)> {
    fn integer<const N: usize>(bytes: &[u8], text: fn([u8; N]) -> String) -> Option<String> {
        bytes.try_into().ok().map(text)
    }
    let reader: TextReader = match descr {
        "|i1" => |bytes| integer(bytes, |bytes| i8::from_le_bytes(bytes).to_string()),
        "|u1" => |bytes| integer(bytes, |bytes| u8::from_le_bytes(bytes).to_string()),
        "<i2" => |bytes| integer(bytes, |bytes| i16::from_le_bytes(bytes).to_string()),
        "<u2" => |bytes| integer(bytes, |bytes| u16::from_le_bytes(bytes).to_string()),
        "<i4" => |bytes| integer(bytes, |bytes| i32::from_le_bytes(bytes).to_string()),
        "<u4" => |bytes| integer(bytes, |bytes| u32::from_le_bytes(bytes).to_string()),
        "<i8" => |bytes| integer(bytes, |bytes| i64::from_le_bytes(bytes).to_string()),
        "<u8" => |bytes| integer(bytes, |bytes| u64::from_le_bytes(bytes).to_string()),
        text if text.starts_with("<U") => |bytes| {
            let chars = bytes.as_chunks().0.iter().map(|bytes| char::from_u32(u32::from_le_bytes(*bytes)));
            Some(chars.collect::<Option<String>>()?.trim_end_matches('\0').to_owned())
        },
        text if text.starts_with("|S") => |bytes| Some(str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned()),
        _ => return None,
    };
    Some((reader, width_of(descr)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, is_fortran: bool, shape: &[usize], bytes: &[u8]) -> tempfile::NamedTempFile {
        let header = Header { descr: descr.to_owned(), is_fortran, shape: shape.to_vec() };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[header.to_bytes(), bytes.to_vec()].concat()).unwrap();
        file
    }

    #[test]
    fn vectors_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let values = vec![1.0, -0.0, 1e-40, f32::MAX, 3.5, -2.0];
        write_npy(&path, 3, &values).unwrap();
        let (dim, read) = read_npy_vectors(&path).unwrap();
        assert_eq!(
            (dim, read.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
            (3, values.iter().map(|value| value.to_bits()).collect())
        );
        write_npy(&path, 3, &[]).unwrap();
        assert_eq!(read_npy_vectors(&path).unwrap(), (3, vec![]));
    }

    #[test]
    fn halves_and_doubles_become_f32() {
        let halves: Vec<u8> = [1.5, -65504.0].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        assert_eq!(read_npy_vectors(file("<f2", false, &[1, 2], &halves).path()).unwrap(), (2, vec![1.5, -65504.0]));
        let doubles: Vec<u8> = [0.1, 1e300].iter().flat_map(|value: &f64| value.to_le_bytes()).collect();
        let doubles = read_npy_vectors(file("<f8", true, &[2, 1], &doubles).path()).unwrap();
        assert_eq!(doubles, (1, vec![0.1, f32::INFINITY]));
    }

    #[test]
    fn ids_are_texts_or_integers() {
        let wide: Vec<u8> = "图a\0b".chars().flat_map(|char| (char as u32).to_le_bytes()).collect();
        assert_eq!(read_npy_texts(file("<U2", false, &[2], &wide).path()).unwrap(), ["图a", "\0b"]);
        assert_eq!(read_npy_texts(file("|S3", false, &[2], b"ab\0c\0\0").path()).unwrap(), ["ab", "c"]);
        let numbers: Vec<u8> = [7_i64, -1].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(read_npy_texts(file("<i8", false, &[2], &numbers).path()).unwrap(), ["7", "-1"]);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let vectors = |descr, is_fortran, shape: &[usize], n_bytes| {
            let file = file(descr, is_fortran, shape, &vec![0; n_bytes]);
            let error = read_npy_vectors(file.path()).unwrap_err().to_string();
            error.split_once("` ").unwrap().1.to_owned()
        };
        assert_eq!(vectors("<f4", false, &[6], 24), "has 1 dimensions, not rows and columns");
        assert!(vectors("<f4", true, &[2, 3], 24).starts_with("is in Fortran order"));
        assert!(vectors(">f4", false, &[2, 3], 24).starts_with("holds numbers of type `>f4`"));
        assert!(vectors("<f4", false, &[2, 3], 23).starts_with("holds 23 bytes"));
        assert!(vectors("<f4", false, &[usize::MAX, 3], 23).starts_with("holds 23 bytes"));
        let objects = read_npy_texts(file("|O", false, &[1], b"\x80").path()).unwrap_err().to_string();
        assert!(objects.contains("holds pickled objects; `np.array(ids, dtype=str)`"), "{objects}");
    }
}

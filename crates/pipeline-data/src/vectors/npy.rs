//! NumPy's `.npy`: matrices of floats to and from `f32`, lists of texts and integers.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use pipeline_kernels::{RowReader, each_block};

use super::npy_header::{Header, MAGIC};
use super::{malformed, npy_numbers as numbers, unwritten, wrong_row};
use crate::DataError;
use crate::shards::bytes;

/// Bytes per conversion; a multiple of every width of a number.
const CHUNK_BYTES: usize = 1 << 20;

/// Whether a file begins as a `.npy` does; rewinds it.
pub(super) fn is_npy(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    Read::by_ref(file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == MAGIC)
}

/// Reads a matrix of floats or integers in either byte order as `f32`. Returns the width of a row, and the rows one
/// after the other, even for a file in column order.
///
/// # Shapes
/// returns `dim` and `[n_rows, dim]`
///
/// # Errors
/// When the file cannot be read, is not a `.npy`, or holds anything but rows of numbers.
pub fn read_npy_vectors(path: &Path) -> Result<(usize, Vec<f32>), DataError> {
    let (header, mut file) = open(path)?;
    let &[n_rows, dim] = header.shape.as_slice() else {
        return Err(malformed(path, format!("has {} dimensions, not rows and columns", header.shape.len())));
    };
    let Some(convert) = numbers::converter(&header.descr) else {
        let problem = format!("holds `{}`, not numbers of 16, 32 or 64 bits or integers", header.descr);
        return Err(malformed(path, problem));
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
    if header.is_fortran && n_rows > 1 && dim > 1 {
        values = (0..n_rows).flat_map(|row| values.iter().skip(row).step_by(n_rows)).copied().collect();
    }
    Ok((dim, values))
}

/// Reads a list of texts (`<U…`, `|S…`) or integers, the latter as Python's `str` formats them.
///
/// # Errors
/// When the file cannot be read, is not a `.npy`, or holds anything else.
pub fn read_npy_texts(path: &Path) -> Result<Vec<String>, DataError> {
    let (header, mut file) = open(path)?;
    if !matches!(header.shape.as_slice(), [_] | [_, 1]) {
        return Err(malformed(path, format!("has {} dimensions, not one", header.shape.len())));
    }
    let reader = numbers::text_reader(&header.descr).zip(numbers::width_of(&header.descr));
    let Some((text, width)) = reader else {
        let what = if header.descr == "|O" { "pickled objects" } else { "neither texts nor integers" };
        return Err(malformed(path, format!("holds {what}; `np.array(ids, dtype=str)` makes texts of them")));
    };
    let n_bytes = expect_bytes(path, &header, &file)?;
    let mut bytes = vec![0; n_bytes];
    file.read_exact(&mut bytes).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let rows = bytes.chunks_exact(width).enumerate();
    rows.map(|(row_idx, bytes)| text(bytes).ok_or_else(|| wrong_row(path, row_idx as u64 + 1, "is no text"))).collect()
}

/// Writes a matrix of `f32`, row after row.
///
/// # Errors
/// When a row cannot be read, or the file cannot be written.
pub fn write_npy(path: &Path, rows: &dyn RowReader) -> Result<(), DataError> {
    let header = Header::of_matrix(rows.n_rows(), rows.n_cols()).to_bytes();
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&header)?;
        each_block(rows, |_, values| file.write_all(&bytes::of(values)))
    };
    write().map_err(|source| unwritten(path, source))
}

fn open(path: &Path) -> Result<(Header, BufReader<File>), DataError> {
    let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let mut file = BufReader::new(file);
    let header = Header::read(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    header.map(|header| (header, file)).map_err(|problem| malformed(path, problem))
}

/// The bytes of all numbers, which must equal the rest of the file.
fn expect_bytes(path: &Path, header: &Header, file: &BufReader<File>) -> Result<usize, DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut handle = file.get_ref();
    let position = handle.stream_position().map_err(failed)? - file.buffer().len() as u64;
    let n_left = handle.metadata().map_err(failed)?.len().saturating_sub(position);
    let width = numbers::width_of(&header.descr).unwrap_or(0);
    let n_wanted = header.shape.iter().try_fold(width, |product, length| product.checked_mul(*length));
    match n_wanted {
        Some(n_bytes) if n_bytes as u64 == n_left => Ok(n_bytes),
        _ => {
            let wanted = n_wanted.map_or("more".to_owned(), |n_bytes| n_bytes.to_string());
            let shape: Vec<String> = header.shape.iter().map(usize::to_string).collect();
            let (shape, descr) = (shape.join(" × "), &header.descr);
            Err(malformed(path, format!("has {n_left} bytes of numbers, but {shape} of `{descr}` are {wanted}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use pipeline_kernels::Matrix;

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
        write_npy(&path, &Matrix::new(2, 3, values.clone())).unwrap();
        let (dim, read) = read_npy_vectors(&path).unwrap();
        assert_eq!(
            (dim, read.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
            (3, values.iter().map(|value| value.to_bits()).collect())
        );
        write_npy(&path, &Matrix::zeros(0, 3)).unwrap();
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
    fn columns_big_endian_numbers_and_integers_are_read() {
        let bytes = |values: [i16; 6]| values.map(i16::to_be_bytes).concat();
        let columns = file(">i2", true, &[2, 3], &bytes([1, 4, 2, 5, -3, 6]));
        assert_eq!(read_npy_vectors(columns.path()).unwrap(), (3, vec![1.0, 2.0, -3.0, 4.0, 5.0, 6.0]));
        let floats = [1.5_f64, -2.0].map(f64::to_be_bytes).concat();
        assert_eq!(read_npy_vectors(file(">f8", false, &[1, 2], &floats).path()).unwrap(), (2, vec![1.5, -2.0]));
        assert_eq!(read_npy_vectors(file("|i1", false, &[2, 1], &[255, 7]).path()).unwrap(), (1, vec![-1.0, 7.0]));
    }

    #[test]
    fn ids_are_texts_or_integers() {
        let wide: Vec<u8> = "图a\0b".chars().flat_map(|char| (char as u32).to_le_bytes()).collect();
        assert_eq!(read_npy_texts(file("<U2", false, &[2], &wide).path()).unwrap(), ["图a", "\0b"]);
        assert_eq!(read_npy_texts(file("|S3", false, &[2], b"ab\0c\0\0").path()).unwrap(), ["ab", "c"]);
        let numbers: Vec<u8> = [7_i64, -1].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(read_npy_texts(file("<i8", false, &[2], &numbers).path()).unwrap(), ["7", "-1"]);
        let numbers = [7_u32, 8].map(u32::to_be_bytes).concat();
        assert_eq!(read_npy_texts(file(">u4", false, &[2, 1], &numbers).path()).unwrap(), ["7", "8"]);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let vectors = |descr, is_fortran, shape: &[usize], n_bytes| {
            let file = file(descr, is_fortran, shape, &vec![0; n_bytes]);
            let error = read_npy_vectors(file.path()).unwrap_err().to_string();
            error.split_once("` ").unwrap().1.to_owned()
        };
        assert_eq!(vectors("<f4", false, &[6], 24), "has 1 dimensions, not rows and columns");
        assert_eq!(vectors("<c8", false, &[2, 3], 48), "holds `<c8`, not numbers of 16, 32 or 64 bits or integers");
        assert!(vectors("<V2", false, &[2, 3], 12).starts_with("holds `<V2`"));
        for n_bytes in [23, 25] {
            let expect = format!("has {n_bytes} bytes of numbers, but 2 × 3 of `<f4` are 24");
            assert_eq!(vectors("<f4", false, &[2, 3], n_bytes), expect);
        }
        assert!(vectors("<f4", false, &[usize::MAX, 3], 23).ends_with("are more"));
        let objects = read_npy_texts(file("|O", false, &[1], b"\x80").path()).unwrap_err().to_string();
        assert!(objects.contains("holds pickled objects; `np.array(ids, dtype=str)`"), "{objects}");
    }
}

//! The header of a `.npy` file: what the numbers are, how many and in which order.

use std::io::{self, Read};

/// What every `.npy` file begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The header is padded so that the numbers begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// A header is some hundred bytes; what claims to be longer than this is none.
const MAX_BYTES: usize = 1 << 16;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// NumPy's name of the type, such as `<f4`.
    pub(super) descr: String,
    /// Whether the first index is the fastest.
    pub(super) is_fortran: bool,
    /// The length of each dimension.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads a header and leaves `file` at the first number. The inner error says what is wrong with it.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Result<Self, String>> {
        let mut start = [0; 8];
        if file.read_exact(&mut start).is_err() || start[..6] != *MAGIC {
            return Ok(Err("is no `.npy` file".to_owned()));
        }
        // Version 1 has two bytes of length, the later ones four.
        let mut length = [0; 4];
        file.read_exact(&mut length[..if start[6] == 1 { 2 } else { 4 }])?;
        let n_bytes = u32::from_le_bytes(length) as usize;
        if n_bytes > MAX_BYTES {
            return Ok(Err(format!("has a header of {n_bytes} bytes")));
        }
        let mut text = vec![0; n_bytes];
        file.read_exact(&mut text)?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// The header of a matrix of `f32`, row after row.
    pub(super) fn of_matrix(n_rows: usize, n_cols: usize) -> Self {
        Self { descr: "<f4".to_owned(), is_fortran: false, shape: vec![n_rows, n_cols] }
    }

    /// The bytes that a file of version 1 begins with.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let order = if self.is_fortran { "True" } else { "False" };
        let lengths: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        let shape = lengths.join(", ") + if lengths.len() == 1 { "," } else { "" };
        let mut text = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': ({shape}), }}", self.descr);
        let n_before = MAGIC.len() + 4;
        let n_padding = ALIGNMENT - (n_before + text.len() + 1) % ALIGNMENT;
        text.push_str(&" ".repeat(n_padding));
        text.push('\n');
        let length = u16::try_from(text.len()).expect("a header of three short entries has some hundred bytes");
        [MAGIC.as_slice(), &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let entry = |name: &str| {
            let (_, rest) = text.split_once(&format!("'{name}':")).ok_or(format!("has no `{name}` in its header"))?;
            Ok::<&str, String>(rest.trim_start())
        };
        let descr = entry("descr")?;
        let quoted = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let (descr, _) = quoted.ok_or("holds records of several fields, not numbers")?;
        let shape = entry("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let (shape, _) = shape.ok_or("has no shape in its header")?;
        let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
        let shape = lengths.map(|length| length.parse().map_err(|_| format!("has the odd length `{length}`")));
        Ok(Self {
            descr: descr.to_owned(),
            is_fortran: entry("fortran_order")?.starts_with("True"),
            shape: shape.collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `np.save` for an array of `<f4` and the shape (3, 4), by NumPy 2.4.
    #[test]
    fn a_header_is_numpys_to_the_byte() {
        let mut expect = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }".to_vec();
        expect.resize(127, b' ');
        expect.push(b'\n');
        let bytes = Header::of_matrix(3, 4).to_bytes();
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&expect));
        assert_eq!(Header::read(&mut bytes.as_slice()).unwrap(), Ok(Header::of_matrix(3, 4)));
    }

    #[test]
    fn odd_headers_are_named() {
        let problem = |text: &str| Header::parse(text).unwrap_err();
        assert_eq!(problem("{'fortran_order': False}"), "has no `descr` in its header");
        let records = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }";
        assert_eq!(problem(records), "holds records of several fields, not numbers");
        assert_eq!(Header::read(&mut b"PK\x03\x04....".as_slice()).unwrap(), Err("is no `.npy` file".to_owned()));
        let line = Header::parse("{'descr': '<i8', 'fortran_order': True, 'shape': (3,), }").unwrap();
        assert_eq!((line.is_fortran, line.shape), (true, vec![3]));
    }
}

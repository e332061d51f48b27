//! The header of a `.npy` file: the type, number and order of its values.

use std::io::{self, Read};

/// The first bytes of every `.npy` file.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The header is padded so that the numbers begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// NumPy's limit on the length of a header, since it evaluates it.
const MAX_BYTES: usize = 10_000;

/// The fields of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// NumPy's name of the type, such as `<f4`.
    pub(super) descr: String,
    /// Whether the first index varies fastest.
    pub(super) is_fortran: bool,
    /// The length of each dimension.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads a header and leaves `file` at the first number. The inner error describes the fault.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Result<Self, String>> {
        match Self::text(file) {
            Ok(text) => Ok(text.and_then(|text| Self::parse(&text))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err("ends within its header".to_owned())),
            Err(error) => Err(error),
        }
    }

    fn text(file: &mut impl Read) -> io::Result<Result<String, String>> {
        let mut start = [0; 8];
        if file.read_exact(&mut start).is_err() || start[..6] != *MAGIC {
            let problem = match start {
                [b'P', b'K', 3 | 5, ..] => {
                    "is a zip archive, perhaps an `.npz` of several arrays; `np.save` writes one array"
                }
                [0x80, 2..=5, ..] => "is a pickle, which is not read; `np.save` writes an array of numbers",
                _ => "is no `.npy` file",
            };
            return Ok(Err(problem.to_owned()));
        }
        // Version 1 has two length bytes, later ones four; version 3 has names in UTF-8.
        let n_length_bytes = match start[6..] {
            [1, 0] => 2,
            [2 | 3, 0] => 4,
            [major, minor] => return Ok(Err(format!("is `.npy` of the unknown version {major}.{minor}"))),
            _ => unreachable!("two bytes follow the first six"),
        };
        let mut length = [0; 4];
        file.read_exact(&mut length[..n_length_bytes])?;
        let n_bytes = u32::from_le_bytes(length) as usize;
        if n_bytes > MAX_BYTES {
            return Ok(Err(format!("has a header of {n_bytes} bytes")));
        }
        let mut text = vec![0; n_bytes];
        file.read_exact(&mut text)?;
        // The parser accepts ASCII only, as every valid header is.
        Ok(Ok(String::from_utf8_lossy(&text).into_owned()))
    }

    /// The header of a matrix of `f32`, row after row.
    pub(super) fn of_matrix(n_rows: usize, n_cols: usize) -> Self {
        Self { descr: "<f4".to_owned(), is_fortran: false, shape: vec![n_rows, n_cols] }
    }

    /// The first bytes of a file of version 1.
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

    /// Parses the Python dictionary in a header, as strictly as NumPy: three entries in any order.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        let mut literal = Literal(text);
        literal.take('{').ok_or("has a header that is no dictionary of Python")?;
        while literal.take('}').is_none() {
            let name = literal.text().ok_or_else(|| literal.problem())?;
            literal.take(':').ok_or_else(|| literal.problem())?;
            let is_new = match name {
                "descr" if literal.starts_with('[') => {
                    return Err("holds records of several fields, not numbers".to_owned());
                }
                "descr" => descr.replace(literal.text().ok_or_else(|| literal.problem())?).is_none(),
                "fortran_order" => is_fortran.replace(literal.truth().ok_or_else(|| literal.problem())?).is_none(),
                "shape" => shape.replace(literal.lengths().ok_or_else(|| literal.problem())?).is_none(),
                _ => return Err(format!("has the unknown entry `{name}` in its header")),
            };
            if !is_new {
                return Err(format!("has `{name}` more than once in its header"));
            }
            if literal.take(',').is_none() && !literal.starts_with('}') {
                return Err(literal.problem());
            }
        }
        if !literal.0.trim_ascii().is_empty() {
            return Err(literal.problem());
        }
        let missing = |name: &str| format!("has no `{name}` in its header");
        Ok(Self {
            descr: descr.ok_or_else(|| missing("descr"))?.to_owned(),
            is_fortran: is_fortran.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// The rest of the text of a header. Refuses everything that a writer of `.npy` has no reason to write.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn starts_with(&mut self, first: char) -> bool {
        self.0 = self.0.trim_ascii_start();
        self.0.starts_with(first)
    }

    fn take(&mut self, first: char) -> Option<()> {
        self.starts_with(first).then(|| self.0 = &self.0[first.len_utf8()..])
    }

    /// A quoted text without escapes.
    fn text(&mut self) -> Option<&'a str> {
        let quote = if self.starts_with('"') { '"' } else { '\'' };
        let (text, rest) = self.0.strip_prefix(quote)?.split_once(quote)?;
        let is_plain = text.chars().all(|character| character.is_ascii_graphic() && character != '\\');
        self.0 = if is_plain { rest } else { return None };
        Some(text)
    }

    fn truth(&mut self) -> Option<bool> {
        let truth = self.starts_with('T');
        self.0 = self.0.strip_prefix(if truth { "True" } else { "False" })?;
        Some(truth)
    }

    /// A tuple of integers; Python 2 wrote some of them with a trailing `L`.
    fn lengths(&mut self) -> Option<Vec<usize>> {
        let mut lengths = Vec::new();
        let mut has_comma = true;
        self.take('(')?;
        while self.take(')').is_none() {
            if !has_comma {
                return None;
            }
            self.0 = self.0.trim_ascii_start();
            let n_digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = self.0.split_at(n_digits);
            let is_canonical = digits == "0" || !digits.starts_with('0');
            lengths.push(digits.parse().ok().filter(|_| is_canonical)?);
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            has_comma = self.take(',').is_some();
        }
        // In Python `(3)` is a number.
        (has_comma || lengths.len() != 1).then_some(lengths)
    }

    fn problem(&self) -> String {
        let shown: String = self.0.trim().chars().take(30).collect();
        format!("has a header that cannot be understood from `{shown}` on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected bytes are those of `np.save` for an array of `<f4` and the shape (3, 4), by NumPy 2.4.
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
        assert_eq!(problem("[1]"), "has a header that is no dictionary of Python");
        let more = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'descr': '<f8'}";
        assert_eq!(problem(more), "has `descr` more than once in its header");
        for shape in
            ["(3)", "(03,)", "(-3,)", "(3 4)", "(,)", "(3,,4)", "[3]", "3", "(3.0,)", "(1_0,)", "(True,)", "(3"]
        {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
            assert!(problem(&text).starts_with("has a header that cannot be understood"), "{shape}");
        }
        let version = Header::read(&mut b"\x93NUMPY\x04\x00v\x00".as_slice()).unwrap();
        assert_eq!(version, Err("is `.npy` of the unknown version 4.0".to_owned()));
        assert_eq!(
            Header::read(&mut b"\x93NUMPY\x01\x00v\x00{".as_slice()).unwrap(),
            Err("ends within its header".to_owned())
        );
        let records = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }";
        assert_eq!(problem(records), "holds records of several fields, not numbers");
        assert_eq!(Header::read(&mut b"{\"a\": 1}\n".as_slice()).unwrap(), Err("is no `.npy` file".to_owned()));
        let other = |start: &[u8]| Header::read(&mut { start }).unwrap().unwrap_err();
        assert!(other(b"PK\x03\x04....").starts_with("is a zip archive, perhaps an `.npz`"));
        assert!(other(b"\x80\x04\x95.....").starts_with("is a pickle"));
        let line = Header::parse("{'descr': '<i8', 'fortran_order': True, 'shape': (3,), }").unwrap();
        assert_eq!((line.is_fortran, line.shape), (true, vec![3]));
        let other = Header::parse("{\"shape\":(3L,4L) , 'fortran_order':False,'descr':'>f2'}\n").unwrap();
        assert_eq!((other.descr.as_str(), other.shape), (">f2", vec![3, 4]));
        assert_eq!(Header::parse("{'descr': '<f4', 'fortran_order': False, 'shape': ()}").unwrap().shape.len(), 0);
    }
}

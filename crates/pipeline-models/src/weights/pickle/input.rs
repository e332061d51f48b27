//! The bytes of a pickle as a stream: long strings are skipped.

use std::io::{self, BufRead, Read};

use super::error::PickleError;

/// The longest string that is kept: longer ones are not names of tensors.
pub(super) const MAX_KEPT_BYTES: u64 = 1024;

/// The bytes of a pickle.
pub(super) struct Input<'a> {
    reader: &'a mut dyn BufRead,
}

impl<'a> Input<'a> {
    pub(super) fn new(reader: &'a mut dyn BufRead) -> Self {
        Self { reader }
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.array::<1>()?[0])
    }

    /// A length in `N` little-endian bytes.
    pub(super) fn length<const N: usize>(&mut self) -> Result<u64, PickleError> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&self.array::<N>()?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// The next `n_bytes`; `None` if they are too many to keep.
    pub(super) fn bytes(&mut self, n_bytes: u64) -> Result<Option<Vec<u8>>, PickleError> {
        if n_bytes > MAX_KEPT_BYTES {
            self.skip(n_bytes)?;
            return Ok(None);
        }
        let mut bytes = vec![0; n_bytes as usize];
        self.reader.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Skips `n_bytes`.
    pub(super) fn skip(&mut self, n_bytes: u64) -> Result<(), PickleError> {
        let n_skipped = io::copy(&mut (&mut *self.reader).take(n_bytes), &mut io::sink())?;
        if n_skipped == n_bytes { Ok(()) } else { Err(PickleError::CutOff) }
    }

    /// The bytes up to the end of the line; `None` if they are too many to keep.
    pub(super) fn line(&mut self) -> Result<Option<Vec<u8>>, PickleError> {
        let (mut line, mut n_bytes) = (Vec::new(), 0);
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(PickleError::CutOff);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            n_bytes += part.len() as u64;
            if n_bytes <= MAX_KEPT_BYTES {
                line.extend_from_slice(part);
            }
            let n_used = part.len() + usize::from(end.is_some());
            self.reader.consume(n_used);
            if end.is_some() {
                return Ok((n_bytes <= MAX_KEPT_BYTES).then_some(line));
            }
        }
    }

    /// A line of letters, such as the name of a class.
    pub(super) fn word(&mut self) -> Result<String, PickleError> {
        let line = self.line()?.and_then(|line| String::from_utf8(line).ok());
        line.ok_or(PickleError::Damaged("a name is no text"))
    }
}

//! Reads the headers of tar archives: where each member lies. Nothing is unpacked.
//!
//! Old, ustar, GNU and pax headers are read, which is what `tar` and Python's `tarfile` write.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::content::open_tar;

const BLOCK: u64 = 512;

/// The longest name or extended header that is read into memory, in bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// The bytes per read of content that is only hashed.
const READ_BYTES: usize = 64 << 10;

/// A regular file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its path without a leading `./`; may be any bytes.
    pub name: Vec<u8>,
    /// The number of the member among all, counted from 1.
    pub number: u64,
    /// The byte offset of its content in the archive.
    pub offset: u64,
    /// The length of its content in bytes.
    pub len: u64,
    /// False where the content is not stored as it is: in links and sparse files.
    pub is_plain: bool,
}

/// The members of an archive, one after the other.
pub(crate) struct Members {
    path: PathBuf,
    file: File,
    n_bytes: u64,
    offset: u64,
    n_members: u64,
}

/// What extended headers say of the member that follows.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    len: Option<u64>,
    is_sparse: bool,
}

impl Members {
    /// Opens an archive.
    ///
    /// # Errors
    /// When it cannot be read, or is compressed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = open_tar(path)?;
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let n_bytes = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), file, n_bytes, offset: 0, n_members: 0 })
    }

    /// The next regular file or link; `None` at the end.
    ///
    /// # Errors
    /// When the archive is damaged or cut short.
    pub fn next(&mut self) -> Result<Option<Member>, DataError> {
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let (kind, begin) = (header[156], self.offset + BLOCK);
            let said = number(&header[124..136]).ok_or_else(|| self.damaged("has a size that is no number"))?;
            let len = if matches!(kind, b'x' | b'g' | b'L' | b'K') { said } else { extended.len.unwrap_or(said) };
            let has_content = !matches!(kind, b'1'..=b'6');
            let end = if has_content { begin.checked_add(len) } else { Some(begin) };
            let end = end.filter(|end| *end <= self.n_bytes).ok_or_else(|| self.cut_short(begin))?;
            self.offset = end.next_multiple_of(BLOCK);
            match kind {
                b'L' => extended.name = Some(until_zero(&self.small(begin, len)?).to_vec()),
                b'x' => extended
                    .read(&self.small(begin, len)?)
                    .ok_or_else(|| self.damaged("has a pax header of no records"))?,
                b'0' | 0 | b'7' | b'1' | b'2' | b'S' => {
                    self.n_members += 1;
                    let name = extended.name.unwrap_or_else(|| name_of(&header));
                    let name = name.strip_prefix(b"./").map_or(name.clone(), <[u8]>::to_vec);
                    // The old format marks a folder by its name alone.
                    if name.ends_with(b"/") {
                        extended = Extended::default();
                        continue;
                    }
                    let is_plain = matches!(kind, b'0' | 0 | b'7') && !extended.is_sparse;
                    return Ok(Some(Member { name, number: self.n_members, offset: begin, len, is_plain }));
                }
                b'g' | b'K' => {}
                _ => extended = Extended::default(),
            }
        }
    }

    /// Reads the content of a member into `content`.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn read(&self, member: &Member, content: &mut Vec<u8>) -> Result<(), DataError> {
        content.clear();
        content.resize(member.len as usize, 0);
        let read = self.file.read_exact_at(content, member.offset);
        read.map_err(|source| DataError::Read { path: self.path.clone(), source })
    }

    /// The BLAKE3 digest of the content of a member, which is not held in memory.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub fn digest(&self, member: &Member) -> Result<[u8; 32], DataError> {
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), [0; READ_BYTES]);
        let end = member.offset + member.len;
        let mut at = member.offset;
        while at < end {
            let piece = &mut buffer[..(end - at).min(READ_BYTES as u64) as usize];
            let read = self.file.read_exact_at(piece, at);
            read.map_err(|source| DataError::Read { path: self.path.clone(), source })?;
            hasher.update(piece);
            at += piece.len() as u64;
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// The header at the present place; `None` at the end of the archive.
    fn header(&self) -> Result<Option<[u8; BLOCK as usize]>, DataError> {
        if self.offset >= self.n_bytes {
            return Ok(None);
        }
        if self.n_bytes - self.offset < BLOCK {
            return Err(self.cut_short(self.offset));
        }
        let mut header = [0; BLOCK as usize];
        let read = self.file.read_exact_at(&mut header, self.offset);
        read.map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        if header == [0; BLOCK as usize] {
            return Ok(None);
        }
        let sum: u64 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if number(&header[148..156]) != Some(sum) {
            return Err(self.damaged("has no header of a tar"));
        }
        Ok(Some(header))
    }

    fn small(&self, offset: u64, len: u64) -> Result<Vec<u8>, DataError> {
        if len > MAX_HEADER_BYTES {
            return Err(self.damaged("has a name or an extended header of more than 1 MiB"));
        }
        let mut content = vec![0; len as usize];
        let read = self.file.read_exact_at(&mut content, offset);
        read.map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        Ok(content)
    }

    fn cut_short(&self, offset: u64) -> DataError {
        let problem = format!("is cut short: its last member, at byte {offset}, does not end");
        DataError::Malformed { path: self.path.clone(), problem }
    }

    fn damaged(&self, what: &str) -> DataError {
        DataError::Malformed {
            path: self.path.clone(),
            problem: format!("is no whole tar: it {what} at byte {}", self.offset),
        }
    }
}

impl Extended {
    /// Reads records `<length> <key>=<value>\n`; `None` when they are none.
    fn read(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() && records[0] != 0 {
            let space = records.iter().position(|byte| *byte == b' ')?;
            let len: usize = str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..len)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.len = Some(str::from_utf8(value).ok()?.parse().ok()?),
                _ => self.is_sparse |= key.starts_with(b"GNU.sparse"),
            }
            records = &records[len..];
        }
        Some(())
    }
}

/// The name in a header, with the prefix of ustar.
fn name_of(header: &[u8; BLOCK as usize]) -> Vec<u8> {
    let name = until_zero(&header[..100]);
    let is_ustar = &header[257..263] == b"ustar\0";
    match until_zero(&header[345..500]) {
        prefix if is_ustar && !prefix.is_empty() => [prefix, b"/", name].concat(),
        _ => name.to_vec(),
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in GNU's binary form.
fn number(field: &[u8]) -> Option<u64> {
    if field.len() > 8 && field[0] == 0x80 {
        let (high, low) = field.split_at(field.len() - 8);
        return high[1..]
            .iter()
            .all(|byte| *byte == 0)
            .then(|| low.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    }
    let text = str::from_utf8(until_zero(field)).ok()?.trim_matches(' ');
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

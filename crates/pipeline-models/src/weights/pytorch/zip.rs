//! The zip archive of a PyTorch checkpoint: its directory, and its files as streams with verified checksums.
//!
//! Reads the same archives as PyTorch: stored or deflated files, with or without the fields for more than 4 GiB.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

use super::super::trouble::Trouble;

/// The first bytes of every nonempty zip archive.
pub(in super::super) const MAGIC: &[u8] = b"PK\x03\x04";

/// The longest directory: a million files, more than any checkpoint has.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const END64_LOCATOR_BYTES: usize = 20;
const END64: &[u8] = b"PK\x06\x06";
const FILE: &[u8] = b"PK\x01\x02";
const FILE_BYTES: usize = 46;
const LOCAL_BYTES: u64 = 30;
const EXTRA64: u16 = 1;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const IS_ENCRYPTED: u16 = 1;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Record {
    /// The offset of the header before its bytes.
    header_start: u64,
    /// Its length.
    pub(in super::super) n_bytes: u64,
    n_packed_bytes: u64,
    method: u16,
    /// The CRC-32 of its bytes; 0 where PyTorch saved without checksums.
    crc: u32,
}

impl Record {
    /// True if the file is not compressed.
    pub(in super::super) fn is_stored(&self) -> bool {
        self.method == STORED
    }

    /// The offset of its packed bytes.
    ///
    /// # Errors
    /// When they are not in the archive.
    pub(in super::super) fn start(&self, mut archive: &File, archive_bytes: u64) -> Result<u64, Trouble> {
        let damaged = || Trouble::new("is cut off or damaged: a file of its zip archive lies outside it");
        let header_end = self.header_start.checked_add(LOCAL_BYTES).filter(|end| *end <= archive_bytes);
        header_end.ok_or_else(damaged)?;
        archive.seek(SeekFrom::Start(self.header_start))?;
        let mut header = [0; LOCAL_BYTES as usize];
        archive.read_exact(&mut header)?;
        if !header.starts_with(MAGIC) {
            return Err(Trouble::new("is damaged: a file of its zip archive is not where the directory says"));
        }
        let start = self.header_start + LOCAL_BYTES + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let end = start.checked_add(self.n_packed_bytes).filter(|end| *end <= archive_bytes);
        end.map(|_| start).ok_or_else(damaged)
    }

    /// A stream of its bytes.
    ///
    /// # Errors
    /// When they are not in the archive, or have another compression.
    pub(in super::super) fn open<'a>(&self, mut archive: &'a File, archive_bytes: u64) -> Result<Checked<'a>, Trouble> {
        let start = self.start(archive, archive_bytes)?;
        archive.seek(SeekFrom::Start(start))?;
        let packed = archive.take(self.n_packed_bytes);
        let bytes: Box<dyn Read + 'a> = match self.method {
            STORED => Box::new(packed),
            _ => Box::new(DeflateDecoder::new(packed).take(self.n_bytes)),
        };
        Ok(Checked { bytes, expected: self.crc, n_left: self.n_bytes, hasher: crc32fast::Hasher::new() })
    }
}

/// A stream with the expected checksum.
pub(in super::super) struct Checked<'a> {
    bytes: Box<dyn Read + 'a>,
    expected: u32,
    n_left: u64,
    hasher: crc32fast::Hasher,
}

impl Checked<'_> {
    /// Reads the rest, and compares the checksum.
    ///
    /// # Errors
    /// When the bytes are not those that were written.
    pub(in super::super) fn finish(mut self) -> Result<(), Trouble> {
        io::copy(&mut self, &mut io::sink())?;
        if self.n_left > 0 {
            return Err(Trouble::new("is cut off or damaged: a file of its zip archive ends too early"));
        }
        let found = self.hasher.finalize();
        if self.expected != 0 && found != self.expected {
            return Err(Trouble::new("is damaged: a file of its zip archive does not have its checksum"));
        }
        Ok(())
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The checksum is computed while the bytes are in the cache.
        const STEP_BYTES: usize = 256 << 10;
        let step = buffer.len().min(STEP_BYTES);
        let n_read = self.bytes.read(&mut buffer[..step])?;
        self.hasher.update(&buffer[..n_read]);
        self.n_left = self.n_left.saturating_sub(n_read as u64);
        Ok(n_read)
    }
}

/// The files of an archive by name.
///
/// # Errors
/// When it has no directory, like a truncated one, or the directory is damaged or names a file twice.
pub(super) fn directory(mut archive: &File, archive_bytes: u64) -> Result<HashMap<String, Record>, Trouble> {
    let (start, n_bytes) = find_directory(archive, archive_bytes)?;
    if n_bytes > MAX_DIRECTORY_BYTES || start.checked_add(n_bytes).is_none_or(|end| end > archive_bytes) {
        return Err(Trouble::new("is damaged: the directory of its zip archive lies outside it"));
    }
    archive.seek(SeekFrom::Start(start))?;
    let mut directory = vec![0; n_bytes as usize];
    archive.read_exact(&mut directory)?;
    let mut records = HashMap::new();
    let mut rest = directory.as_slice();
    while rest.starts_with(FILE) {
        let (name, record) = read_record(&mut rest).ok_or_else(damaged_directory)??;
        if records.insert(name, record).is_some() {
            return Err(Trouble::new("is damaged: its zip archive has a file twice"));
        }
    }
    if rest.is_empty() { Ok(records) } else { Err(damaged_directory()) }
}

fn damaged_directory() -> Trouble {
    Trouble::new("is damaged: the directory of its zip archive cannot be read")
}

/// The offset of the directory, and its length.
fn find_directory(mut archive: &File, archive_bytes: u64) -> Result<(u64, u64), Trouble> {
    // A comment of up to 64 KiB may follow the end record.
    let tail_bytes = archive_bytes.min((END_BYTES + END64_LOCATOR_BYTES + 0xffff) as u64);
    archive.seek(SeekFrom::Start(archive_bytes - tail_bytes))?;
    let mut tail = vec![0; tail_bytes as usize];
    archive.read_exact(&mut tail)?;
    let is_end = |at: &usize| {
        tail[*at..].starts_with(END) && at + END_BYTES + usize::from(u16_at(&tail[*at..], 20)) <= tail.len()
    };
    let end = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|at| tail.len() >= END_BYTES && is_end(at));
    let end = end.ok_or_else(|| Trouble::new("is cut off: the directory at the end of its zip archive is missing"))?;
    let (n_bytes, start) = (u32_at(&tail[end..], 12), u32_at(&tail[end..], 16));
    let locator = end.checked_sub(END64_LOCATOR_BYTES).map(|at| &tail[at..]).filter(|at| at.starts_with(END64_LOCATOR));
    let Some(locator) = locator else { return Ok((u64::from(start), u64::from(n_bytes))) };
    let end64_start = u64_at(locator, 8);
    if end64_start.checked_add(56).is_none_or(|end| end > archive_bytes) {
        return Err(damaged_directory());
    }
    let mut end64 = [0; 56];
    archive.seek(SeekFrom::Start(end64_start))?;
    archive.read_exact(&mut end64)?;
    if !end64.starts_with(END64) {
        return Err(damaged_directory());
    }
    Ok((u64_at(&end64, 48), u64_at(&end64, 40)))
}

/// Takes the next file off the directory; `None` if it is cut off.
fn read_record(rest: &mut &[u8]) -> Option<Result<(String, Record), Trouble>> {
    let header = rest.split_off(..FILE_BYTES)?;
    let name = rest.split_off(..usize::from(u16_at(header, 28)))?;
    let extra = rest.split_off(..usize::from(u16_at(header, 30)))?;
    rest.split_off(..usize::from(u16_at(header, 32)))?;
    let mut record = Record {
        header_start: u64::from(u32_at(header, 42)),
        n_bytes: u64::from(u32_at(header, 24)),
        n_packed_bytes: u64::from(u32_at(header, 20)),
        method: u16_at(header, 10),
        crc: u32_at(header, 16),
    };
    enlarge(&mut record, extra)?;
    let name = String::from_utf8_lossy(name).into_owned();
    Some(if u16_at(header, 8) & IS_ENCRYPTED != 0 {
        Err(Trouble::new("is encrypted"))
    } else if !matches!(record.method, STORED | DEFLATED) {
        Err(Trouble::new(format!("is a zip archive packed by method {}, and only deflate is read", record.method)))
    } else if record.is_stored() && record.n_bytes != record.n_packed_bytes {
        Err(damaged_directory())
    } else {
        Ok((name, record))
    })
}

/// Reads numbers above 32 bits from the extra field, where they stand in this order.
fn enlarge(record: &mut Record, mut extra: &[u8]) -> Option<()> {
    while extra.len() >= 4 {
        let field = extra.split_off(..4)?;
        let mut value = extra.split_off(..usize::from(u16_at(field, 2)))?;
        if u16_at(field, 0) != EXTRA64 {
            continue;
        }
        for number in [&mut record.n_bytes, &mut record.n_packed_bytes, &mut record.header_start] {
            if *number == u64::from(u32::MAX) {
                *number = u64_at(value.split_off(..8)?, 0);
            }
        }
    }
    Some(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

//! Writes a file and hashes it in one pass, on all threads: each part is hashed, and written while it is in the cache.
//!
//! The kernel lets one thread at a time write into a file; the others hash meanwhile. BLAKE3 is a binary tree over the
//! content, so each part is a subtree of its own.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use rustix::io::{Errno, pwritev};

/// The bytes that one thread hashes and writes at once. A power of two, so that it is a whole subtree. Measured: larger
/// parts leave the cache before they are written.
const PART_BYTES: usize = 256 << 10;

/// The most pieces that the kernel accepts at once.
const MOST_PIECES: usize = 1024;

/// Writes the pieces in order; returns the BLAKE3 digest of the file.
pub(super) fn write(path: &Path, pieces: &[&[u8]]) -> io::Result<[u8; 32]> {
    let mut ends: Vec<usize> = Vec::with_capacity(pieces.len());
    ends.extend(pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    }));
    let output = Output { file: &File::create(path)?, pieces, ends: &ends };
    let n_bytes = ends.last().copied().unwrap_or(0);
    let hash = if n_bytes <= PART_BYTES {
        let mut hasher = Hasher::new();
        output.write_part(0..n_bytes, &mut hasher)?;
        hasher.finalize()
    } else {
        let (left, right) = output.halves(0..n_bytes)?;
        merge_subtrees_root(&left, &right, Mode::Hash)
    };
    Ok(*hash.as_bytes())
}

/// A file being written, and its content.
#[derive(Clone, Copy)]
struct Output<'a> {
    file: &'a File,
    pieces: &'a [&'a [u8]],
    /// The end of each piece in the file.
    ends: &'a [usize],
}

impl<'a> Output<'a> {
    fn halves(self, bytes: Range<usize>) -> io::Result<(ChainingValue, ChainingValue)> {
        let middle = bytes.start + left_subtree_len(bytes.len() as u64) as usize;
        let (left, right) = rayon::join(|| self.subtree(bytes.start..middle), || self.subtree(middle..bytes.end));
        Ok((left?, right?))
    }

    fn subtree(self, bytes: Range<usize>) -> io::Result<ChainingValue> {
        if bytes.len() > PART_BYTES {
            let (left, right) = self.halves(bytes)?;
            return Ok(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(bytes.start as u64);
        self.write_part(bytes, &mut hasher)?;
        Ok(hasher.finalize_non_root())
    }

    /// Hashes and writes some bytes of the file.
    fn write_part(self, bytes: Range<usize>, hasher: &mut Hasher) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'a>> = self.slices(&bytes).map(IoSlice::new).collect();
        slices.iter().for_each(|slice| _ = hasher.update(slice));
        let (mut left, mut offset) = (slices.as_mut_slice(), bytes.start as u64);
        while !left.is_empty() {
            match pwritev(self.file, &left[..left.len().min(MOST_PIECES)], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => {
                    IoSlice::advance_slices(&mut left, n_bytes);
                    offset += n_bytes as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The parts of the pieces within a range of the file.
    fn slices(self, bytes: &Range<usize>) -> impl Iterator<Item = &'a [u8]> {
        let bytes = bytes.clone();
        let first = self.ends.partition_point(|end| *end <= bytes.start);
        let pieces = self.pieces[first..].iter().zip(&self.ends[first..]);
        let places = pieces.map(|(piece, end)| (*piece, end - piece.len()));
        places.take_while(move |(_, start)| *start < bytes.end).filter_map(move |(piece, start)| {
            let from = bytes.start.saturating_sub(start);
            let to = piece.len().min(bytes.end - start);
            (from < to).then(|| &piece[from..to])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_pieces_one_after_the_other_and_the_digest_of_its_bytes() {
        let content: Vec<u8> = (0..3 * PART_BYTES + 1025).map(|i| (i * i % 251) as u8).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let cuts = [0, 4, 4, 1000, PART_BYTES - 1, PART_BYTES, PART_BYTES + 5, 2 * PART_BYTES + 7, content.len()];
        for n_bytes in [0, 1, 1024, 1025, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, content.len()] {
            let ends: Vec<usize> = cuts.iter().map(|cut| (*cut).min(n_bytes)).collect();
            let pieces: Vec<&[u8]> = ends.windows(2).map(|ends| &content[ends[0]..ends[1]]).collect();
            let digest = write(&path, &pieces).unwrap();
            assert!(std::fs::read(&path).unwrap() == content[..n_bytes], "{n_bytes} bytes");
            assert_eq!(digest, *blake3::hash(&content[..n_bytes]).as_bytes(), "{n_bytes} bytes");
        }
    }

    #[test]
    fn many_small_pieces_are_written_too() {
        let content: Vec<u8> = (0..10_000_u32).map(|i| (i % 253) as u8).collect();
        let pieces: Vec<&[u8]> = content.chunks(3).collect();
        let folder = tempfile::tempdir().unwrap();
        let digest = write(&folder.path().join("file"), &pieces).unwrap();
        assert_eq!(digest, *blake3::hash(&content).as_bytes());
        assert!(std::fs::read(folder.path().join("file")).unwrap() == content);
    }
}

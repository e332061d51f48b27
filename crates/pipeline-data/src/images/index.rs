//! The index of one file of images as bytes, so that a file need not be scanned again.
//!
//! Little-endian, one entry after the other: the kind (a byte), the number (u64), of an image also the offset and the
//! length (u64 each) and the digest (32 bytes), and the id or the reason (its length as u32, UTF-8).

use super::collect::Found;
use super::{ImageRow, ImagesFile, MAX_FILE_BYTES};
use crate::DataError;
use crate::image_names::must_be_a_line;

/// Keeps the index of each file between uses. The flag is true if it must wait for another process that makes the same
/// index; otherwise the result is `None` then.
pub type KeepIndex<'a> = dyn Fn(&ImagesFile, bool, &FileIndex<'_>) -> Result<Option<Vec<u8>>, DataError> + Sync + 'a;

/// The index of one file.
pub struct FileIndex<'a> {
    /// Scans the file and returns its index.
    pub make: &'a dyn Fn() -> Result<Vec<u8>, DataError>,
    /// Whether these bytes can be its index: those that cannot are to be made anew.
    pub fits: &'a dyn Fn(&[u8]) -> bool,
}

const IMAGE: u8 = 0;
const BASE64: u8 = 1;
const SKIPPED: u8 = 2;

/// The bytes of an index.
pub(super) fn to_bytes(all: &[Found]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for found in all {
        let text = match found {
            Found::Row(ImageRow { id, number, offset, len, digest, is_base64, .. }) => {
                bytes.push(if *is_base64 { BASE64 } else { IMAGE });
                [number, offset, len].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
                bytes.extend(digest);
                id
            }
            Found::Skipped { number, reason } => {
                bytes.push(SKIPPED);
                bytes.extend(number.to_le_bytes());
                reason
            }
        };
        let n_bytes = u32::try_from(text.len()).expect("ids and reasons are shorter than a header of a file");
        bytes.extend(n_bytes.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The index in these bytes, of the file with this place among all; `None` if they are none, or if an image would lie
/// outside of a file of `n_bytes` bytes. Where images are rows of a table, only their lengths are bounded.
pub(super) fn of_bytes(mut bytes: &[u8], file: u32, n_bytes: Option<u64>) -> Option<Vec<Found>> {
    let mut all = Vec::new();
    let bytes = &mut bytes;
    while let Some((kind, rest)) = bytes.split_first() {
        *bytes = rest;
        let number = u64::from_le_bytes(*take(bytes)?);
        all.push(match *kind {
            SKIPPED => Found::Skipped { number, reason: text(bytes)? },
            IMAGE | BASE64 => {
                let [offset, len] = [take(bytes)?, take(bytes)?].map(|number| u64::from_le_bytes(*number));
                let (digest, is_base64) = (*take(bytes)?, *kind == BASE64);
                let is_inside = n_bytes.is_none_or(|n_bytes| offset.checked_add(len).is_some_and(|end| end <= n_bytes));
                let id = text(bytes)?;
                if len > MAX_FILE_BYTES || !is_inside || must_be_a_line(&id).is_err() {
                    return None;
                }
                Found::Row(ImageRow { id, file, number, offset, len, digest, is_base64 })
            }
            _ => return None,
        });
    }
    Some(all)
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let n_bytes = u32::from_le_bytes(*take(bytes)?) as usize;
    let (text, rest) = bytes.split_at_checked(n_bytes)?;
    *bytes = rest;
    Some(str::from_utf8(text).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back_as_it_was_and_a_cut_one_is_none() {
        let row = |id: &str, is_base64| {
            let (file, number, offset, len, digest) = (3, 7, 512, 1 << 20, [9; 32]);
            Found::Row(ImageRow { id: id.into(), file, number, offset, len, digest, is_base64 })
        };
        let all = [row("红/4", false), Found::Skipped { number: 8, reason: "it is a FIFO".into() }, row("5", true)];
        let bytes = to_bytes(&all);
        assert_eq!(of_bytes(&bytes, 3, Some(512 + (1 << 20))).unwrap(), all);
        assert_eq!(of_bytes(&bytes, 3, None).unwrap(), all);
        assert_eq!(of_bytes(&bytes, 3, Some(511 + (1 << 20))), None, "behind the end of the file");
        assert_eq!(of_bytes(&[], 0, None), Some(Vec::new()));
        let ends: Vec<usize> = (1..=all.len()).map(|n| to_bytes(&all[..n]).len()).collect();
        for n_bytes in 1..bytes.len() {
            assert_eq!(of_bytes(&bytes[..n_bytes], 3, None).is_some(), ends.contains(&n_bytes), "{n_bytes}");
        }
        assert_eq!(of_bytes(&[5; 13], 0, None), None);
    }
}

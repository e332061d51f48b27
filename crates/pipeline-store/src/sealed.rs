//! JSON documents that contain the digest of their own text, so that damage is always detected.
//!
//! `{"blake3":"<64 digits>","content":<JSON>}`: still plain JSON for `jq`.

use std::path::{Path, PathBuf};

use pipeline_core::Digest;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use crate::durable::read_if_there;

const BEFORE_DIGEST: &str = "{\"blake3\":\"";
const BEFORE_CONTENT: &str = "\",\"content\":";
const AFTER_CONTENT: &str = "}\n";

/// Returns the sealed document of `value`.
pub(crate) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let content = serde_json::to_string(value).expect("the store's types have string keys and serialize without fail");
    let digest = Digest::of(content.as_bytes());
    format!("{BEFORE_DIGEST}{digest}{BEFORE_CONTENT}{content}{AFTER_CONTENT}").into_bytes()
}

/// Reads a sealed document; `None` when it is damaged or of another shape.
pub(crate) fn unseal<T: DeserializeOwned>(document: &[u8]) -> Option<T> {
    let document = document.strip_prefix(BEFORE_DIGEST.as_bytes())?;
    let (digest, document) = document.split_at_checked(64)?;
    let content = document.strip_prefix(BEFORE_CONTENT.as_bytes())?.strip_suffix(AFTER_CONTENT.as_bytes())?;
    let intact = Digest::of(content).hex().as_bytes() == digest;
    if intact { serde_json::from_slice(content).ok() } else { None }
}

/// Reads the sealed document at `path`; `None` when it is missing, unreadable or damaged.
pub(crate) fn read_sealed<T: DeserializeOwned>(path: &Path) -> Option<T> {
    unseal(&read_if_there(path).ok()??)
}

/// Serializes a path as text: JSON holds UTF-8 only, so a path in another encoding is readable but cannot be opened.
pub(crate) fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Serializes paths as texts, as [`path_as_text`] does.
pub(crate) fn paths_as_texts<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_document_is_noticed() {
        let document = seal(&vec![1.5, 2.0]);
        assert_eq!(unseal::<Vec<f64>>(&document), Some(vec![1.5, 2.0]));
        assert!(serde_json::from_slice::<serde_json::Value>(&document).is_ok());
        for bit_idx in 0..document.len() * 8 {
            let mut damaged = document.clone();
            damaged[bit_idx / 8] ^= 1 << (bit_idx % 8);
            assert_eq!(unseal::<Vec<f64>>(&damaged), None, "bit {bit_idx}");
        }
        assert_eq!(unseal::<Vec<f64>>(b""), None);
    }
}

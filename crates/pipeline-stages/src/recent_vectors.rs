//! The vectors that a stage computed last, by the digest of what they are of.

use std::collections::{HashMap, VecDeque};

use pipeline_core::Digest;

/// What an entry takes beside its vector: its digest twice.
const ENTRY_BYTES: usize = 64;

/// Vectors by content, the oldest forgotten first.
pub(crate) struct RecentVectors {
    vectors: HashMap<Digest, Vec<f32>>,
    /// The keys of `vectors` in the order in which they came.
    order: VecDeque<Digest>,
    bytes: usize,
    max_bytes: usize,
}

impl RecentVectors {
    /// Keeps at most `max_bytes` of vectors and digests; with zero, nothing.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { vectors: HashMap::new(), order: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// The vector of `content`, unless it is forgotten.
    pub(crate) fn get(&self, content: &Digest) -> Option<&[f32]> {
        self.vectors.get(content).map(Vec::as_slice)
    }

    /// Remembers a vector; one that is known already stays as it is.
    pub(crate) fn insert(&mut self, content: Digest, vector: &[f32]) {
        if size_of_val(vector) + ENTRY_BYTES > self.max_bytes || self.vectors.contains_key(&content) {
            return;
        }
        self.vectors.insert(content, vector.to_vec());
        self.order.push_back(content);
        self.bytes += size_of_val(vector) + ENTRY_BYTES;
        while self.bytes > self.max_bytes {
            let oldest = self.order.pop_front().and_then(|content| self.vectors.remove(&content));
            let oldest = oldest.expect("what takes bytes is in both collections");
            self.bytes -= size_of_val(oldest.as_slice()) + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: u8) -> Digest {
        Digest::of(&[number])
    }

    #[test]
    fn the_oldest_vectors_make_room_for_new_ones() {
        let mut recent = RecentVectors::new(3 * (ENTRY_BYTES + 8));
        for number in [1, 2, 3, 1, 4] {
            recent.insert(content(number), &[f32::from(number), 0.5]);
        }
        assert_eq!(recent.get(&content(1)), None);
        for number in [2, 3, 4] {
            assert_eq!(recent.get(&content(number)), Some(&[f32::from(number), 0.5][..]));
        }
        assert!(recent.bytes <= recent.max_bytes);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut recent = RecentVectors::new(0);
        recent.insert(content(1), &[1.0]);
        assert_eq!((recent.get(&content(1)), recent.order.len()), (None, 0));
    }
}

//! The most recent vectors of a stage, by the digest of their content.

use std::collections::{HashMap, VecDeque};

use pipeline_core::Digest;

/// The bytes of an entry beside its vector: its digest twice.
const ENTRY_BYTES: usize = 64;

/// Vectors by content; evicts the oldest first.
pub(crate) struct RecentVectors {
    vectors: HashMap<Digest, Vec<f32>>,
    /// The keys of `vectors` in the order of insertion.
    order: VecDeque<Digest>,
    bytes: usize,
    max_bytes: usize,
}

impl RecentVectors {
    /// Keeps at most `max_bytes` of vectors and digests; with zero, nothing.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { vectors: HashMap::new(), order: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// The vector of `content`, unless it was evicted.
    pub(crate) fn get(&self, content: &Digest) -> Option<&[f32]> {
        self.vectors.get(content).map(Vec::as_slice)
    }

    /// Adds a vector; an existing one stays unchanged.
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

//! Keeps the best of a stream of scored rows.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// An image row and its score. The greater one ranks first: higher score, then lower row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) row: usize,
    /// Never NaN.
    pub(super) score: f32,
}

impl Eq for Hit {}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.partial_cmp(&other.score).expect("a score that is not a number is never a hit");
        by_score.then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best `top_k` of the hits pushed so far.
pub(super) struct Top {
    top_k: usize,
    /// A heap with the worst on top.
    hits: BinaryHeap<Reverse<Hit>>,
}

impl Top {
    pub(super) fn new(top_k: usize) -> Self {
        Self { top_k, hits: BinaryHeap::with_capacity(top_k) }
    }

    /// The score that a candidate must exceed; `None` as long as there are fewer than `top_k`.
    pub(super) fn least(&self) -> Option<f32> {
        if self.top_k == 0 {
            return Some(f32::INFINITY);
        }
        (self.hits.len() == self.top_k).then(|| self.hits.peek().map(|worst| worst.0.score)).flatten()
    }

    pub(super) fn push(&mut self, hit: Hit) {
        if self.hits.len() < self.top_k {
            self.hits.push(Reverse(hit));
        } else if let Some(mut worst) = self.hits.peek_mut()
            && hit > worst.0
        {
            *worst = Reverse(hit);
        }
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Hit> {
        self.hits.into_sorted_vec().into_iter().map(|Reverse(hit)| hit).collect()
    }
}

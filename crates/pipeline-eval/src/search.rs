//! The state of one query's search while its scores stream by.

use super::Ranking;
use super::top::{Hit, Top};

/// Scores that are compared as a whole before any is compared by itself.
const RUN: usize = 64;

/// The best images so far, and the number of images ahead of each relevant one.
pub(super) struct Search {
    top: Top,
    /// The relevant images, the best first.
    relevant: Vec<Hit>,
    /// For each of them, the number of images seen so far that rank ahead of it.
    n_before: Vec<usize>,
}

impl Search {
    pub(super) fn new(top_k: usize) -> Self {
        Self { top: Top::new(top_k), relevant: Vec::new(), n_before: Vec::new() }
    }

    /// Sets the relevant images with their scores, before any score is seen.
    pub(super) fn look_for(&mut self, relevant: &[(usize, f32)]) {
        let hits = relevant.iter().filter(|(_, score)| !score.is_nan()).map(|&(row, score)| Hit { row, score });
        self.relevant = hits.collect();
        self.relevant.sort_unstable_by(|a, b| b.cmp(a));
        self.relevant.dedup();
        self.n_before = vec![0; self.relevant.len()];
    }

    /// Takes the scores of the images from `first_row` on; rows must ascend from call to call.
    #[inline(always)]
    pub(super) fn see(&mut self, scores: &[f32], first_row: usize) {
        for (hit, n_before) in self.relevant.iter().zip(&mut self.n_before) {
            // Among equal scores the lower row comes first.
            let (before, after) = scores.split_at(hit.row.saturating_sub(first_row).min(scores.len()));
            *n_before += count(before, |score| score >= hit.score) + count(after, |score| score > hit.score);
        }
        for (run_idx, run) in scores.chunks(RUN).enumerate() {
            // An image of equal score ranks behind those seen before, so only a higher score matters; NaN is never
            // higher.
            let matters = match self.top.least() {
                Some(least) => run.iter().fold(false, |any, &score| any | (score > least)),
                None => true,
            };
            if matters {
                self.push(run, first_row + run_idx * RUN);
            }
        }
    }

    /// The relevant images that are ranked, the best first.
    pub(super) fn relevant(&self) -> &[Hit] {
        &self.relevant
    }

    /// Takes what was counted and found among images that this search has not seen.
    pub(super) fn add(&mut self, n_before: &[u32], hits: impl Iterator<Item = Hit>) {
        self.n_before.iter_mut().zip(n_before).for_each(|(sum, n_before)| *sum += *n_before as usize);
        hits.for_each(|hit| self.top.push(hit));
    }

    #[inline(never)]
    fn push(&mut self, scores: &[f32], first_row: usize) {
        for (idx, &score) in scores.iter().enumerate().filter(|(_, score)| !score.is_nan()) {
            self.top.push(Hit { row: first_row + idx, score });
        }
    }

    pub(super) fn into_ranking(self) -> Ranking {
        Ranking {
            top: self.top.into_sorted().into_iter().map(|hit| (hit.row, hit.score)).collect(),
            relevant_ranks: self.n_before.into_iter().map(|n_before| n_before + 1).collect(),
        }
    }
}

#[inline(always)]
fn count(scores: &[f32], is_before: impl Fn(f32) -> bool) -> usize {
    let mut n_before = 0;
    // Counts in 32 bits, as wide as a score, so that the loop vectorises; no run is longer.
    for run in scores.chunks(1 << 16) {
        n_before += run.iter().map(|&score| u32::from(is_before(score))).sum::<u32>() as usize;
    }
    n_before
}

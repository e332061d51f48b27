//! The figures of sequences of outages.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The figures of sequences.
#[derive(Default)]
pub struct Figures {
    pub n_runs: u64,
    pub n_off: u64,
    pub n_damaged: u64,
    pub n_kills: u64,
    pub n_losses: u64,
    pub n_collections: u64,
    pub longest: Duration,
    /// Runs while each fault was set.
    pub n_by_fault: BTreeMap<String, u64>,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.n_runs += other.n_runs;
        self.n_off += other.n_off;
        self.n_damaged += other.n_damaged;
        self.n_kills += other.n_kills;
        self.n_losses += other.n_losses;
        self.n_collections += other.n_collections;
        self.longest = self.longest.max(other.longest);
        other.n_by_fault.iter().for_each(|(fault, n)| *self.n_by_fault.entry(fault.clone()).or_default() += n);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} runs, the longest {:.1} s, {} kills, {} lost or spoiled files, {} collections, the remote off in {} \
             runs, wrong bytes caught in {}; runs by fault {:?}",
            self.n_runs,
            self.longest.as_secs_f64(),
            self.n_kills,
            self.n_losses,
            self.n_collections,
            self.n_off,
            self.n_damaged,
            self.n_by_fault,
        )
    }
}

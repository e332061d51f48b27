//! The origin of a result: stored beside it, never hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_core::{Arithmetic, Device, Numerics, Stage, StageId};
use pipeline_store::{Machine, Provenance};

use crate::options::RunOptions;

/// The common provenance of all results of one run.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub device: Device,
    pub arithmetic: Arithmetic,
    pub instruction_set: String,
    pub version: String,
}

impl Origin {
    /// The origin from the options of a run.
    pub fn of(options: &RunOptions) -> Self {
        Self {
            device: options.plan.device,
            arithmetic: options.plan.arithmetic,
            instruction_set: options.origin.instruction_set.clone(),
            version: options.origin.version.clone(),
        }
    }

    /// The class of a stage's arithmetic.
    pub fn class(&self, stage: &dyn Stage) -> Numerics {
        self.arithmetic.class(stage.needs(), self.device)
    }

    /// The provenance of a result that `stage` commits now; these classes of arithmetic and machines have computed it.
    pub fn provenance(&self, stage: &StageId, numerics: Vec<Numerics>, mut machines: Machines) -> Provenance {
        let host = pipeline_store::host_name().to_owned();
        let cards = machines.0.remove(&host).unwrap_or_default().into_iter().collect();
        Provenance {
            at_ms: now_ms(),
            host,
            pid: std::process::id(),
            stage: stage.clone(),
            device: self.device,
            cards,
            others: machines.list().collect(),
            instruction_set: self.instruction_set.clone(),
            numerics,
            version: self.version.clone(),
            adopted_from: None,
        }
    }
}

/// The machines that computed a result, and the cards of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machines(BTreeMap<String, BTreeSet<u16>>);

impl Machines {
    /// This machine, on this card if on any.
    pub fn here(card: Option<u16>) -> Self {
        let mut machines = Self::default();
        machines.add(here(card));
        machines
    }

    /// Those of a result that is stored.
    pub fn of(provenance: &Provenance) -> Self {
        let mut machines = Self::default();
        machines.add(of_record(provenance));
        provenance.others.iter().cloned().for_each(|machine| machines.add(machine));
        machines
    }

    /// Adds a machine, or cards of one.
    pub fn add(&mut self, Machine { host, cards }: Machine) {
        self.0.entry(host).or_default().extend(cards);
    }

    fn list(self) -> impl Iterator<Item = Machine> {
        self.0.into_iter().map(|(host, cards)| Machine { host, cards: cards.into_iter().collect() })
    }
}

/// This machine, on this card if on any.
pub(crate) fn here(card: Option<u16>) -> Machine {
    Machine { host: pipeline_store::host_name().to_owned(), cards: card.into_iter().collect() }
}

/// The machine that stored a result.
pub(crate) fn of_record(Provenance { host, cards, .. }: &Provenance) -> Machine {
    Machine { host: host.clone(), cards: cards.clone() }
}

/// Milliseconds since 1970-01-01 UTC; 0 if the clock is before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

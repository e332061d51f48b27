//! The memory of a GPU that trainings are about to take, so that those of one process share what is left of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::Gpu;

/// The bytes that a GPU has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Its driver says how many are free now.
    Free(u64),
    /// Its driver does not say it: so many for all trainings together.
    AtMost(u64),
}

/// Bytes of a GPU that a training is about to take, and that no other one plans with.
#[derive(Debug)]
pub(super) struct Planned {
    gpu: Gpu,
    n_bytes: u64,
    /// Whether the driver counts them once they are taken.
    is_counted: bool,
}

impl Planned {
    /// Plans to take `n_bytes`, if there is room for them: half of what is free and not planned, so that whatever comes
    /// later has room, too. `look` says how much there is; nothing else is planned meanwhile.
    pub(super) fn new(gpu: Gpu, n_bytes: u64, look: impl FnOnce() -> Room) -> Option<Self> {
        let mut planned = planned();
        let of_all = planned.entry(gpu).or_default();
        let (most, is_counted) = match look() {
            Room::Free(n_free) => (n_free.saturating_sub(*of_all) / 2, true),
            Room::AtMost(most) => (most.saturating_sub(*of_all), false),
        };
        if n_bytes > most {
            return None;
        }
        *of_all += n_bytes;
        Some(Self { gpu, n_bytes, is_counted })
    }

    /// Says that they are taken: from now on the driver counts them, if it counts at all.
    pub(super) fn settle(&mut self) {
        if self.is_counted {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        let mut planned = planned();
        let of_all = planned.entry(self.gpu).or_default();
        *of_all -= std::mem::take(&mut self.n_bytes);
    }
}

impl Drop for Planned {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The bytes that are planned on each GPU.
fn planned() -> MutexGuard<'static, BTreeMap<Gpu, u64>> {
    static PLANNED: Mutex<BTreeMap<Gpu, u64>> = Mutex::new(BTreeMap::new());
    PLANNED.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Interface;

    #[test]
    fn trainings_that_begin_at_once_share_what_is_free() {
        let gpu = Gpu { interface: Interface::Cuda, number: Some(40) };
        let plan = |n_bytes, n_free| Planned::new(gpu, n_bytes, || Room::Free(n_free));
        let mut first = plan(40, 100).unwrap();
        assert!(plan(40, 100).is_none(), "of 100 bytes 40 are planned, and half of the rest are 30");
        let second = plan(30, 100).unwrap();
        let other = Gpu { number: Some(41), ..gpu };
        assert!(Planned::new(other, 40, || Room::Free(100)).is_some(), "another card has room");
        first.settle();
        // The driver counts those of the first now.
        assert!(plan(16, 60).is_none());
        assert!(plan(15, 60).is_some());
        drop(second);
        assert!(plan(30, 60).is_some());
        drop(first);
        assert!(plan(50, 100).is_some(), "nothing is planned any more");
    }

    #[test]
    fn where_the_driver_counts_nothing_a_training_keeps_its_plan() {
        let gpu = Gpu { interface: Interface::Wgpu, number: Some(40) };
        let plan = |n_bytes| Planned::new(gpu, n_bytes, || Room::AtMost(100));
        let mut first = plan(60).unwrap();
        first.settle();
        assert!(plan(41).is_none());
        assert!(plan(40).is_some());
        drop(first);
        assert!(plan(100).is_some());
    }
}

//! Where the stages of a run work: each in one lane, as its spec asks or as its kind needs.

use pipeline_core::{Device, Lane, Needs, Threads};

/// What a stage occupies while it works in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occupancy {
    pub lane: Lane,
    /// True for a stage of the lane `cpu` that keeps all threads busy: only one such stage works at a time.
    pub fills_threads: bool,
    /// True for a stage that computes on a card, or lies in the lane of those that do: it holds one.
    pub holds_card: bool,
}

impl Occupancy {
    /// That of a stage in a run whose tensors live on `device`; `lane` is the one that the spec asks for.
    pub fn new(needs: Needs, lane: Option<Lane>, device: Device) -> Self {
        let lane = lane.unwrap_or_else(|| needs.lane_on(device));
        let fills_threads = lane == Lane::Cpu && needs.threads == Threads::All;
        let holds_card = device != Device::Cpu && (needs.device || lane == Lane::Gpu);
        Self { lane, fills_threads, holds_card }
    }
}

/// A value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerLane<T> {
    /// The value of [`Lane::Cpu`].
    pub cpu: T,
    /// The value of [`Lane::Gpu`].
    pub gpu: T,
}

impl<T> PerLane<T> {
    /// The value of a lane.
    pub fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Cpu => &self.cpu,
            Lane::Gpu => &self.gpu,
        }
    }

    /// The value of a lane, to be changed.
    pub fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Cpu => &mut self.cpu,
            Lane::Gpu => &mut self.gpu,
        }
    }

    /// Another value for each lane.
    pub fn map<U>(self, change: impl Fn(T) -> U) -> PerLane<U> {
        PerLane { cpu: change(self.cpu), gpu: change(self.gpu) }
    }

    /// A value for each lane from two.
    pub fn with<U, V>(self, other: PerLane<U>, join: impl Fn(T, U) -> V) -> PerLane<V> {
        PerLane { cpu: join(self.cpu, other.cpu), gpu: join(self.gpu, other.gpu) }
    }
}

impl PerLane<usize> {
    /// The sum over all lanes.
    pub fn sum(self) -> usize {
        self.cpu + self.gpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_works_where_its_spec_asks_or_else_where_its_kind_needs() {
        let encoder = Needs { device: true, threads: Threads::All };
        let decoder = Needs { threads: Threads::All, ..Needs::default() };
        let training = Needs { device: true, ..Needs::default() };
        let occupancy = |lane, fills_threads, holds_card| Occupancy { lane, fills_threads, holds_card };
        for (needs, asked, device, expected) in [
            (encoder, None, Device::Cpu, occupancy(Lane::Cpu, true, false)),
            (encoder, None, Device::Cuda, occupancy(Lane::Gpu, false, true)),
            (encoder, Some(Lane::Cpu), Device::Cuda, occupancy(Lane::Cpu, true, true)),
            (encoder, Some(Lane::Gpu), Device::Cpu, occupancy(Lane::Gpu, false, false)),
            (decoder, None, Device::Cuda, occupancy(Lane::Cpu, true, false)),
            (training, None, Device::Cpu, occupancy(Lane::Cpu, false, false)),
            (training, None, Device::Cuda, occupancy(Lane::Gpu, false, true)),
            (Needs::default(), None, Device::Cuda, occupancy(Lane::Cpu, false, false)),
            (Needs::default(), Some(Lane::Gpu), Device::Cuda, occupancy(Lane::Gpu, false, true)),
        ] {
            assert_eq!(Occupancy::new(needs, asked, device), expected, "{needs:?} {asked:?} {device:?}");
        }
    }
}

//! The needs of a stage while it works, and the lanes that a run has for them.

use serde::{Deserialize, Serialize};

/// The device of tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The processor; the default.
    #[default]
    Cpu,
    /// CUDA devices.
    Cuda,
    /// Devices of Vulkan or Metal.
    Wgpu,
}

impl Device {
    /// The name, as arguments, JSON and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// The name with the numbers of cards, such as `cuda:0,1`; the name alone where no card has a number.
    pub fn with_cards(self, cards: &[u16]) -> String {
        let numbers: Vec<String> = cards.iter().map(u16::to_string).collect();
        if numbers.is_empty() { self.name().to_owned() } else { format!("{}:{}", self.name(), numbers.join(",")) }
    }
}

/// A lane of a run: a limited number of its stages work at once.
///
/// Specs name lanes by the key `pool` of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lane {
    /// The processor; the default.
    #[default]
    Cpu,
    /// The accelerator, whose memory few stages can share.
    Gpu,
}

/// The share of a run's threads that a stage needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Threads {
    /// Its share, beside other stages; the default.
    #[default]
    Share,
    /// All of them, and much memory, as an encoder does: in [`Lane::Cpu`] only one such stage works at a time, whatever
    /// the number of jobs.
    All,
}

/// The needs of a stage while it works: with the device of the run they say where it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// True for work that is done where tensors live: unless that is the processor, in [`Lane::Gpu`].
    pub device: bool,
    /// The threads that it keeps busy.
    pub threads: Threads,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];

    /// The name in specs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl Needs {
    /// The lane of a stage with these needs in a run whose tensors live on `device`.
    pub fn lane_on(self, device: Device) -> Lane {
        if self.device && device != Device::Cpu { Lane::Gpu } else { Lane::Cpu }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_with_the_numbers_of_its_cards() {
        assert_eq!(Device::Cuda.with_cards(&[0, 2]), "cuda:0,2");
        assert_eq!(Device::Wgpu.with_cards(&[]), "wgpu");
    }
}

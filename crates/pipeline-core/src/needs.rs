//! The needs of a stage while it works, and the lanes that a run has for them.

use serde::{Deserialize, Serialize};

/// The device of tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The processor; the default.
    #[default]
    Cpu,
    /// The first CUDA device.
    Cuda,
    /// The first device of Vulkan or Metal.
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

//! Where tensors live, and whether that place can be used.

use std::fmt;
use std::path::PathBuf;

use crate::gpu;

pub use crate::gpu::{Card, DeviceError, Fault, Toolkit};

/// Where tensors live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU.
    Gpu(Gpu),
}

/// A GPU of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gpu {
    /// The interface to it.
    pub interface: Interface,
    /// Its number among those of the interface, from 0; `None` for the first of CUDA, and for the one that Vulkan or
    /// Metal prefers.
    pub number: Option<u16>,
}

/// As `--device` has it, such as `cuda:1`.
impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.interface.name())?;
        self.number.map_or(Ok(()), |number| write!(f, ":{number}"))
    }
}

/// The interface to a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// CUDA.
    Cuda,
    /// Vulkan or Metal.
    Wgpu,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cuda, Self::Wgpu];

    /// The name, as `--device` and the features of the build have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }
}

/// The rounding of factors that products of matrices and convolutions may take for speed; their sums are in single
/// precision, and so is everything else.
///
/// It is an allowance, as `allow_tf32` of PyTorch: the processor rounds no factor, and neither does a card without such
/// units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// None: single precision, 24 bits of each factor.
    #[default]
    F32,
    /// To 11 bits, the range of single precision: `tf32` of tensor cores.
    Tf32,
    /// To 8 bits, the range of single precision: `bfloat16`.
    Bf16,
}

impl Precision {
    /// Its name in specs and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Says whether `device` can be used, before any work and without a panic of the framework.
///
/// # Errors
/// For a GPU: when the program was built without its interface, when the driver or the device is missing, or when a
/// small kernel fails there; for CUDA also those of [`cards`].
pub fn probe(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Gpu(gpu) => gpu::probe(gpu),
    }
}

/// The cards of [`Interface::Cuda`] with these numbers, or all of them. Each has compiled and run one small kernel.
///
/// `kernels` names a folder for the kernels that are compiled, and perhaps were for the same sort of cards, compiler
/// and program. The first caller decides for the process.
///
/// # Errors
/// When the program was built without CUDA, when the driver, a card, free memory of it, the run-time compiler or its
/// headers are missing, or when the kernel fails.
pub fn cards(
    numbers: Option<&[u16]>,
    kernels: impl FnOnce(&[Card]) -> Option<PathBuf>,
) -> Result<Vec<Card>, DeviceError> {
    gpu::cards(numbers, kernels)
}

/// The names of all cards of [`Interface::Cuda`], by their numbers; nothing is tried.
///
/// # Errors
/// When the program was built without CUDA, or the driver or a card is missing.
pub fn card_names() -> Result<Vec<String>, DeviceError> {
    gpu::card_names()
}

/// Why this process can no longer use a device that failed at work, such as after an error that CUDA never takes back;
/// `None` while it can, and for interfaces that do not say it. Waits for all work of this process there.
pub fn lost(device: Device) -> Option<DeviceError> {
    match device {
        Device::Cpu => None,
        Device::Gpu(gpu) => gpu::lost(gpu),
    }
}

/// Whether the program was built with the interface to GPUs.
pub fn is_built_in(interface: Interface) -> bool {
    gpu::is_built_in(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(probe(Device::Cpu), Ok(()));
    }
}

//! Where tensors live, and whether that place can be used.

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

/// The interface to a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpu {
    /// The first device of CUDA.
    Cuda,
    /// The first device of Vulkan or Metal.
    Wgpu,
}

impl Gpu {
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
/// For a GPU: when the program was built without its interface, when the driver or a device is missing, or when a small
/// kernel fails there; for CUDA also those of [`card`].
pub fn probe(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Gpu(gpu) => gpu::probe(gpu),
    }
}

/// The card of [`Gpu::Cuda`]. It has compiled and run one small kernel.
///
/// `kernels` names a folder for the kernels that are compiled, and perhaps were for the same card, compiler and program.
/// The first caller decides for the process.
///
/// # Errors
/// When the program was built without CUDA, when the driver, a card, free memory of it, the run-time compiler or its
/// headers are missing, or when the kernel fails.
pub fn card(kernels: impl FnOnce(&Card) -> Option<PathBuf>) -> Result<Card, DeviceError> {
    gpu::card(kernels)
}

/// Whether the program was built with the interface to a GPU.
pub fn is_built_in(gpu: Gpu) -> bool {
    gpu::is_built_in(gpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(probe(Device::Cpu), Ok(()));
    }
}

//! Where tensors live, and whether that place can be used.

use crate::gpu;

pub use crate::gpu::DeviceError;

/// Where tensors live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first CUDA device.
    Cuda,
}

/// Says whether `device` can be used, before any work and without a panic of the framework.
///
/// # Errors
/// For [`Device::Cuda`]: when the program was built without it, or when the driver, a device, the run-time compiler
/// or the toolkit's folder is missing.
pub fn probe(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda => gpu::probe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(probe(Device::Cpu), Ok(()));
    }
}

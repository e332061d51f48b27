//! Where tensors live, and whether that place can be used.

use std::path::PathBuf;

/// Where tensors live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first CUDA device.
    Cuda,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without CUDA.
    #[error("this program was built without CUDA; build it with `cargo build --release --features cuda`")]
    NotBuilt,
    /// A library that CUDA needs cannot be loaded.
    #[error("no {what}: none of {} can be loaded", quoted(.names))]
    MissingLibrary {
        /// What the library is.
        what: &'static str,
        /// The names that were tried.
        names: Vec<&'static str>,
    },
    /// The driver's library lacks a function.
    #[error("the CUDA driver library has no `{function}`")]
    MissingFunction {
        /// The function.
        function: &'static str,
    },
    /// The driver refuses to work.
    #[error("`{function}` of the CUDA driver failed with code {code}")]
    Driver {
        /// The function that failed.
        function: &'static str,
        /// Its return code, a `CUresult`.
        code: i32,
    },
    /// The driver works and sees no device.
    #[error("the CUDA driver sees no device")]
    NoDevice,
    /// Kernels are compiled at run time, which needs the toolkit's headers.
    #[error("no CUDA toolkit folder: looked for {}; `CUDA_PATH` may name another", quoted(.looked_in))]
    NoToolkit {
        /// The folders that were looked for.
        looked_in: Vec<PathBuf>,
    },
}

/// Says whether `device` can be used, before any work and without a panic of the framework.
///
/// # Errors
/// For [`Device::Cuda`]: when the program was built without it, or when the driver, a device, the run-time compiler
/// or the toolkit's folder is missing.
pub fn probe(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda => crate::gpu::probe::probe(),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Err(DeviceError::NotBuilt),
    }
}

fn quoted(names: &[impl AsRef<std::path::Path>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref().display())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(probe(Device::Cpu), Ok(()));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_cuda_says_how_to_build_it() {
        let error = probe(Device::Cuda).unwrap_err();
        assert!(error.to_string().contains("cargo build --release --features cuda"), "{error}");
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = DeviceError::MissingLibrary { what: "NVRTC library", names: vec!["a.so", "b.so"] };
        assert_eq!(error.to_string(), "no NVRTC library: none of `a.so`, `b.so` can be loaded");
    }
}

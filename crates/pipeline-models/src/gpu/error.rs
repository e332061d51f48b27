//! The reasons why a device cannot be used.

use std::path::{Path, PathBuf};

use crate::device::Gpu;

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without the interface to a GPU.
    #[error("this program was built without `--device {}`", .gpu.name())]
    NotBuilt {
        /// The interface.
        gpu: Gpu,
    },
    /// Neither Vulkan nor Metal has a device.
    #[error("no device of Vulkan or Metal: no driver is installed, or it finds no GPU")]
    NoAdapter,
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

impl DeviceError {
    /// Advice for people who have the program and perhaps not its source.
    pub fn help(&self) -> String {
        const PROCESSOR: &str = "`--device cpu` needs none of this";
        match self {
            Self::NotBuilt { gpu } => {
                let (name, place) = match gpu {
                    Gpu::Cuda => ("cuda", " on a machine with its toolkit"),
                    Gpu::Wgpu => ("wgpu", ""),
                };
                format!(
                    "the programs of releases and wheels are built without it; build one with it{place}:\n\
                     `cargo install --git URL pipeline-cli --locked --features {name}`, or in a clone of the source\n\
                     `cargo build --release --features {name}`; {PROCESSOR}"
                )
            }
            Self::NoAdapter => format!("Debian's package for most GPUs is `mesa-vulkan-drivers`; {PROCESSOR}"),
            _ => PROCESSOR.to_owned(),
        }
    }
}

fn quoted(names: &[impl AsRef<Path>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref().display())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let error = DeviceError::MissingLibrary { what: "NVRTC library", names: vec!["a.so", "b.so"] };
        assert_eq!(error.to_string(), "no NVRTC library: none of `a.so`, `b.so` can be loaded");
    }
}

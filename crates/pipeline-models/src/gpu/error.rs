//! The reasons why a device cannot be used, or no longer.

use std::path::{Path, PathBuf};

use crate::device::Gpu;

/// What went wrong on a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An allocation failed.
    #[error("its memory is full")]
    MemoryIsFull,
    /// The run-time compiler refuses a kernel.
    #[error("its compiler refuses a kernel: {line}")]
    Compiler {
        /// The first line of its complaint.
        line: String,
    },
    /// The driver reports an error.
    #[error("its driver reports {code}")]
    Driver {
        /// The name of the `CUresult`.
        code: String,
    },
    /// The framework gives up for another reason.
    #[error("{line}")]
    Other {
        /// The first line of its message.
        line: String,
    },
}

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
    /// The card has too little memory that is free.
    #[error(
        "the CUDA device `{name}` has {} of its {} MiB of memory free, and needs {}",
        .free >> 20, .total >> 20, .least >> 20
    )]
    TooSmall {
        /// The name of the card.
        name: String,
        /// Its free memory in bytes.
        free: usize,
        /// Its memory in bytes.
        total: usize,
        /// What must be free, in bytes.
        least: usize,
    },
    /// Kernels are compiled at run time, which needs NVIDIA's compiler.
    #[error("no CUDA run-time compiler (`libnvrtc.so`): it is not in the loader's path, nor in {}", quoted(.looked_in))]
    NoCompiler {
        /// The folders below which it was looked for.
        looked_in: Vec<PathBuf>,
    },
    /// Kernels are compiled at run time, which needs the toolkit's headers.
    #[error("no CUDA headers: none of {} has `include/cuda_runtime.h` and `include/crt/mma.h`", quoted(.looked_in))]
    NoHeaders {
        /// The folders that were looked for.
        looked_in: Vec<PathBuf>,
    },
    /// One small kernel does not compile, or does not run.
    #[error("a small kernel fails on the GPU: {0}")]
    Trial(Fault),
    /// The device failed at work.
    #[error("the GPU failed: {0}")]
    Failed(Fault),
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
            Self::NoCompiler { .. } | Self::NoHeaders { .. } => format!(
                "install the CUDA toolkit and name its folder by `CUDA_PATH`, or in the Python in use\n\
                 `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt`; {PROCESSOR}"
            ),
            Self::TooSmall { .. } | Self::Failed(Fault::MemoryIsFull) | Self::Trial(Fault::MemoryIsFull) => {
                "`nvidia-smi` shows who else has memory of the card; fewer rows at once need less \
                 (`batch_rows` of encoders,\n`batch_size` of a training), and `--device cpu` needs none"
                    .to_owned()
            }
            Self::Trial(Fault::Compiler { .. }) | Self::Failed(Fault::Compiler { .. }) => format!(
                "the compiler, its headers and the card must fit each other: `pipeline doctor` shows which are used,\n\
                 and `CUDA_PATH` may name another toolkit; {PROCESSOR}"
            ),
            Self::Trial(_) | Self::Failed(_) => {
                "the tool of its driver (`nvidia-smi`) shows its state; finished shards are kept, so that the next\n\
                 run goes on, and `--device cpu` needs no card"
                    .to_owned()
            }
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
        let error = DeviceError::MissingLibrary { what: "driver library", names: vec!["a.so", "b.so"] };
        assert_eq!(error.to_string(), "no driver library: none of `a.so`, `b.so` can be loaded");
    }

    #[test]
    fn a_small_card_is_named_with_its_memory() {
        let error = DeviceError::TooSmall { name: "T".to_owned(), free: 50 << 20, total: 4 << 30, least: 512 << 20 };
        assert_eq!(error.to_string(), "the CUDA device `T` has 50 of its 4096 MiB of memory free, and needs 512");
        assert!(error.help().contains("nvidia-smi"));
    }
}

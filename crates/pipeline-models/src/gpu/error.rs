//! The reasons why a device cannot be used, or no longer.

use std::path::{Path, PathBuf};

use crate::device::{Gpu, Interface};

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
    #[error("this program was built without `--device {}`", .interface.name())]
    NotBuilt {
        /// The interface.
        interface: Interface,
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
    /// The interface shows fewer cards.
    #[error("there is no `{gpu}`: {}", shown(.gpu, .names))]
    NoSuchCard {
        /// The card that was asked for.
        gpu: Gpu,
        /// The names of those that are there, by their numbers.
        names: Vec<String>,
    },
    /// The card has too little memory that is free.
    #[error(
        "the CUDA device `{gpu}` ({name}) has {} of its {} MiB of memory free, and needs {}",
        .free >> 20, .total >> 20, .least >> 20
    )]
    TooSmall {
        /// The card.
        gpu: Gpu,
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
    #[error("a small kernel fails on the GPU `{gpu}`: {fault}")]
    Trial {
        /// The device.
        gpu: Gpu,
        /// What went wrong.
        fault: Fault,
    },
    /// The device failed for good: whatever this process asks of it fails.
    #[error("the GPU `{gpu}` is lost to this process: `{function}` of its driver failed with code {code}")]
    Lost {
        /// The device.
        gpu: Gpu,
        /// The function that failed.
        function: &'static str,
        /// Its return code, a `CUresult`.
        code: i32,
    },
    /// The device failed at work.
    #[error("the GPU `{gpu}` failed: {fault}")]
    Failed {
        /// The device.
        gpu: Gpu,
        /// What went wrong.
        fault: Fault,
    },
}

impl DeviceError {
    /// Advice for people who have the program and perhaps not its source.
    pub fn help(&self) -> String {
        const PROCESSOR: &str = "`--device cpu` needs none of this";
        match self {
            Self::NotBuilt { interface } => {
                let (name, place) = match interface {
                    Interface::Cuda => ("cuda", " on a machine with its toolkit"),
                    Interface::Wgpu => ("wgpu", ""),
                };
                format!(
                    "the programs of releases and wheels are built without it; build one with it{place}:\n\
                     `cargo install --git URL pipeline-cli --locked --features {name}`, or in a clone of the source\n\
                     `cargo build --release --features {name}`; {PROCESSOR}"
                )
            }
            Self::NoSuchCard { gpu, .. } => {
                let name = gpu.interface.name();
                let hidden = match gpu.interface {
                    Interface::Cuda => "; `CUDA_VISIBLE_DEVICES` hides cards",
                    Interface::Wgpu => "",
                };
                format!("numbers count from 0{hidden}; `--device {name}` names none")
            }
            Self::NoAdapter => format!("Debian's package for most GPUs is `mesa-vulkan-drivers`; {PROCESSOR}"),
            Self::NoCompiler { .. } | Self::NoHeaders { .. } => format!(
                "install the CUDA toolkit and name its folder by `CUDA_PATH`, or in the Python in use\n\
                 `pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt`; {PROCESSOR}"
            ),
            Self::TooSmall { gpu, .. }
            | Self::Failed { fault: Fault::MemoryIsFull, gpu }
            | Self::Trial { fault: Fault::MemoryIsFull, gpu } => {
                let others = match gpu.interface {
                    Interface::Cuda => {
                        "`nvidia-smi` shows who else has memory of the card, and `--device cuda:1` takes another; \
                        fewer rows\n"
                    }
                    Interface::Wgpu => {
                        "other programs may have memory of the GPU, and `--device wgpu:1` takes another; fewer rows\n"
                    }
                };
                format!(
                    "{others}at once need less (`batch_rows` of encoders, `batch_size` of a training), and `--device \
                     cpu` needs none"
                )
            }
            Self::Trial { fault: Fault::Compiler { .. }, .. } | Self::Failed { fault: Fault::Compiler { .. }, .. } => {
                format!(
                    "the compiler, its headers and the card must fit each other: `pipeline doctor` shows which are \
                    used,\n\
                 and `CUDA_PATH` may name another toolkit; {PROCESSOR}"
                )
            }
            Self::Trial { gpu, .. } | Self::Failed { gpu, .. } | Self::Lost { gpu, .. } => {
                let tool = match gpu.interface {
                    Interface::Cuda => "the tool of its driver (`nvidia-smi`) shows its state; ",
                    Interface::Wgpu => "",
                };
                format!(
                    "{tool}finished shards are kept, so that the next\nrun goes on, and `--device cpu` needs no card"
                )
            }
            _ => PROCESSOR.to_owned(),
        }
    }
}

/// The cards that are there, and who shows them.
fn shown(gpu: &Gpu, names: &[String]) -> String {
    let by = match gpu.interface {
        Interface::Cuda => "the CUDA driver",
        Interface::Wgpu => "Vulkan or Metal",
    };
    let numbered = |(number, name): (usize, &String)| format!("{number} is `{name}`");
    let list: Vec<String> = names.iter().enumerate().map(numbered).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{by} shows {} device{plural}: {}", names.len(), list.join(", "))
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
        let (gpu, name) = (Gpu { interface: Interface::Cuda, number: Some(1) }, "T".to_owned());
        let error = DeviceError::TooSmall { gpu, name, free: 50 << 20, total: 4 << 30, least: 512 << 20 };
        let expected = "the CUDA device `cuda:1` (T) has 50 of its 4096 MiB of memory free, and needs 512";
        assert_eq!(error.to_string(), expected);
        assert!(error.help().contains("nvidia-smi"));
    }

    #[test]
    fn advice_on_a_gpu_names_tools_of_its_interface_only() {
        for (interface, has_tool) in [(Interface::Cuda, true), (Interface::Wgpu, false)] {
            let gpu = Gpu { interface, number: None };
            for fault in [Fault::MemoryIsFull, Fault::Driver { code: "X".to_owned() }] {
                let help = DeviceError::Failed { gpu, fault }.help();
                assert_eq!(help.contains("nvidia-smi"), has_tool, "{help}");
            }
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_named_beside_those_that_are() {
        let absent = |interface, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            DeviceError::NoSuchCard { gpu: Gpu { interface, number: Some(2) }, names }
        };
        let of_two = absent(Interface::Cuda, &["H100", "T4"]);
        assert_eq!(of_two.to_string(), "there is no `cuda:2`: the CUDA driver shows 2 devices: 0 is `H100`, 1 is `T4`");
        assert!(of_two.help().contains("CUDA_VISIBLE_DEVICES"));
        let of_one = absent(Interface::Wgpu, &["discrete GPU"]);
        assert_eq!(of_one.to_string(), "there is no `wgpu:2`: Vulkan or Metal shows 1 device: 0 is `discrete GPU`");
        assert!(!of_one.help().contains("CUDA"));
    }
}

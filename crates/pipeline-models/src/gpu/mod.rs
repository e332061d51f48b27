//! The one door to burn, CUDA, Vulkan and Metal: every line that names one of them lies in this module.
//!
//! Plain slices pass the door, and traits that know no framework. A build without the feature `cuda` or `wgpu` has the
//! same functions, which say how to build it, so that no caller asks for a feature.

#[cfg(any(feature = "cuda", feature = "wgpu", test))]
mod backend;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
#[cfg(any(feature = "cuda", test))]
mod probe;
#[cfg(any(feature = "cuda", feature = "wgpu", test))]
mod room;
#[cfg(any(feature = "cuda", feature = "wgpu", test))]
mod watch;
#[cfg(feature = "wgpu")]
mod wgpu;

#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod heads;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod kernels;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod present;
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
#[path = "absent.rs"]
mod present;

mod card;
mod error;
#[cfg(test)]
pub(crate) mod reference;

use std::path::PathBuf;

use pipeline_eval::Searcher;

use crate::device::{Gpu, Interface};
pub use card::{Card, Toolkit};
pub use error::{DeviceError, Fault};
pub(crate) use present::{learner, load};

/// Says whether the program was built with the interface to GPUs.
pub(crate) fn is_built_in(interface: Interface) -> bool {
    match interface {
        Interface::Cuda => cfg!(feature = "cuda"),
        Interface::Wgpu => cfg!(feature = "wgpu"),
    }
}

/// Looks for all that a GPU needs.
///
/// # Errors
/// When something is missing, or the program was built without the interface to it.
pub(crate) fn probe(gpu: Gpu) -> Result<(), DeviceError> {
    match gpu.interface {
        Interface::Cuda => cuda::probe(gpu),
        #[cfg(feature = "wgpu")]
        Interface::Wgpu => wgpu::probe(gpu),
        #[cfg(not(feature = "wgpu"))]
        interface @ Interface::Wgpu => Err(DeviceError::NotBuilt { interface }),
    }
}

/// Cards of CUDA, each of which has computed something; `kernels` names a folder for their kernels.
///
/// # Errors
/// When something is missing, or the program was built without CUDA.
pub(crate) fn cards(
    numbers: Option<&[u16]>,
    kernels: impl FnOnce(&[Card]) -> Option<PathBuf>,
) -> Result<Vec<Card>, DeviceError> {
    cuda::open(numbers, kernels)
}

/// Why a GPU is lost to this process; `None` while it can be used, and where its interface does not say it.
pub(crate) fn lost(gpu: Gpu) -> Option<DeviceError> {
    match gpu.interface {
        Interface::Cuda => cuda::lost(gpu),
        Interface::Wgpu => None,
    }
}

/// The search of images on a GPU; `None` where the processor's is the only one with its bits.
///
/// # Errors
/// When the device fails.
pub(crate) fn searcher(gpu: Gpu) -> Result<Option<Box<dyn Searcher>>, DeviceError> {
    match gpu.interface {
        Interface::Cuda => cuda::searcher(gpu),
        Interface::Wgpu => Ok(None),
    }
}

/// The names of all cards of CUDA.
///
/// # Errors
/// When the driver or a card is missing, or the program was built without CUDA.
pub(crate) fn card_names() -> Result<Vec<String>, DeviceError> {
    cuda::names()
}

/// Evaluates an expression with the framework's backend of a GPU by the name `$Backend`, and the GPU as its device by
/// the name `$device`; an error in builds without it.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
macro_rules! on_backend {
    ($gpu:expr, $Backend:ident, $device:ident => $result:expr) => {
        match $gpu.interface {
            #[cfg(feature = "cuda")]
            $crate::device::Interface::Cuda => {
                type $Backend = burn_cuda::Cuda;
                let $device = $crate::gpu::cuda::device($gpu);
                $result
            }
            #[cfg(feature = "wgpu")]
            $crate::device::Interface::Wgpu => {
                type $Backend = burn_wgpu::Wgpu;
                let $device = $crate::gpu::wgpu::device($gpu);
                $result
            }
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            interface => Err($crate::gpu::DeviceError::NotBuilt { interface }),
        }
    };
}
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use on_backend;

//! The one door to burn, CUDA, Vulkan and Metal: every line that names one of them lies in this module.
//!
//! Plain slices pass the door, and traits that know no framework. A build without the feature `cuda` or `wgpu` has the
//! same functions, which say how to build it, so that no caller asks for a feature.

#[cfg(any(feature = "cuda", feature = "wgpu", test))]
mod backend;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(any(feature = "cuda", test))]
mod probe;
#[cfg(feature = "cuda")]
mod ranking;
#[cfg(any(feature = "cuda", feature = "wgpu", test))]
mod watch;
#[cfg(feature = "wgpu")]
mod wgpu;

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

use crate::device::Gpu;
pub use card::{Card, Toolkit};
pub use error::{DeviceError, Fault};
pub(crate) use present::{learner, load};
#[cfg(feature = "cuda")]
pub(crate) use ranking::searcher;

/// Says whether the program was built with the interface to a GPU.
pub(crate) fn is_built_in(gpu: Gpu) -> bool {
    match gpu {
        Gpu::Cuda => cfg!(feature = "cuda"),
        Gpu::Wgpu => cfg!(feature = "wgpu"),
    }
}

/// Looks for all that a GPU needs.
///
/// # Errors
/// When something is missing, or the program was built without the interface to it.
pub(crate) fn probe(gpu: Gpu) -> Result<(), DeviceError> {
    match gpu {
        #[cfg(feature = "cuda")]
        Gpu::Cuda => cuda::open(|_| None).map(drop),
        #[cfg(feature = "wgpu")]
        Gpu::Wgpu => wgpu::probe(),
        #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
        gpu => Err(DeviceError::NotBuilt { gpu }),
    }
}

/// The card of CUDA, which has computed something; `kernels` names a folder for the kernels of a card.
///
/// # Errors
/// When something is missing, or the program was built without CUDA.
#[cfg(feature = "cuda")]
pub(crate) fn card(kernels: impl FnOnce(&Card) -> Option<PathBuf>) -> Result<Card, DeviceError> {
    cuda::open(kernels)
}
#[cfg(not(feature = "cuda"))]
pub(crate) fn card(_: impl FnOnce(&Card) -> Option<PathBuf>) -> Result<Card, DeviceError> {
    Err(DeviceError::NotBuilt { gpu: Gpu::Cuda })
}

/// No search, in a build without CUDA: the processor's has the same bits.
#[cfg(not(feature = "cuda"))]
pub(crate) fn searcher(_: Gpu) -> Result<Option<Box<dyn pipeline_eval::Searcher>>, DeviceError> {
    Ok(None)
}

/// Evaluates an expression with the framework's backend of a GPU by the name `$Backend`; an error in builds without it.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
macro_rules! on_backend {
    ($gpu:expr, $Backend:ident => $result:expr) => {
        match $gpu {
            #[cfg(feature = "cuda")]
            Gpu::Cuda => {
                type $Backend = burn_cuda::Cuda;
                $result
            }
            #[cfg(feature = "wgpu")]
            Gpu::Wgpu => {
                type $Backend = burn_wgpu::Wgpu;
                $result
            }
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            gpu => Err(DeviceError::NotBuilt { gpu }),
        }
    };
}
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use on_backend;

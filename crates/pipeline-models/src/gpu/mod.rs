//! The one door to burn and CUDA: every line that names either of them lies in this module.
//!
//! Plain slices pass the door, and traits that know no framework. A build without the feature `cuda` has the same
//! functions, which say how to build it, so that no caller asks for the feature.

#[cfg(any(feature = "cuda", test))]
mod backend;
#[cfg(any(feature = "cuda", test))]
mod probe;

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "without_cuda.rs"]
mod cuda;

mod error;
#[cfg(test)]
pub(crate) mod reference;

pub(crate) use cuda::{learner, load, probe};
pub use error::DeviceError;

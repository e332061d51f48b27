//! The cards of CUDA in a build without it: there are none, and the error says how to build it.

use std::path::PathBuf;

use pipeline_eval::Searcher;

use super::{Card, DeviceError};
use crate::device::{Gpu, Interface};

/// Looks for no card.
///
/// # Errors
/// Always.
pub(super) fn open(_: Option<&[u16]>, _: impl FnOnce(&[Card]) -> Option<PathBuf>) -> Result<Vec<Card>, DeviceError> {
    Err(DeviceError::NotBuilt { interface: Interface::Cuda })
}

/// Names no card.
///
/// # Errors
/// Always.
pub(super) fn names() -> Result<Vec<String>, DeviceError> {
    Err(DeviceError::NotBuilt { interface: Interface::Cuda })
}

/// No card is lost.
pub(super) fn lost(_: Gpu) -> Option<DeviceError> {
    None
}

/// Tries no card.
///
/// # Errors
/// Always.
pub(super) fn probe(_: Gpu) -> Result<(), DeviceError> {
    Err(DeviceError::NotBuilt { interface: Interface::Cuda })
}

/// No search: the processor's has the same bits.
///
/// # Errors
/// Never.
pub(super) fn searcher(_: Gpu) -> Result<Option<Box<dyn Searcher>>, DeviceError> {
    Ok(None)
}

//! The cards of CUDA in a build without it: there are none, and the error says how to build it.

use std::path::PathBuf;

use super::{Card, DeviceError};
use crate::device::Interface;

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

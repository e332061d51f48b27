//! The card of CUDA: found, tried, and remembered for the process.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Card, DeviceError, present, probe};

/// The card of this process, once it has computed something.
///
/// # Errors
/// When something is missing, or a small product is wrong.
pub(super) fn open(kernels: impl FnOnce(&Card) -> Option<PathBuf>) -> Result<Card, DeviceError> {
    static FOUND: OnceLock<Result<Card, DeviceError>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let card = probe::look()?;
        present::set_up(kernels(&card));
        present::try_out::<burn_cuda::Cuda>()?;
        Ok(card)
    });
    found.clone()
}

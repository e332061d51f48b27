//! The card of CUDA: found, tried, and remembered for the process.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Card, DeviceError, present, probe};

/// What was found when this process first looked for its card.
static FOUND: OnceLock<Result<Card, DeviceError>> = OnceLock::new();

/// The card of this process, once it has computed something.
///
/// # Errors
/// When something is missing, or a small product is wrong.
pub(super) fn open(kernels: impl FnOnce(&Card) -> Option<PathBuf>) -> Result<Card, DeviceError> {
    let found = FOUND.get_or_init(|| {
        let card = probe::look()?;
        present::set_up(kernels(&card));
        present::try_out::<burn_cuda::Cuda>()?;
        Ok(card)
    });
    found.clone()
}

/// Whether this process has opened its card.
pub(super) fn is_open() -> bool {
    FOUND.get().is_some_and(Result::is_ok)
}

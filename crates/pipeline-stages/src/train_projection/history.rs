//! `history.csv`: a line per step.

use std::fmt::Write as _;
use std::path::Path;

use pipeline_core::StageError;
use pipeline_nn::train::StepLoss;

use crate::artifact;

/// Writes the loss of every step, and what the step was taken with.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, losses: &[StepLoss]) -> Result<(), StageError> {
    let mut history = String::from("epoch,step,loss,lr,temperature\n");
    for StepLoss { epoch, step, loss, lr, temperature } in losses {
        writeln!(history, "{epoch},{step},{loss},{lr},{temperature}").expect("a String takes any text");
    }
    std::fs::write(path, history).map_err(|error| artifact::unwritable(path, error))
}

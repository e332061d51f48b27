//! `history.csv`: a line per step, and one for the start where it is measured.

use std::fmt::Write as _;
use std::path::Path;

use pipeline_core::StageError;
use pipeline_eval::{HeldOutMetric, Quantity, Recall};
use pipeline_models::train::{StepLoss, Trained};

use crate::artifact;

/// Writes the loss and the settings of every step, and after the last step of an epoch the held-out measurements, if
/// there are any. A start that is measured is epoch 0, on a line without a loss.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(path: &Path, trained: &Trained) -> Result<(), StageError> {
    let fits = "a String takes any text";
    let mut history = String::from("epoch,step,loss,lr,temperature");
    let measured = trained.validations.first();
    for name in measured.iter().flat_map(|recall| columns(recall)).map(|(name, _)| name) {
        write!(history, ",{name}").expect(fits);
    }
    history.push('\n');
    if let Some(recall) = trained.start_recall() {
        history.push_str("0,0,,,");
        columns(recall).iter().for_each(|(_, value)| write!(history, ",{value}").expect(fits));
        history.push('\n');
    }
    let mut steps = trained.losses.iter().peekable();
    while let Some(StepLoss { epoch, step, loss, lr, temperature }) = steps.next() {
        write!(history, "{epoch},{step},{loss},{lr},{temperature}").expect(fits);
        let is_last = steps.peek().is_none_or(|next| next.epoch != *epoch);
        match trained.validations.get(*epoch) {
            Some(recall) if is_last => {
                columns(recall).iter().for_each(|(_, value)| write!(history, ",{value}").expect(fits));
            }
            _ => measured.iter().flat_map(|recall| columns(recall)).for_each(|_| history.push(',')),
        }
        history.push('\n');
    }
    std::fs::write(path, history).map_err(|error| artifact::unwritable(path, error))
}

/// The measurements after an epoch, by column name.
fn columns(recall: &Recall) -> Vec<(String, f64)> {
    let at = recall.at.iter().map(|(k, value)| (Quantity::RecallAt(*k), *value));
    let all = std::iter::once((Quantity::MeanRecall, recall.mean)).chain(at);
    all.map(|(quantity, value)| (HeldOutMetric(quantity.into()).to_string(), value)).collect()
}

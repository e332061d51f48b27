//! The report of a training.

use std::collections::BTreeMap;

use pipeline_core::{Device, Metrics};
use pipeline_eval::{HeldOutMetric, Quantity};
use pipeline_models::train::{StepLoss, Trained};

use super::params::{Fit, TrainProjectionParams};
use crate::artifact;

/// The number of pairs, the mean loss of the last epoch if there was one, a learnt temperature, and the held-out recall
/// of the kept heads.
pub(super) fn metrics(params: &TrainProjectionParams, trained: &Trained, n_pairs: usize) -> Metrics {
    let mut metrics = BTreeMap::from([("n_pairs".to_owned(), n_pairs as f64)]);
    if let Some(loss) = epoch_losses(&trained.losses).last() {
        metrics.insert("loss".into(), *loss);
    }
    if params.learn_temperature {
        metrics.insert("temperature".into(), f64::from(trained.temperature));
    }
    if let Some(recall) = trained.kept_recall() {
        metrics.insert(HeldOutMetric(Quantity::MeanRecall.into()).to_string(), recall.mean);
    }
    if let Some(epoch) = trained.best_epoch {
        metrics.insert("best_epoch".into(), epoch as f64);
    }
    metrics
}

/// One line about it, with `start`: the remark on the initial weights.
pub(super) fn headline(
    device: Device,
    params: &TrainProjectionParams,
    trained: &Trained,
    n_pairs: usize,
    start: Option<String>,
) -> Option<String> {
    let closed_form = |name: &str| Some(format!("{n_pairs} pairs, {name}{}", kept(params, trained)));
    let own = match params.fit {
        Fit::Contrastive => contrastive_headline(params, trained, n_pairs),
        Fit::Ridge => closed_form("ridge regression"),
        Fit::Cca => closed_form("canonical correlation analysis"),
    };
    let precision = match params.fit {
        Fit::Contrastive => artifact::precision_note(device, params.precision.into()),
        Fit::Ridge | Fit::Cca => None,
    };
    let parts: Vec<String> = own.into_iter().chain(start).chain(precision).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn contrastive_headline(params: &TrainProjectionParams, trained: &Trained, n_pairs: usize) -> Option<String> {
    let epochs = epoch_losses(&trained.losses);
    let shown: Vec<_> = epochs.iter().map(|loss| format!("{loss:.4}")).collect();
    let shown = match shown.as_slice() {
        [] => return trained.start_recall().map(|_| format!("{n_pairs} pairs, no steps{}", kept(params, trained))),
        [first, .., last] if shown.len() > 4 => format!("{first} … {last}"),
        all => all.join(", "),
    };
    let learnt = params.learn_temperature.then(|| format!(", learnt temperature {:.4}", trained.temperature));
    let (learnt, kept) = (learnt.unwrap_or_default(), kept(params, trained));
    Some(format!("{n_pairs} pairs, average loss by epoch: {shown}{learnt}{kept}"))
}

/// The note on a training that was of no use.
pub(super) fn no_better_than_the_start(trained: &Trained) -> Option<String> {
    let start = trained.start_recall().filter(|_| trained.best_epoch == Some(0) && trained.n_epochs() > 0)?;
    let percent = 100.0 * start.mean;
    Some(format!("no epoch was better than the start (MeanRecall {percent:.1}%): its heads are kept"))
}

/// The held-out recall of the kept heads, and their epoch, counted as in the history.
fn kept(params: &TrainProjectionParams, trained: &Trained) -> String {
    let Some(recall) = trained.kept_recall() else { return String::new() };
    let is_early = trained.n_epochs() < params.epochs;
    let stopped =
        trained.losses.last().filter(|_| is_early).map(|last| format!("stopped after epoch {}, ", last.epoch));
    let (epoch, start) = match (trained.best_epoch, trained.start_recall()) {
        (None, _) => (String::new(), String::new()),
        (Some(best), None) => (format!("kept epoch {best}, "), String::new()),
        (Some(0), Some(_)) => ("kept the start (epoch 0), ".to_owned(), String::new()),
        (Some(best), Some(start)) => (format!("kept epoch {best}, "), format!(" (start {:.4})", start.mean)),
    };
    format!("; {}{epoch}valid MeanRecall={:.4}{start}", stopped.unwrap_or_default(), recall.mean)
}

/// The mean loss of each epoch, in order.
fn epoch_losses(losses: &[StepLoss]) -> Vec<f64> {
    losses
        .chunk_by(|a, b| a.epoch == b.epoch)
        .map(|epoch| epoch.iter().map(|step| f64::from(step.loss)).sum::<f64>() / epoch.len() as f64)
        .collect()
}

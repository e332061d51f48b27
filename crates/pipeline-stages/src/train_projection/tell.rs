//! The report of a training.

use std::collections::BTreeMap;

use pipeline_core::Metrics;
use pipeline_eval::{HeldOutMetric, Quantity};
use pipeline_models::train::{StepLoss, Trained};

use super::params::{Fit, TrainProjectionParams};

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
    let parts: Vec<String> = own.into_iter().chain(start).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn contrastive_headline(params: &TrainProjectionParams, trained: &Trained, n_pairs: usize) -> Option<String> {
    let epochs = epoch_losses(&trained.losses);
    let shown: Vec<_> = epochs.iter().map(|loss| format!("{loss:.4}")).collect();
    let shown = match shown.as_slice() {
        [] => return None,
        [first, .., last] if shown.len() > 4 => format!("{first} … {last}"),
        all => all.join(", "),
    };
    let learnt = params.learn_temperature.then(|| format!(", learnt temperature {:.4}", trained.temperature));
    let (learnt, kept) = (learnt.unwrap_or_default(), kept(params, trained));
    Some(format!("{n_pairs} pairs, average loss by epoch: {shown}{learnt}{kept}"))
}

/// The held-out recall of the kept heads, and their epoch, counted from 0 as in the history.
fn kept(params: &TrainProjectionParams, trained: &Trained) -> String {
    let Some(recall) = trained.kept_recall() else { return String::new() };
    let epoch = match trained.best_epoch {
        None => String::new(),
        Some(best) if trained.validations.len() < params.epochs => {
            format!("stopped after epoch {}, kept epoch {best}, ", trained.validations.len() - 1)
        }
        Some(best) => format!("kept epoch {best}, "),
    };
    format!("; {epoch}valid MeanRecall={:.4}", recall.mean)
}

/// The mean loss of each epoch, in order.
fn epoch_losses(losses: &[StepLoss]) -> Vec<f64> {
    losses
        .chunk_by(|a, b| a.epoch == b.epoch)
        .map(|epoch| epoch.iter().map(|step| f64::from(step.loss)).sum::<f64>() / epoch.len() as f64)
        .collect()
}

//! Which stages of two runs are compared with each other.

use pipeline_core::StageId;

use super::CompareError;
use super::past::PastRun;

/// Stages that are named for a choice.
const MAX_CHOICES: usize = 4;

/// The stages whose metrics are compared: the chosen ones; else those of the same name; else the only one of each run.
///
/// # Errors
/// When names leave it open.
pub fn pairs(earlier: &PastRun, later: &PastRun) -> Result<Vec<(StageId, StageId)>, CompareError> {
    let (earlier_ids, later_ids) = (measured(earlier), measured(later));
    let common: Vec<_> = earlier_ids.iter().filter(|id| later_ids.contains(id)).cloned().collect();
    match (earlier_ids.as_slice(), later_ids.as_slice()) {
        ([one], [other]) => Ok(vec![(one.clone(), other.clone())]),
        ([], _) | (_, []) => Ok(Vec::new()),
        _ if !common.is_empty() => Ok(common.into_iter().map(|id| (id.clone(), id)).collect()),
        _ => Err(CompareError::NoCommonStage { choices: choices([earlier, later], [&earlier_ids, &later_ids]) }),
    }
}

fn measured(run: &PastRun) -> Vec<StageId> {
    let stages = run.results.stages.iter().filter(|(_, stage)| !stage.metrics.is_empty()).map(|(id, _)| id.clone());
    stages.filter(|id| run.chosen.as_ref().is_none_or(|chosen| chosen == id)).collect()
}

/// How to choose results where names leave it open: a point of a sweep, or a stage.
fn choices(runs: [&PastRun; 2], measured: [&[StageId]; 2]) -> String {
    let of_run = |(run, ids): (&PastRun, &[StageId])| {
        let name = run.results.name();
        if let Some(n_points) = run.n_points {
            return Some(format!(
                "{name} is a sweep of {n_points} points: `{name}:1` is its first, `runs {name}` lists them"
            ));
        }
        let named = ids.iter().take(MAX_CHOICES).map(|id| format!("`{name}:{id}`")).collect::<Vec<_>>();
        let more = if ids.len() > MAX_CHOICES { ", …" } else { "" };
        (ids.len() > 1).then(|| format!("of {name} choose {}{more}", named.join(" or ")))
    };
    runs.into_iter().zip(measured).filter_map(of_run).collect::<Vec<_>>().join("\n")
}

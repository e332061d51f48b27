//! Refuses stages that need each other in a circle.

use std::collections::HashMap;

use crate::{SpecError, StageSpec};

/// The progress of the search with a stage.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    /// On the current path.
    Open,
    Done,
}

/// Refuses stages that need themselves through others. Linear in stages and inputs, without recursion.
///
/// # Errors
/// Names the whole cycle, `a -> b -> a` where `a` reads `b`, and points at the input that closes it.
pub(crate) fn check_cycles(stages: &[StageSpec]) -> Result<(), SpecError> {
    let idx_by_id: HashMap<&str, usize> =
        stages.iter().enumerate().map(|(idx, stage)| (stage.id.as_str(), idx)).collect();
    let mut marks = vec![Mark::New; stages.len()];
    for start_idx in 0..stages.len() {
        if marks[start_idx] != Mark::New {
            continue;
        }
        // Each stage on the path, with the number of its inputs that were followed.
        let mut way = vec![(start_idx, 0)];
        marks[start_idx] = Mark::Open;
        while let Some((stage_idx, n_followed)) = way.last_mut() {
            let Some((_, producer)) = stages[*stage_idx].inputs.get(*n_followed) else {
                marks[*stage_idx] = Mark::Done;
                way.pop();
                continue;
            };
            *n_followed += 1;
            let producer_idx = idx_by_id[producer.value.as_str()];
            match marks[producer_idx] {
                Mark::Done => {}
                Mark::Open => return Err(cycle_error(stages, &way, producer_idx)),
                Mark::New => {
                    marks[producer_idx] = Mark::Open;
                    way.push((producer_idx, 0));
                }
            }
        }
    }
    Ok(())
}

/// The error for a path whose last stage reads the earlier stage `first_idx`.
fn cycle_error(stages: &[StageSpec], way: &[(usize, usize)], first_idx: usize) -> SpecError {
    let cycle = way.iter().map(|(idx, _)| *idx).skip_while(|idx| *idx != first_idx).chain([first_idx]);
    let names: Vec<&str> = cycle.map(|idx| stages[idx].id.as_str()).collect();
    let (last_idx, n_followed) = way.last().expect("BUG: a cycle has a last stage");
    let (_, input) = &stages[*last_idx].inputs[n_followed - 1];
    SpecError::at(&input.span, format!("stages read each other in a cycle: `{}`", names.join(" -> ")))
        .with_help("one of them must read another stage: `a -> b` means that `a` reads `b`")
}

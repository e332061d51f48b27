//! `pipeline schema`: the JSON Schema of specs.

use pipeline_spec::{KindSchema, json_schema};
use pipeline_stages::{KINDS, Kind};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(terminal: &Terminal) -> Result<Exit, Failure> {
    let slots: Vec<_> = KINDS.iter().map(|kind| slots(kind)).collect();
    let kinds: Vec<_> = KINDS
        .iter()
        .zip(&slots)
        .map(|(kind, inputs)| KindSchema {
            kind: kind.name,
            summary: kind.summary,
            inputs,
            params: (kind.params_schema)(),
        })
        .collect();
    terminal.json(&json_schema(&kinds))?;
    Ok(Exit::Done)
}

/// The slots of a kind and whether each is required. `*` stands for any name.
fn slots(kind: &Kind) -> Vec<(&'static str, bool)> {
    match kind.slots {
        Some(slots) => slots.iter().map(|slot| (slot.name, slot.is_required)).collect(),
        None => vec![("*", false)],
    }
}

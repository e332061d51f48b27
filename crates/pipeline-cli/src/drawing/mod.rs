//! A graph of stages drawn in characters: boxes with lines between them, or lanes where boxes are too wide.
//!
//! Lines lead down, from a stage to those that read it. A line that is crossed goes on behind: only `+`, or a corner or
//! branch in Unicode, joins lines.

mod boxes;
mod canvas;
mod labels;
mod lanes;
mod layers;

use crate::graph_text::DrawnStage;
use labels::Labels;
use layers::Layers;

/// The characters of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strokes {
    /// `+`, `-` and `|`.
    Ascii,
    /// Box-drawing characters.
    Unicode,
}

/// Most stages that are drawn as boxes: more fill several screens, and lanes need a third of the lines.
const MAX_BOXES: usize = 60;

/// Draws the stages, which stand inputs before readers, in at most `columns` where that is possible.
pub fn draw(stages: &[DrawnStage], strokes: Strokes, columns: usize) -> String {
    let inputs = inputs(stages);
    if stages.len() <= MAX_BOXES {
        let layers = Layers::of(&inputs);
        let drawn = Labels::choices().iter().find_map(|choice| {
            let labels: Vec<Vec<String>> = stages.iter().map(|stage| choice.of(stage)).collect();
            boxes::draw(&layers, &inputs, &labels, columns)
        });
        if let Some(canvas) = drawn {
            return canvas.text(strokes);
        }
    }
    lanes::draw(stages, &inputs).text(strokes)
}

/// The stages that each stage reads, by their positions, each once.
fn inputs(stages: &[DrawnStage]) -> Vec<Vec<usize>> {
    let position = |name: &String| stages.iter().position(|stage| stage.stage == *name);
    let of = |stage: &DrawnStage| {
        let mut inputs: Vec<usize> = stage.inputs.values().filter_map(position).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    };
    stages.iter().map(of).collect()
}

#[cfg(test)]
mod tests;

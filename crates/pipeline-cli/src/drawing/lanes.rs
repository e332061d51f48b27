//! Stages one below the other, with a lane for each result that is still to be read, as `git log --graph` draws
//! commits.

use super::canvas::Canvas;
use crate::graph_text::DrawnStage;

/// The widest state beside a stage, in columns.
const MAX_STATE: usize = 48;

/// The sign of a stage in its lane.
const STAGE: &str = "*";

/// Draws the stages, which stand inputs before readers.
pub fn draw(stages: &[DrawnStage], inputs: &[Vec<usize>]) -> Canvas {
    let last_reader = |stage: usize| inputs.iter().rposition(|read| read.contains(&stage));
    let name_width = stages.iter().map(|stage| stage.stage.len()).max().unwrap_or(0);
    let kind_width = stages.iter().map(|stage| stage.kind.len()).max().unwrap_or(0);
    let mut canvas = Canvas::default();
    let mut lanes: Vec<Option<usize>> = Vec::new();
    let (mut row, mut n_lanes) = (0, 0);
    let mut labels = Vec::new();
    for (reader, read) in inputs.iter().enumerate() {
        let entering: Vec<usize> = (0..lanes.len()).filter(|lane| is_one_of(lanes[*lane], read)).collect();
        let ends = |lane: &usize| lanes[*lane].and_then(last_reader) == Some(reader);
        let ended: Vec<usize> = entering.iter().copied().filter(ends).collect();
        let free = || lanes.iter().position(Option::is_none).unwrap_or(lanes.len());
        let own = ended.first().copied().unwrap_or_else(free);
        n_lanes = n_lanes.max(own + 1);
        if !entering.is_empty() {
            draw_joint(&mut canvas, row, &lanes, &entering, &ended, own);
            row += 1;
        }
        ended.iter().for_each(|lane| lanes[*lane] = None);
        draw_passing(&mut canvas, row, &lanes);
        canvas.write(row, 2 * own, STAGE);
        labels.push((row, reader));
        row += 1;
        if last_reader(reader).is_some() {
            lanes.resize(lanes.len().max(own + 1), None);
            lanes[own] = Some(reader);
        }
    }
    for (row, stage) in labels {
        let DrawnStage { stage, kind, state, .. } = &stages[stage];
        let text = match state {
            Some(state) => format!("{stage:name_width$}  {kind:kind_width$}  {}", state.words_in(MAX_STATE)),
            None => format!("{stage:name_width$}  {kind}"),
        };
        canvas.write(row, 2 * n_lanes + 1, &text);
    }
    canvas
}

fn is_one_of(lane: Option<usize>, read: &[usize]) -> bool {
    lane.is_some_and(|stage| read.contains(&stage))
}

/// The row above a stage: its inputs come from their lanes to its own.
fn draw_joint(
    canvas: &mut Canvas,
    row: usize,
    lanes: &[Option<usize>],
    entering: &[usize],
    ended: &[usize],
    own: usize,
) {
    /// The net of the lines into the stage; every other lane is a net by itself.
    const ENTERING: usize = usize::MAX - 1;
    let passing: Vec<Option<usize>> =
        lanes.iter().enumerate().map(|(lane, stage)| stage.filter(|_| !entering.contains(&lane))).collect();
    draw_passing(canvas, row, &passing);
    let all = || entering.iter().copied().chain([own]);
    let (first, last) = (all().min().unwrap_or(own), all().max().unwrap_or(own));
    canvas.across(ENTERING, row, (2 * first, 2 * last));
    for lane in entering {
        canvas.enter(ENTERING, row, 2 * lane);
        if !ended.contains(lane) {
            canvas.leave(ENTERING, row, 2 * lane);
        }
    }
    canvas.leave(ENTERING, row, 2 * own);
}

/// The lanes that only pass through a row.
fn draw_passing(canvas: &mut Canvas, row: usize, lanes: &[Option<usize>]) {
    for (lane, stage) in lanes.iter().enumerate().filter_map(|(lane, stage)| Some((lane, (*stage)?))) {
        canvas.enter(stage, row, 2 * lane);
        canvas.leave(stage, row, 2 * lane);
    }
}

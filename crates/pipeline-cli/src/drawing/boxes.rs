//! Boxes in layers, and the lines between them.
//!
//! In the rows between two layers every line has columns of its own: one below its source, one above each reader. So
//! lines of two sources never run in the same column, and any order of the rows of their horizontal parts is right.

use std::collections::BTreeMap;

use console::measure_text_width;

use super::canvas::{BORDER, Canvas};
use super::layers::{Item, Layers, reads};

/// The columns between two items of a layer.
const GAP: usize = 2;

/// The rounds of moving boxes towards those that they read and that read them.
const N_ROUNDS: usize = 8;

/// An item with its place: its first column and its width.
#[derive(Debug, Clone, Copy)]
struct Placed {
    item: Item,
    column: usize,
    width: usize,
    /// Whether a line leaves it.
    is_read: bool,
}

impl Placed {
    /// The column in which its line leaves downwards.
    fn port(&self) -> usize {
        self.column + self.width / 2
    }
}

/// A line that enters an item from above: the stage it comes from, and the column.
#[derive(Debug, Clone, Copy)]
struct Pin {
    stage: usize,
    column: usize,
}

/// Draws the stages with these labels; `None` when they do not fit into `columns`.
pub fn draw(layers: &Layers, inputs: &[Vec<usize>], labels: &[Vec<String>], columns: usize) -> Option<Canvas> {
    let mut placed = place(layers, inputs, labels, columns)?;
    let mut canvas = Canvas::default();
    let mut row = 0;
    let mut pins: Vec<Vec<Pin>> = placed.first()?.iter().map(|_| Vec::new()).collect();
    for idx in 0..placed.len() {
        let n_lines = |placed: &&Placed| labels[placed.item.stage].len();
        let height = 2 + placed[idx].iter().filter(|placed| placed.item.is_box).map(|placed| n_lines(&placed)).max()?;
        for (placed, pins) in placed[idx].iter().zip(&pins) {
            draw_item(&mut canvas, placed, pins, &labels[placed.item.stage], (row, row + height));
        }
        row += height;
        let Some(below) = placed.get(idx + 1) else { break };
        let (below, new_pins) = connect(&placed[idx], below, inputs)?;
        row += draw_lines(&mut canvas, &placed[idx], &new_pins.concat(), row);
        placed[idx + 1] = below;
        pins = new_pins;
    }
    (canvas.width() <= columns).then_some(canvas)
}

/// Draws a box, or a line through the layer, and the line from it to the end of the layer.
fn draw_item(canvas: &mut Canvas, placed: &Placed, pins: &[Pin], label: &[String], rows: (usize, usize)) {
    let Placed { item, column, width, is_read } = *placed;
    if !item.is_box {
        canvas.down(item.stage, column, (rows.0, rows.1 - 1));
        canvas.enter(item.stage, rows.0, column);
        canvas.leave(item.stage, rows.1 - 1, column);
        return;
    }
    let (bottom, right) = (rows.0 + label.len() + 1, column + width - 1);
    canvas.across(BORDER, rows.0, (column, right));
    canvas.across(BORDER, bottom, (column, right));
    canvas.down(BORDER, column, (rows.0, bottom));
    canvas.down(BORDER, right, (rows.0, bottom));
    for (idx, line) in label.iter().enumerate() {
        canvas.write(rows.0 + 1 + idx, column + 2, line);
    }
    pins.iter().for_each(|pin| canvas.enter(BORDER, rows.0, pin.column));
    if is_read {
        canvas.leave(BORDER, bottom, placed.port());
        if bottom + 1 < rows.1 {
            canvas.down(item.stage, placed.port(), (bottom + 1, rows.1 - 1));
            canvas.enter(item.stage, bottom + 1, placed.port());
            canvas.leave(item.stage, rows.1 - 1, placed.port());
        }
    }
}

/// Draws the lines between two layers from `row` on; returns the number of rows.
fn draw_lines(canvas: &mut Canvas, above: &[Placed], pins: &[Pin], row: usize) -> usize {
    let mut nets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    pins.iter().for_each(|pin| nets.entry(pin.stage).or_default().push(pin.column));
    let port = |stage: usize| above.iter().find(|placed| placed.item.stage == stage).map_or(0, Placed::port);
    let used: Vec<usize> = pins.iter().map(|pin| pin.column).chain(nets.keys().map(|stage| port(*stage))).collect();
    // The last column of each row of horizontal parts.
    let mut tracks: Vec<usize> = Vec::new();
    let mut spans: Vec<(usize, usize, usize)> = (nets.iter())
        .map(|(stage, columns)| {
            let all = || columns.iter().copied().chain([port(*stage)]);
            (all().min().unwrap_or(0), all().max().unwrap_or(0), *stage)
        })
        .collect();
    spans.sort_unstable();
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for (first, last, stage) in spans.into_iter().filter(|(first, last, _)| first < last) {
        // An empty column must stay between two lines in a row, or they would look like one.
        let is_apart = |end: &usize| (*end + 1..first).any(|column| !used.contains(&column));
        let track = tracks.iter().position(is_apart).unwrap_or(tracks.len());
        tracks.resize(tracks.len().max(track + 1), 0);
        tracks[track] = last;
        rows.insert(stage, track);
        canvas.across(stage, row + track, (first, last));
    }
    let n_rows = tracks.len().max(1);
    let last_row = row + n_rows - 1;
    for (stage, columns) in &nets {
        let turn = row + rows.get(stage).copied().unwrap_or(0);
        canvas.down(*stage, port(*stage), (row, turn));
        canvas.enter(*stage, row, port(*stage));
        for column in columns {
            canvas.down(*stage, *column, (turn, last_row));
            canvas.leave(*stage, last_row, *column);
        }
    }
    n_rows
}

/// The places of all items; `None` when they do not fit.
fn place(layers: &Layers, inputs: &[Vec<usize>], labels: &[Vec<String>], columns: usize) -> Option<Vec<Vec<Placed>>> {
    let is_read = |stage: usize| inputs.iter().any(|read| read.contains(&stage));
    let width = |item: &Item| {
        if !item.is_box {
            return 1;
        }
        let text = labels[item.stage].iter().map(|line| measure_text_width(line)).max().unwrap_or(0);
        // Every input needs a column of its own, and one between them.
        (text + 4).max(2 * inputs[item.stage].len() + 3)
    };
    let row = |items: &Vec<Item>| {
        let mut column = 0;
        let place = |item: &Item| {
            let placed = Placed { item: *item, column, width: width(item), is_read: is_read(item.stage) };
            column += placed.width + GAP;
            placed
        };
        items.iter().map(place).collect::<Vec<_>>()
    };
    let mut placed: Vec<Vec<Placed>> = layers.items.iter().map(row).collect();
    let end = |row: &Vec<Placed>| row.last().map_or(0, |last| last.column + last.width);
    let widest = placed.iter().map(end).max().unwrap_or(0);
    if widest > columns {
        return None;
    }
    // Some room to the right lets lines be straight.
    let limit = columns.min(widest + widest / 3 + 8);
    for round in 0..N_ROUNDS {
        let n_layers = placed.len();
        for step in 1..n_layers {
            let is_downwards = round % 2 == 1;
            let (idx, fixed) = if is_downwards { (step, step - 1) } else { (n_layers - 1 - step, n_layers - step) };
            let wanted: Vec<f64> = placed[idx]
                .iter()
                .map(|one| {
                    let neighbours = placed[fixed].iter().filter(|other| match is_downwards {
                        true => reads(one.item, other.item, inputs),
                        false => reads(other.item, one.item, inputs),
                    });
                    let (sum, n) = neighbours.fold((0, 0), |(sum, n), other| (sum + other.port(), n + 1));
                    let port = if n == 0 { one.port() as f64 } else { sum as f64 / f64::from(n) };
                    port - (one.width / 2) as f64
                })
                .collect();
            move_towards(&mut placed[idx], &wanted, limit);
        }
    }
    let left = placed.iter().flatten().map(|placed| placed.column).min().unwrap_or(0);
    placed.iter_mut().flatten().for_each(|placed| placed.column -= left);
    Some(placed)
}

/// Moves the items of a layer as near to the wanted first columns as their order and widths let them be.
fn move_towards(row: &mut [Placed], wanted: &[f64], limit: usize) {
    // Without their widths the items only have to be in order: neighbours that are not are moved to their mean.
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0;
    for placed in row.iter() {
        offsets.push(offset);
        offset += placed.width + GAP;
    }
    let room = limit.saturating_sub(offset - GAP) as f64;
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        let mut group = (wanted - *offset as f64, 1);
        while let Some((sum, n)) = groups.last().copied().filter(|(sum, n)| sum / *n as f64 > group.0 / group.1 as f64)
        {
            group = (sum + group.0, n + group.1);
            groups.pop();
        }
        groups.push(group);
    }
    let starts = groups.iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / *n as f64, *n));
    for ((placed, offset), start) in row.iter_mut().zip(offsets).zip(starts) {
        placed.column = start.clamp(0.0, room).round() as usize + offset;
    }
}

/// The columns in which the lines from `above` enter the items of `below`, which may move by some columns for it;
/// `None` when there are too few.
fn connect(above: &[Placed], below: &[Placed], inputs: &[Vec<usize>]) -> Option<(Vec<Placed>, Vec<Vec<Pin>>)> {
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    for placed in above.iter().filter(|placed| placed.is_read) {
        used.insert(placed.port(), placed.item.stage);
    }
    let is_free = |used: &BTreeMap<usize, usize>, column: usize, stage: usize| {
        used.get(&column).is_none_or(|user| *user == stage)
    };
    let mut below = below.to_vec();
    let mut pins = Vec::new();
    for idx in 0..below.len() {
        let Placed { item, column, width, .. } = below[idx];
        let mut sources: Vec<&Placed> = above.iter().filter(|placed| reads(item, placed.item, inputs)).collect();
        sources.sort_by_key(|placed| placed.port());
        let (first, last) = if item.is_box {
            (column + 1, column + width - 2)
        } else {
            // A line may move within the gaps beside it.
            let left = idx.checked_sub(1).map_or(0, |left| below[left].column + below[left].width + 1);
            let right = below.get(idx + 1).map_or(column + GAP, |right| right.column.saturating_sub(2));
            (left.min(column), right.max(column))
        };
        let mut entered = Vec::new();
        for (number, source) in sources.iter().enumerate() {
            let (stage, port) = (source.item.stage, source.port());
            let spread = first + (number + 1) * (last + 1 - first) / (sources.len() + 1);
            let wanted = match item.is_box {
                true if (first..=last).contains(&port) => port,
                true => spread,
                false => column,
            };
            let candidates = || (first..=last).filter(|column| is_free(&used, *column, stage));
            let distance = |candidate: &usize| (candidate.abs_diff(wanted), *candidate);
            let is_apart = |candidate: &usize| {
                let beside = [candidate.checked_sub(1), Some(candidate + 1)];
                beside.into_iter().flatten().all(|beside| is_free(&used, beside, stage))
            };
            let chosen = candidates().filter(is_apart).min_by_key(distance).or(candidates().min_by_key(distance))?;
            used.insert(chosen, stage);
            entered.push(Pin { stage, column: chosen });
        }
        if !item.is_box {
            below[idx].column = entered.first()?.column;
        }
        pins.push(entered);
    }
    Some((below, pins))
}

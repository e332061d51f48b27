//! The symmetric InfoNCE loss of a batch, and its gradient.

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;

use super::{COLUMNS, Numbers, UNITS, largest_of_block, of_blocks, of_numbers, place, sum_of_block};
use crate::train::Positives;

#[cube(launch)]
fn relevant_kernel(
    rows: &Array<u32>,
    starts: &Array<u32>,
    images: &Array<u32>,
    output: &mut Array<u32>,
    first_pair: u32,
    n_pairs: u32,
) {
    let place = place();
    if place < n_pairs * n_pairs {
        let (row, col) = (place / n_pairs, place % n_pairs);
        let text = rows[((first_pair + row) * 2u32) as usize];
        let image = rows[((first_pair + col) * 2u32 + 1u32) as usize];
        // The first of its images that is not below the one in question.
        let mut low = starts[text as usize];
        let end = starts[(text + 1u32) as usize];
        let mut high = end;
        while low < high {
            let middle = (low + high) / 2u32;
            if images[middle as usize] < image {
                low = middle + 1u32;
            } else {
                high = middle;
            }
        }
        let mut is_relevant = select(row == col, 1u32, 0u32);
        // The search may have ended behind all images.
        if low < end {
            is_relevant = select(images[low as usize] == image, 1u32, is_relevant);
        }
        output[place as usize] = is_relevant;
    }
}

/// The images that are relevant to texts, on a device.
#[derive(Debug)]
pub(in crate::gpu) struct Relevant<R: CubeRuntime> {
    /// The place of each text's first image, and the end of the last text's.
    pub(in crate::gpu) starts: Numbers<R>,
    /// The images of each text, rising.
    pub(in crate::gpu) images: Numbers<R>,
}

/// 1 where the image of a pair (column) is relevant to the text of a pair (row) or the pairs are the same, else 0.
///
/// # Shapes
/// `rows`: `[…, 2]`, of texts and images · `output`: `[n_pairs, n_pairs]`
pub(in crate::gpu) fn relevant<R: CubeRuntime>(
    client: &ComputeClient<R>,
    relevant: &Relevant<R>,
    rows: &Numbers<R>,
    output: &Numbers<R>,
    (first_pair, n_pairs): (usize, usize),
) {
    let (count, dim) = of_numbers(n_pairs * n_pairs);
    relevant_kernel::launch::<R>(
        client,
        count,
        dim,
        rows.argument(),
        relevant.starts.argument(),
        relevant.images.argument(),
        output.argument(),
        first_pair as u32,
        n_pairs as u32,
    );
}

/// The divisor of similarities, and how many pairs there are.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Batch {
    n_pairs: u32,
    temperature: f32,
    /// The place of `ln(1 / temperature)` among the parameters, if it is learnt.
    logit_scale: u32,
}

#[cube]
fn divisor(parameters: &Array<f32>, batch: Batch, #[comptime] is_learnt: bool) -> f32 {
    if comptime!(is_learnt) { f32::exp(0.0f32 - parameters[batch.logit_scale as usize]) } else { batch.temperature }
}

/// Whether a logit is part of the softmaxes.
#[cube]
fn counts(relevant: &Array<u32>, at: usize, is_pair: bool, #[comptime] positives: Positives) -> bool {
    if comptime!(positives == Positives::Mask) { is_pair || relevant[at] == 0u32 } else { true.runtime() }
}

/// Of each row, then of each column: `ln Σ exp`, the inverse number of positives, and the loss.
#[cube(launch)]
fn lines_kernel(
    similarities: &Array<f32>,
    relevant: &Array<u32>,
    parameters: &Array<f32>,
    output: &mut Array<f32>,
    batch: Batch,
    #[comptime] positives: Positives,
    #[comptime] is_learnt: bool,
) {
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let n_pairs = batch.n_pairs;
    let temperature = divisor(parameters, batch, is_learnt);
    // A block has one row, or neighbouring columns.
    let block = CUBE_POS as u32;
    let is_row = block < n_pairs;
    let line = select(is_row, block, (block - n_pairs) * COLUMNS + UNIT_POS_X);
    let n_lines = select(is_row, 1u32, COLUMNS);
    let first = select(is_row, UNIT_POS, UNIT_POS_Y);
    let step = select(is_row, UNITS, UNITS / COLUMNS);
    let of_lines = select(is_row, n_pairs, 1u32);
    let of_items = select(is_row, 1u32, n_pairs);
    let n_items = select(line < n_pairs, n_pairs, 0u32);
    let mut largest = f32::new(-3.0e38);
    let mut own = 0.0f32;
    let mut n_own = 0.0f32;
    let mut item = first;
    while item < n_items {
        let at = (line * of_lines + item * of_items) as usize;
        let logit = similarities[at] / temperature;
        let is_own = if comptime!(positives == Positives::All) { relevant[at] == 1u32 } else { item == line };
        if is_own {
            own += logit;
            n_own += 1.0f32;
        }
        let counts = counts(relevant, at, item == line, positives);
        // A number that is none is never larger: it shows in the sum.
        largest = select(counts && logit > largest, logit, largest);
        item += step;
    }
    let largest = largest_of_block(largest, &mut shared, n_lines);
    let own = sum_of_block(own, &mut shared, n_lines);
    let n_own = sum_of_block(n_own, &mut shared, n_lines);
    let mut sum = 0.0f32;
    let mut item = first;
    while item < n_items {
        let at = (line * of_lines + item * of_items) as usize;
        if counts(relevant, at, item == line, positives) {
            sum += f32::exp(similarities[at] / temperature - largest);
        }
        item += step;
    }
    let sum = sum_of_block(sum, &mut shared, n_lines);
    if UNIT_POS < n_lines && line < n_pairs {
        let of_line = largest + f32::ln(sum);
        let to = select(is_row, line, n_pairs + line);
        output[to as usize] = of_line;
        output[(n_pairs * 2u32 + to) as usize] = 1.0f32 / n_own;
        output[(n_pairs * 4u32 + to) as usize] = of_line - own / n_own;
    }
}

/// The gradient of the loss with respect to similarities; the last block writes the loss and the number that is learnt
/// for the temperature.
#[cube(launch)]
fn gradient_kernel(
    similarities: &Array<f32>,
    relevant: &Array<u32>,
    parameters: &Array<f32>,
    lines: &Array<f32>,
    gradient: &mut Array<f32>,
    losses: &mut Array<f32>,
    batch: Batch,
    step: u32,
    n_blocks: u32,
    #[comptime] positives: Positives,
    #[comptime] is_learnt: bool,
) {
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let n_pairs = batch.n_pairs;
    let share = 0.5f32 / f32::cast_from(n_pairs);
    let place = place();
    if place < n_pairs * n_pairs {
        let (row, col) = (place / n_pairs, place % n_pairs);
        let temperature = divisor(parameters, batch, is_learnt);
        let logit = similarities[place as usize] / temperature;
        let (of_row, of_column) = (lines[row as usize], lines[(n_pairs + col) as usize]);
        let mut slope = (f32::exp(logit - of_row) + f32::exp(logit - of_column)) * share;
        let is_positive =
            if comptime!(positives == Positives::All) { relevant[place as usize] == 1u32 } else { row == col };
        if is_positive {
            let of_row = lines[(n_pairs * 2u32 + row) as usize];
            let of_column = lines[(n_pairs * 3u32 + col) as usize];
            slope -= share * (of_row + of_column);
        }
        if !counts(relevant, place as usize, row == col, positives) {
            slope = 0.0f32;
        }
        gradient[place as usize] = slope / temperature;
    }
    if CUBE_POS as u32 == n_blocks - 1u32 {
        let mut sum = 0.0f32;
        let mut line = UNIT_POS;
        while line < n_pairs * 2u32 {
            sum += lines[(n_pairs * 4u32 + line) as usize];
            line += UNITS;
        }
        let sum = sum_of_block(sum, &mut shared, 1u32);
        if UNIT_POS == 0u32 {
            losses[(step * 2u32) as usize] = sum * share;
            let mut logit_scale = 0.0f32;
            if comptime!(is_learnt) {
                logit_scale = parameters[batch.logit_scale as usize];
            }
            losses[(step * 2u32 + 1u32) as usize] = logit_scale;
        }
    }
}

/// What the loss of a batch depends on, beside its similarities.
#[derive(Debug, Clone, Copy)]
pub(in crate::gpu) struct Contrast {
    /// The pairs of the batch.
    pub(in crate::gpu) n_pairs: usize,
    /// What similarities are divided by, if that is not learnt.
    pub(in crate::gpu) temperature: f32,
    /// The place of `ln(1 / temperature)` among the parameters, if it is learnt.
    pub(in crate::gpu) logit_scale: Option<usize>,
    /// What other relevant pairs are.
    pub(in crate::gpu) positives: Positives,
}

/// The loss of step `step` and `ln(1 / temperature)` go to its two places of `losses`; the gradient with respect to the
/// similarities to `gradient`.
///
/// # Shapes
/// `similarities`, `relevant`, `gradient`: `[n_pairs, n_pairs]` · `lines`: `[3, 2, n_pairs]` · `losses`: `[…, 2]`
pub(in crate::gpu) fn contrast<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [similarities, relevant, parameters]: [&Numbers<R>; 3],
    [lines, gradient, losses]: [&Numbers<R>; 3],
    step: usize,
    contrast: Contrast,
) {
    let Contrast { n_pairs, temperature, logit_scale, positives } = contrast;
    let batch = || BatchLaunch::new(n_pairs as u32, temperature, logit_scale.unwrap_or_default() as u32);
    let (count, dim) = of_blocks(n_pairs + n_pairs.div_ceil(COLUMNS as usize));
    lines_kernel::launch::<R>(
        client,
        count,
        dim,
        similarities.argument(),
        relevant.argument(),
        parameters.argument(),
        lines.argument(),
        batch(),
        positives,
        logit_scale.is_some(),
    );
    let n_blocks = (n_pairs * n_pairs).div_ceil(UNITS as usize);
    let (count, dim) = of_blocks(n_blocks);
    gradient_kernel::launch::<R>(
        client,
        count,
        dim,
        similarities.argument(),
        relevant.argument(),
        parameters.argument(),
        lines.argument(),
        gradient.argument(),
        losses.argument(),
        batch(),
        step as u32,
        n_blocks as u32,
        positives,
        logit_scale.is_some(),
    );
}

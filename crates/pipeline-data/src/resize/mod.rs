//! Resizing with antialiasing, to exactly the pixels of Pillow's `Image.resize`, or of the middle of them.

mod filter;
mod target;

use std::collections::VecDeque;
use std::ops::Range;

use crate::RgbImage;
pub use filter::Filter;
use filter::{PRECISION_BITS, Weights};
pub(crate) use target::Axis;
pub use target::{CropOffset, Fit, Target};

/// The largest width whose weights are kept for all rows. Wider images recompute them, since they are twice as large as
/// a row.
const MAX_KEPT_WIDTH: usize = 1 << 20;

/// `image` in another size; when it shrinks, the kernel is widened by the same factor.
///
/// Rows and columns are resized one after the other, with 8-bit samples in between and fixed-point weights. So the
/// order shows in the pixels: it is that of Pillow 13. The same size gives the same pixels.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    Target { width, height, filter, fit: Fit::Squash }.of(image)
}

/// Resizes an image whose rows arrive one by one, from the top. Computes nothing that a crop cuts off.
pub(crate) struct Resizer {
    axes: [Axis; 2],
    row_weights: RowWeights,
    n_rows: usize,
    columns: Columns,
}

/// The weights of all output pixels of a row.
struct RowWeights {
    filter: Filter,
    axis: Axis,
    /// `None` where they would be too large to keep.
    kept: Option<Vec<Weights>>,
}

enum Columns {
    /// Resizes rows as they arrive, and columns at the end.
    Last { rows: Vec<u8>, weights: ColumnWeights },
    /// Sums up columns as rows arrive, and resizes each finished row.
    First { weights: ColumnWeights, active: VecDeque<Active>, n_begun: usize, output: Vec<u8> },
}

/// The weights of the columns, computed when an output row needs them.
struct ColumnWeights {
    filter: Filter,
    axis: Axis,
}

/// An output row that still needs input rows.
struct Active {
    weights: Weights,
    sums: Vec<i32>,
}

impl Resizer {
    /// Resizes columns and rows by `axes`.
    pub fn new(axes: [Axis; 2], filter: Filter) -> Self {
        let [across, down] = axes;
        let mut row_weights = RowWeights { filter, axis: across, kept: None };
        if across.n_inputs <= MAX_KEPT_WIDTH {
            row_weights.kept = Some((0..across.n_kept).map(|idx| row_weights.of(idx)).collect());
        }
        let weights = ColumnWeights { filter, axis: down };
        let columns = if are_columns_first(axes) {
            let output = Vec::with_capacity(across.n_kept * down.n_kept * 3);
            Columns::First { weights, active: VecDeque::new(), n_begun: 0, output }
        } else {
            Columns::Last { rows: Vec::with_capacity(weights.inputs().len() * across.n_kept * 3), weights }
        };
        Self { axes, row_weights, n_rows: 0, columns }
    }

    /// The most bytes that the resize needs, with its result.
    pub fn working_bytes(axes: [Axis; 2], filter: Filter) -> u64 {
        let radius = filter.radius();
        let [across, down] = axes;
        let weights = |axis: Axis, n_kept: usize| {
            let inputs = (8.0 * radius) as u64 * axis.n_inputs.max(axis.n_outputs) as u64;
            inputs * n_kept as u64 / axis.n_outputs.max(1) as u64 + 4 * n_kept as u64
        };
        let width = across.n_inputs as u64;
        let row_weights = if across.n_inputs <= MAX_KEPT_WIDTH { weights(across, across.n_kept) } else { width * 8 };
        let n_kept = [across, down].map(|axis| axis.n_kept as u64);
        let between = if are_columns_first(axes) {
            // At most this many output rows share an input row when the height shrinks.
            let n_active = (2.0 * radius) as u64 + 2;
            n_active.max(6) * (width * 12 + weights(down, 1))
        } else {
            let n_rows = ColumnWeights { filter, axis: down }.inputs().len() as u64;
            n_rows * n_kept[0] * 3 + n_kept[0] * 12
        };
        let is_padded = axes.iter().any(|axis| axis.len > axis.n_kept);
        let padded = if is_padded { n_kept[0] * n_kept[1] * 3 } else { 0 };
        row_weights + between + across.len as u64 * down.len as u64 * 3 + padded
    }

    /// Adds the next row: `[width, 3]`.
    pub fn push(&mut self, row: &[u8]) {
        let row_idx = self.n_rows;
        self.n_rows += 1;
        match &mut self.columns {
            Columns::Last { rows, weights } => {
                if weights.inputs().contains(&row_idx) {
                    self.row_weights.resize(row, rows);
                }
            }
            Columns::First { weights, active, n_begun, output } => {
                while *n_begun < weights.axis.n_kept && weights.first(*n_begun) <= row_idx {
                    let sums = vec![1 << (PRECISION_BITS - 1); row.len()];
                    active.push_back(Active { weights: weights.of(*n_begun), sums });
                    *n_begun += 1;
                }
                for Active { weights: (first, weights), sums } in active.iter_mut() {
                    if let Some(&weight) = weights.get(row_idx - *first) {
                        sums.iter_mut().zip(row).for_each(|(sum, &sample)| *sum += i32::from(sample) * weight);
                    }
                }
                while let Some(done) = active
                    .pop_front_if(|Active { weights: (first, weights), .. }| row_idx + 1 >= *first + weights.len())
                {
                    let row: Vec<u8> = done.sums.iter().map(|&sum| to_sample(sum)).collect();
                    self.row_weights.resize(&row, output);
                }
            }
        }
    }

    /// The resized image, once all rows were added.
    pub fn finish(self) -> RgbImage {
        let [across, down] = self.axes;
        let kept = match self.columns {
            Columns::First { output, .. } => output,
            Columns::Last { rows, weights } => weights.resize(&rows, across.n_kept),
        };
        let pixels =
            if across.len > across.n_kept || down.len > down.n_kept { on_black(&kept, across, down) } else { kept };
        RgbImage { width: across.len as u32, height: down.len as u32, pixels }
    }
}

/// Surrounds pixels with black.
fn on_black(kept: &[u8], across: Axis, down: Axis) -> Vec<u8> {
    let mut pixels = vec![0; across.len * down.len * 3];
    let rows = pixels.chunks_exact_mut(across.len * 3).skip(down.n_before);
    for (row, kept) in rows.zip(kept.chunks_exact(across.n_kept * 3)) {
        row[across.n_before * 3..][..kept.len()].copy_from_slice(kept);
    }
    pixels
}

impl RowWeights {
    /// The weights of a kept pixel.
    fn of(&self, idx: usize) -> Weights {
        self.filter.weights(self.axis.n_inputs, self.axis.n_outputs, self.axis.first + idx)
    }

    /// Appends the resized row to `output`.
    fn resize(&self, row: &[u8], output: &mut Vec<u8>) {
        let row = row.as_chunks::<3>().0;
        match &self.kept {
            Some(kept) => kept.iter().for_each(|weights| output.extend_from_slice(&weigh(row, weights))),
            None => {
                (0..self.axis.n_kept).for_each(|idx| output.extend_from_slice(&weigh(row, &self.of(idx))));
            }
        }
    }
}

impl ColumnWeights {
    fn range(&self, idx: usize) -> (usize, usize) {
        self.filter.range(self.axis.n_inputs, self.axis.n_outputs, self.axis.first + idx)
    }

    fn of(&self, idx: usize) -> Weights {
        self.filter.weights(self.axis.n_inputs, self.axis.n_outputs, self.axis.first + idx)
    }

    fn first(&self, idx: usize) -> usize {
        self.range(idx).0
    }

    /// The input rows that show in the kept rows.
    fn inputs(&self) -> Range<usize> {
        self.first(0)..self.range(self.axis.n_kept.saturating_sub(1)).1
    }

    /// Resizes the rows of [`ColumnWeights::inputs`], `[n_inputs, width, 3]`, to `[n_kept, width, 3]`.
    fn resize(&self, pixels: &[u8], width: usize) -> Vec<u8> {
        let (row_bytes, start) = (width * 3, self.inputs().start);
        let mut output = Vec::with_capacity(row_bytes * self.axis.n_kept);
        let mut sums = vec![0; row_bytes];
        for (first, weights) in (0..self.axis.n_kept).map(|idx| self.of(idx)) {
            sums.fill(1 << (PRECISION_BITS - 1));
            for (row, &weight) in pixels[(first - start) * row_bytes..].chunks_exact(row_bytes.max(1)).zip(&weights) {
                sums.iter_mut().zip(row).for_each(|(sum, &sample)| *sum += i32::from(sample) * weight);
            }
            output.extend(sums.iter().map(|&sum| to_sample(sum)));
        }
        output
    }
}

/// Found by comparison with Pillow 13.0.0 for 4,500 random sizes; earlier versions always begin with the rows.
fn are_columns_first([across, down]: [Axis; 2]) -> bool {
    let ([width, height], [new_width, new_height]) =
        ([across, down].map(|axis| axis.n_inputs), [across, down].map(|axis| axis.n_outputs));
    new_height < height && height + 2 * new_width > new_height + 2 * width
}

fn weigh(row: &[[u8; 3]], (first, weights): &Weights) -> [u8; 3] {
    let mut sums = [1 << (PRECISION_BITS - 1); 3];
    for (pixel, &weight) in row[*first..].iter().zip(weights) {
        (0..3).for_each(|channel| sums[channel] += i32::from(pixel[channel]) * weight);
    }
    sums.map(to_sample)
}

fn to_sample(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

//! Resizing with antialiasing, to exactly the pixels of Pillow's `Image.resize`.

use std::collections::VecDeque;

use crate::RgbImage;

/// Coefficients are multiples of 2^-22: 32 bits minus 8-bit samples and two bits of headroom.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The kernel that weights the input pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// A triangle of radius 1.
    Bilinear,
    /// Keys' cubic of radius 2 with a = -0.5.
    Bicubic,
}

/// The weights of one output pixel: its first input pixel and the weights from there on.
type Weights = (usize, Vec<i32>);

/// The largest width whose weights are kept for all rows. Wider images recompute them, since they are twice as large as
/// a row.
const MAX_KEPT_WIDTH: usize = 1 << 20;

/// `image` in another size; when it shrinks, the kernel is widened by the same factor.
///
/// Rows and columns are resized one after the other, with 8-bit samples in between and fixed-point weights. So the
/// order shows in the pixels: it is that of Pillow 13. The same size gives the same pixels.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    if (width, height) == (image.width, image.height) {
        return image.clone();
    }
    let mut resizer = Resizer::new((image.width, image.height), (width, height), filter);
    image.pixels.chunks_exact(image.width as usize * 3).for_each(|row| resizer.push(row));
    resizer.finish()
}

/// Resizes an image whose rows arrive one by one, from the top.
pub(crate) struct Resizer {
    new_size: [usize; 2],
    row_weights: RowWeights,
    columns: Columns,
}

/// The weights of all output pixels of a row.
struct RowWeights {
    filter: Filter,
    n_inputs: usize,
    n_outputs: usize,
    /// `None` where they would be too large to keep.
    kept: Option<Vec<Weights>>,
}

enum Columns {
    /// Resizes rows as they arrive, and columns at the end.
    Last { rows: Vec<u8>, weights: ColumnWeights },
    /// Sums up columns as rows arrive, and resizes each finished row.
    First { weights: ColumnWeights, n_rows: usize, active: VecDeque<Active>, n_begun: usize, output: Vec<u8> },
}

/// The weights of the columns, computed when an output row needs them.
struct ColumnWeights {
    filter: Filter,
    n_inputs: usize,
    n_outputs: usize,
}

/// An output row that still needs input rows.
struct Active {
    weights: Weights,
    sums: Vec<i32>,
}

impl Resizer {
    /// Resizes from `size` to `new_size`, both as width and height.
    pub fn new(size: (u32, u32), new_size: (u32, u32), filter: Filter) -> Self {
        let (size, new_size) =
            ([size.0, size.1].map(|side| side as usize), [new_size.0, new_size.1].map(|side| side as usize));
        let kept = (size[0] <= MAX_KEPT_WIDTH)
            .then(|| (0..new_size[0]).map(|output| filter.weights(size[0], new_size[0], output)).collect());
        let row_weights = RowWeights { filter, n_inputs: size[0], n_outputs: new_size[0], kept };
        let weights = ColumnWeights { filter, n_inputs: size[1], n_outputs: new_size[1] };
        let output = Vec::with_capacity(new_size[0] * new_size[1] * 3);
        let columns = if are_columns_first(size, new_size) {
            Columns::First { weights, n_rows: 0, active: VecDeque::new(), n_begun: 0, output }
        } else {
            Columns::Last { rows: Vec::with_capacity(size[1] * new_size[0] * 3), weights }
        };
        Self { new_size, row_weights, columns }
    }

    /// The most bytes that the resize needs, with its result.
    pub fn working_bytes(size: (u32, u32), new_size: (u32, u32), filter: Filter) -> u64 {
        let ([width, height], [new_width, new_height]) =
            ([size.0, size.1].map(u64::from), [new_size.0, new_size.1].map(u64::from));
        let weights =
            |n_inputs: u64, n_outputs: u64| 8 * filter.radius() as u64 * n_inputs.max(n_outputs) + 4 * n_outputs;
        let row_weights = if width <= MAX_KEPT_WIDTH as u64 { weights(width, new_width) } else { width * 8 };
        let are_first = are_columns_first(
            [width, height].map(|side| side as usize),
            [new_width, new_height].map(|side| side as usize),
        );
        let between = if are_first {
            // At most six output rows share an input row when the height shrinks.
            6 * (width * 12 + weights(height, new_height) / new_height.max(1))
        } else {
            height * new_width * 3 + new_width * 12
        };
        row_weights + between + new_width * new_height * 3
    }

    /// Adds the next row: `[width, 3]`.
    pub fn push(&mut self, row: &[u8]) {
        match &mut self.columns {
            Columns::Last { rows, .. } => self.row_weights.resize(row, rows),
            Columns::First { weights, n_rows, active, n_begun, output } => {
                let row_idx = *n_rows;
                *n_rows += 1;
                while *n_begun < weights.n_outputs && weights.first(*n_begun) <= row_idx {
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
        let [width, height] = self.new_size;
        let pixels = match self.columns {
            Columns::First { output, .. } => output,
            Columns::Last { rows, weights } => resize_columns(&rows, width, &weights),
        };
        RgbImage { width: width as u32, height: height as u32, pixels }
    }
}

impl RowWeights {
    /// Appends the resized row to `output`.
    fn resize(&self, row: &[u8], output: &mut Vec<u8>) {
        let row = row.as_chunks::<3>().0;
        match &self.kept {
            Some(kept) => kept.iter().for_each(|weights| output.extend_from_slice(&weigh(row, weights))),
            None => (0..self.n_outputs).for_each(|idx| {
                output.extend_from_slice(&weigh(row, &self.filter.weights(self.n_inputs, self.n_outputs, idx)));
            }),
        }
    }
}

impl ColumnWeights {
    fn of(&self, output: usize) -> Weights {
        self.filter.weights(self.n_inputs, self.n_outputs, output)
    }

    fn first(&self, output: usize) -> usize {
        self.filter.range(self.n_inputs, self.n_outputs, output).0
    }
}

/// Found by comparison with Pillow 13.0.0 for 1,500 random sizes; earlier versions always begin with the rows.
fn are_columns_first([width, height]: [usize; 2], [new_width, new_height]: [usize; 2]) -> bool {
    new_height < height && height + 2 * new_width > new_height + 2 * width
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }

    /// The first input pixel of an output pixel, and the one behind its last.
    fn range(self, n_inputs: usize, n_outputs: usize, output: usize) -> (usize, usize) {
        let scale = n_inputs as f64 / n_outputs as f64;
        let radius = self.radius() * scale.max(1.0);
        let center = (output as f64 + 0.5) * scale;
        // The cast saturates a negative float at 0.
        ((center - radius + 0.5) as usize, ((center + radius + 0.5) as usize).min(n_inputs))
    }

    fn weights(self, n_inputs: usize, n_outputs: usize, output: usize) -> Weights {
        let scale = n_inputs as f64 / n_outputs as f64;
        // Multiplied instead of divided, for the same rounding as in Pillow.
        let inverse_scale = 1.0 / scale.max(1.0);
        let center = (output as f64 + 0.5) * scale;
        let (first, end) = self.range(n_inputs, n_outputs, output);
        let at = |input: usize| self.at((input as f64 - center + 0.5) * inverse_scale);
        let sum = (first..end).fold(0.0, |sum, input| sum + at(input));
        let weight = |input: usize| fixed_point(if sum == 0.0 { at(input) } else { at(input) / sum });
        (first, (first..end).map(weight).collect())
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

fn weigh(row: &[[u8; 3]], (first, weights): &Weights) -> [u8; 3] {
    let mut sums = [1 << (PRECISION_BITS - 1); 3];
    for (pixel, &weight) in row[*first..].iter().zip(weights) {
        (0..3).for_each(|channel| sums[channel] += i32::from(pixel[channel]) * weight);
    }
    sums.map(to_sample)
}

/// Resizes `[n_inputs, width, 3]` to `[n_outputs, width, 3]`.
fn resize_columns(pixels: &[u8], width: usize, weights: &ColumnWeights) -> Vec<u8> {
    let row_bytes = width * 3;
    let mut output = Vec::with_capacity(row_bytes * weights.n_outputs);
    let mut sums = vec![0; row_bytes];
    for (first, weights) in (0..weights.n_outputs).map(|idx| weights.of(idx)) {
        sums.fill(1 << (PRECISION_BITS - 1));
        for (row, &weight) in pixels[first * row_bytes..].chunks_exact(row_bytes.max(1)).zip(&weights) {
            sums.iter_mut().zip(row).for_each(|(sum, &sample)| *sum += i32::from(sample) * weight);
        }
        output.extend(sums.iter().map(|&sum| to_sample(sum)));
    }
    output
}

fn to_sample(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

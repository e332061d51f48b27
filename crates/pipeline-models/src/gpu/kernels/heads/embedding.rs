//! From features to embeddings, and the gradients on the way back.

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;

use super::{Numbers, UNITS, of_blocks, of_numbers, place, sum_of_block};

/// The square of the smallest divisor of a vector: PyTorch's `F.normalize` uses 1e-12.
const LEAST_SQUARE: f32 = 1e-24;
/// Its root, and a little more: roots of Vulkan may be a few bits off.
const LEAST_LENGTH: f32 = 1.000_001e-12;

#[cube(launch)]
fn copy_kernel(values: &Array<f32>, output: &mut Array<f32>, first: u32) {
    let place = place() as usize;
    if place < values.len() {
        output[place + first as usize] = values[place];
    }
}

/// Copies numbers into an array, the first one to the place `first`.
pub(in crate::gpu) fn copy<R: CubeRuntime>(
    client: &ComputeClient<R>,
    values: &Numbers<R>,
    output: &Numbers<R>,
    first: usize,
) {
    let (count, dim) = of_numbers(values.length);
    copy_kernel::launch::<R>(client, count, dim, values.argument(), output.argument(), first as u32);
}

#[cube(launch)]
fn gather_kernel(
    text: &Array<f32>,
    images: &Array<f32>,
    rows: &Array<u32>,
    output: &mut Array<f32>,
    first_pair: u32,
    n_pairs: u32,
    text_width: u32,
    image_width: u32,
    image_first: u32,
) {
    let place = place();
    let n_of_text = n_pairs * text_width;
    if place < n_of_text {
        let row = rows[((first_pair + place / text_width) * 2u32) as usize];
        output[place as usize] = text[(row * text_width + place % text_width) as usize];
    } else {
        let own = place - n_of_text;
        if own < n_pairs * image_width {
            let row = rows[((first_pair + own / image_width) * 2u32 + 1u32) as usize];
            output[(image_first + own) as usize] = images[(row * image_width + own % image_width) as usize];
        }
    }
}

/// The features of pairs: those of the texts from 0 on, those of the images from `image_first` on.
///
/// # Shapes
/// `features`: `[n_texts, widths[0]]` and `[n_images, widths[1]]` · `rows`: `[…, 2]`, of texts and images
pub(in crate::gpu) fn gather<R: CubeRuntime>(
    client: &ComputeClient<R>,
    features: [&Numbers<R>; 2],
    rows: &Numbers<R>,
    output: &Numbers<R>,
    (first_pair, n_pairs): (usize, usize),
    widths: [usize; 2],
    image_first: usize,
) {
    let n = n_pairs * (widths[0] + widths[1]);
    if n == 0 {
        return;
    }
    let (count, dim) = of_numbers(n);
    gather_kernel::launch::<R>(
        client,
        count,
        dim,
        features[0].argument(),
        features[1].argument(),
        rows.argument(),
        output.argument(),
        first_pair as u32,
        n_pairs as u32,
        widths[0] as u32,
        widths[1] as u32,
        image_first as u32,
    );
}

/// The values of one side's hidden layer, of all pairs.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Half {
    n_numbers: u32,
    width: u32,
    first: u32,
    bias: u32,
    output: u32,
}

#[cube(launch)]
fn activate_kernel(sums: &mut Array<f32>, parameters: &Array<f32>, output: &mut Array<f32>, text: Half, images: Half) {
    let place = place();
    let is_text = place < text.n_numbers;
    let own = select(is_text, place, place - text.n_numbers);
    if own < select(is_text, text.n_numbers, images.n_numbers) {
        let col = own % select(is_text, text.width, images.width);
        let at = (select(is_text, text.first, images.first) + own) as usize;
        let sum = sums[at] + parameters[(select(is_text, text.bias, images.bias) + col) as usize];
        sums[at] = sum;
        let value = sum * (Erf::erf(sum * 0.707_106_77f32) + 1.0f32) * 0.5f32;
        output[(select(is_text, text.output, images.output) + own) as usize] = value;
    }
}

#[cube(launch)]
fn slopes_kernel(gradient: &mut Array<f32>, sums: &Array<f32>, text: Half, images: Half) {
    let place = place();
    let is_text = place < text.n_numbers;
    let own = select(is_text, place, place - text.n_numbers);
    if own < select(is_text, text.n_numbers, images.n_numbers) {
        let at = (select(is_text, text.first, images.first) + own) as usize;
        let sum = sums[at];
        let density = f32::exp(sum * sum * -0.5f32) * 0.398_942_3f32;
        gradient[at] *= (Erf::erf(sum * 0.707_106_77f32) + 1.0f32) * 0.5f32 + sum * density;
    }
}

/// The hidden layer of a side, in arrays of both.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::gpu) struct HiddenLayer {
    /// Its width; 0 where the side has none.
    pub(in crate::gpu) width: usize,
    /// The place of its sums, and of their gradient.
    pub(in crate::gpu) sums: usize,
    /// The place of its bias among the parameters.
    pub(in crate::gpu) bias: usize,
    /// The place of its values.
    pub(in crate::gpu) values: usize,
}

impl HiddenLayer {
    fn half<R: CubeRuntime>(&self, n_pairs: usize) -> HalfLaunch<R> {
        let Self { width, sums, bias, values } = *self;
        let n_numbers = n_pairs * width;
        HalfLaunch::new(n_numbers as u32, width.max(1) as u32, sums as u32, bias as u32, values as u32)
    }
}

/// Adds the bias to the sums of both hidden layers, and writes the exact GELU of them.
pub(in crate::gpu) fn activate<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [sums, parameters, output]: [&Numbers<R>; 3],
    layers: [HiddenLayer; 2],
    n_pairs: usize,
) {
    let n_numbers = n_pairs * (layers[0].width + layers[1].width);
    if n_numbers > 0 {
        let (count, dim) = of_numbers(n_numbers);
        let [text, images] = layers.map(|layer| layer.half(n_pairs));
        let (sums, parameters, output) = (sums.argument(), parameters.argument(), output.argument());
        activate_kernel::launch::<R>(client, count, dim, sums, parameters, output, text, images);
    }
}

/// Multiplies the gradient of the values of both hidden layers by the slope of GELU: the gradient of their sums.
pub(in crate::gpu) fn multiply_slopes<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [gradient, sums]: [&Numbers<R>; 2],
    layers: [HiddenLayer; 2],
    n_pairs: usize,
) {
    let n_numbers = n_pairs * (layers[0].width + layers[1].width);
    if n_numbers > 0 {
        let (count, dim) = of_numbers(n_numbers);
        let [text, images] = layers.map(|layer| layer.half(n_pairs));
        slopes_kernel::launch::<R>(client, count, dim, gradient.argument(), sums.argument(), text, images);
    }
}

/// The rows of both sides, those of the texts first; a block for each row.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Rows {
    n_pairs: u32,
    width: u32,
    sums_of_images: u32,
    images: u32,
    text_bias: u32,
    image_bias: u32,
}

#[cube(launch)]
fn embed_kernel(
    sums: &Array<f32>,
    parameters: &Array<f32>,
    embedded: &mut Array<f32>,
    lengths: &mut Array<f32>,
    rows: Rows,
    #[comptime] has_bias: bool,
    #[comptime] normalize: bool,
) {
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let row = CUBE_POS as u32;
    let is_text = row < rows.n_pairs;
    let own = select(is_text, row, row - rows.n_pairs) * rows.width;
    let from = select(is_text, own, own + rows.sums_of_images);
    let to = select(is_text, own, own + rows.images);
    let bias = select(is_text, rows.text_bias, rows.image_bias);
    let is_row = row < rows.n_pairs * 2u32;
    let width = select(is_row, rows.width, 0u32);
    let mut squares = 0.0f32;
    let mut col = UNIT_POS;
    while col < width {
        let mut value = sums[(from + col) as usize];
        if comptime!(has_bias) {
            value += parameters[(bias + col) as usize];
        }
        embedded[(to + col) as usize] = value;
        squares += value * value;
        col += UNITS;
    }
    if comptime!(normalize) {
        let squares = sum_of_block(squares, &mut shared, 1u32);
        // A number that is none stays so.
        let length = f32::sqrt(select(squares < LEAST_SQUARE, LEAST_SQUARE, squares));
        if is_row && UNIT_POS == 0u32 {
            lengths[row as usize] = length;
        }
        let mut col = UNIT_POS;
        while col < width {
            embedded[(to + col) as usize] /= length;
            col += UNITS;
        }
    }
}

/// The embeddings of both sides.
#[derive(Debug, Clone, Copy)]
pub(in crate::gpu) struct Embedding {
    /// The pairs of the batch.
    pub(in crate::gpu) n_pairs: usize,
    /// The numbers of an embedding.
    pub(in crate::gpu) width: usize,
    /// The place of those of the images; those of the texts are the first.
    pub(in crate::gpu) images: usize,
    /// Whether they have length 1.
    pub(in crate::gpu) normalize: bool,
}

impl Embedding {
    fn rows<R: CubeRuntime>(&self, sums_of_images: usize, biases: Option<[usize; 2]>) -> RowsLaunch<R> {
        let [text_bias, image_bias] = biases.unwrap_or_default();
        RowsLaunch::new(
            self.n_pairs as u32,
            self.width as u32,
            sums_of_images as u32,
            self.images as u32,
            text_bias as u32,
            image_bias as u32,
        )
    }
}

/// Adds biases to the sums of both sides, if there are any, and scales each row to length 1 where that is wanted.
pub(in crate::gpu) fn embed<R: CubeRuntime>(
    client: &ComputeClient<R>,
    (sums, sums_of_images): (&Numbers<R>, usize),
    (parameters, biases): (&Numbers<R>, Option<[usize; 2]>),
    [embedded, lengths]: [&Numbers<R>; 2],
    embedding: Embedding,
) {
    let (count, dim) = of_blocks(2 * embedding.n_pairs);
    embed_kernel::launch::<R>(
        client,
        count,
        dim,
        sums.argument(),
        parameters.argument(),
        embedded.argument(),
        lengths.argument(),
        embedding.rows(sums_of_images, biases),
        biases.is_some(),
        embedding.normalize,
    );
}

#[cube(launch)]
fn lengths_kernel(
    embedded: &Array<f32>,
    lengths: &Array<f32>,
    gradient: &mut Array<f32>,
    rows: Rows,
    alignments: u32,
    #[comptime] normalize: bool,
) {
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let row = CUBE_POS as u32;
    let is_text = row < rows.n_pairs;
    let own = select(is_text, row, row - rows.n_pairs) * rows.width;
    let first = select(is_text, own, own + rows.images);
    let is_row = row < rows.n_pairs * 2u32;
    let width = select(is_row, rows.width, 0u32);
    let mut alignment = 0.0f32;
    let mut col = UNIT_POS;
    while col < width {
        alignment += embedded[(first + col) as usize] * gradient[(first + col) as usize];
        col += UNITS;
    }
    let alignment = sum_of_block(alignment, &mut shared, 1u32);
    if is_row && UNIT_POS == 0u32 {
        gradient[(alignments + row) as usize] = alignment;
    }
    if comptime!(normalize) {
        let mut col = UNIT_POS;
        while col < width {
            let at = (first + col) as usize;
            let length = lengths[row as usize];
            // The least divisor does not depend on the vector.
            let kept = select(length > LEAST_LENGTH, alignment, 0.0f32);
            gradient[at] = (gradient[at] - embedded[at] * kept) / length;
            col += UNITS;
        }
    }
}

/// Writes the inner product of each embedding and its gradient from `alignments` on, and turns the gradient with
/// respect to embeddings `e = z / |z|`, if they are scaled, into that for `z`: `(g - e · (e · g)) / |z|`.
pub(in crate::gpu) fn differentiate_lengths<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [embedded, lengths, gradient]: [&Numbers<R>; 3],
    alignments: usize,
    embedding: Embedding,
) {
    let (count, dim) = of_blocks(2 * embedding.n_pairs);
    lengths_kernel::launch::<R>(
        client,
        count,
        dim,
        embedded.argument(),
        lengths.argument(),
        gradient.argument(),
        embedding.rows(embedding.images, None),
        alignments as u32,
        embedding.normalize,
    );
}

//! The trainable heads as a burn module.

use std::io;

use burn::module::{Module, Param};
use burn::nn;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use crate::device::Precision;
use crate::gpu::backend::arithmetic::{Arithmetic, product};
use crate::heads::{Head, Heads, Linear};
use pipeline_kernels::{Matrix, RowReader, read_rows};

/// Both heads on a device.
#[derive(Module, Debug)]
pub(super) struct Projector<B: Backend> {
    text: Layers<B>,
    image: Layers<B>,
}

/// The layers of a head.
#[derive(Module, Debug)]
struct Layers<B: Backend> {
    hidden: Option<nn::Linear<B>>,
    output: nn::Linear<B>,
}

impl<B: Backend> Projector<B> {
    /// Copies `heads` to `device`.
    pub(super) fn new(heads: &Heads, device: &B::Device) -> Self {
        Self { text: Layers::new(&heads.text, device), image: Layers::new(&heads.image, device) }
    }

    /// Copies the heads back.
    pub(super) fn into_heads(self) -> Heads {
        Heads { text: self.text.into_head(), image: self.image.into_head() }
    }

    /// Maps features into the shared space.
    ///
    /// # Shapes
    /// - text: `[n_pairs, d_text]`, image: `[n_pairs, d_image]`
    /// - output: twice `[n_pairs, dim]`
    pub(super) fn forward(
        &self,
        text: Tensor<B, 2>,
        image: Tensor<B, 2>,
        precision: Precision,
    ) -> (Tensor<B, 2>, Tensor<B, 2>)
    where
        B: Arithmetic,
    {
        (self.text.forward(text, precision), self.image.forward(image, precision))
    }
}

impl<B: AutodiffBackend> Projector<B> {
    /// Adds `anchor · (w - w₀)` to the gradient of every weight `w`, where `w₀` is that of `start`.
    pub(super) fn pull_to(&self, start: &Projector<B::InnerBackend>, anchor: f64, gradients: &mut GradientsParams) {
        for (own, start) in [(&self.text, &start.text), (&self.image, &start.image)] {
            let layers = own.layers().zip(start.layers());
            for (nn::Linear { weight, bias }, start) in layers {
                pull(weight, &start.weight, anchor, gradients);
                bias.iter().zip(&start.bias).for_each(|(bias, start)| pull(bias, start, anchor, gradients));
            }
        }
    }
}

fn pull<B: AutodiffBackend, const D: usize>(
    weight: &Param<Tensor<B, D>>,
    start: &Param<Tensor<B::InnerBackend, D>>,
    anchor: f64,
    gradients: &mut GradientsParams,
) {
    let Some(gradient) = gradients.remove::<B::InnerBackend, D>(weight.id) else { return };
    let way = weight.val().inner() - start.val();
    gradients.register(weight.id, gradient + way * anchor);
}

impl<B: Backend> Layers<B> {
    fn new(head: &Head, device: &B::Device) -> Self {
        let hidden = head.hidden.as_ref().map(|linear| to_module(linear, device));
        Self { hidden, output: to_module(&head.output, device) }
    }

    fn layers(&self) -> impl Iterator<Item = &nn::Linear<B>> {
        self.hidden.iter().chain([&self.output])
    }

    fn into_head(self) -> Head {
        Head { top: None, attention: None, hidden: self.hidden.map(from_module), output: from_module(self.output) }
    }

    fn forward(&self, features: Tensor<B, 2>, precision: Precision) -> Tensor<B, 2>
    where
        B: Arithmetic,
    {
        match &self.hidden {
            None => affine(&self.output, features, precision),
            Some(hidden) => affine(&self.output, gelu(affine(hidden, features, precision)), precision),
        }
    }
}

/// `x·W + b`
pub(super) fn affine<B: Arithmetic>(layer: &nn::Linear<B>, rows: Tensor<B, 2>, precision: Precision) -> Tensor<B, 2> {
    let products = product(rows, layer.weight.val(), precision);
    match &layer.bias {
        Some(bias) => products + bias.val().unsqueeze(),
        None => products,
    }
}

/// `x · (1 + erf(x/√2)) / 2`, written out: the framework's own GELU has the slope of the tanh approximation on CUDA.
pub(super) fn gelu<B: Backend>(values: Tensor<B, 2>) -> Tensor<B, 2> {
    let doubled = values.clone() * ((values / std::f64::consts::SQRT_2).erf() + 1.0);
    doubled / 2.0
}

/// Reads the given rows, in their order, into one tensor.
///
/// # Shapes
/// - output: `[rows, n_cols]`
///
/// # Errors
/// When they cannot be read.
pub(super) fn gather_rows<B: Backend>(
    reader: &dyn RowReader,
    rows: &[usize],
    device: &B::Device,
) -> io::Result<Tensor<B, 2>> {
    let shape = [rows.len(), reader.n_cols()];
    Ok(Tensor::from_data(TensorData::new(read_rows(reader, rows)?, shape), device))
}

/// PyTorch's weight is `[out, in]`, burn's `[in, out]`.
pub(super) fn to_module<B: Backend>(linear: &Linear, device: &B::Device) -> nn::Linear<B> {
    let Matrix { n_rows, n_cols, .. } = linear.weight;
    let weight = TensorData::new(transposed(&linear.weight.values, n_rows, n_cols), [n_cols, n_rows]);
    let bias = TensorData::new(linear.bias.clone(), [n_rows]);
    nn::Linear { weight: Param::from_data(weight, device), bias: Some(Param::from_data(bias, device)) }
}

pub(super) fn from_module<B: Backend>(linear: nn::Linear<B>) -> Linear {
    let weight = linear.weight.into_value();
    let [n_inputs, n_outputs] = weight.dims();
    let weight = transposed(&to_values(weight), n_inputs, n_outputs);
    let bias = linear.bias.map_or(Vec::new(), |bias| to_values(bias.into_value()));
    Linear { weight: Matrix::new(n_outputs, n_inputs, weight), bias }
}

pub(super) fn to_values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data were just converted to f32")
}

fn transposed(values: &[f32], n_rows: usize, n_cols: usize) -> Vec<f32> {
    (0..n_cols).flat_map(|col| (0..n_rows).map(move |row| values[row * n_cols + col])).collect()
}

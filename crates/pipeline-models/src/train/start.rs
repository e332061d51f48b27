//! The initial weights of training.

use super::torch_random::TorchRandom;
use crate::heads::{Head, Heads, Linear};
use pipeline_kernels::Matrix;

/// The notebook's initial heads: PyTorch's own default for `seed`, bit for bit.
///
/// Equals `torch.manual_seed(seed)`, then `nn.Linear(d_text, dim)`, then `nn.Linear(d_image, dim)`. Weights and biases
/// are drawn uniformly between ±1/√(inputs); PyTorch writes the same bound as `kaiming_uniform_(a=sqrt(5))`.
///
/// # Shapes
/// `text.output.weight`: `[dim, d_text]`, `image.output.weight`: `[dim, d_image]`, biases: `[dim]`
pub fn initial_heads(d_text: usize, d_image: usize, dim: usize, seed: u64) -> Heads {
    let mut random = TorchRandom::new(seed);
    let text = initial_linear(&mut random, d_text, dim).into();
    let image = initial_linear(&mut random, d_image, dim).into();
    Heads { text, image }
}

/// The same with a hidden layer in each head.
///
/// Equals `torch.manual_seed(seed)`, then `nn.Sequential(nn.Linear(d_text, d_hidden), nn.GELU(), nn.Linear(d_hidden,
/// dim))`, then the same with `d_image`.
///
/// # Shapes
/// hidden weights: `[d_hidden, d_text]` and `[d_hidden, d_image]`, output weights: `[dim, d_hidden]`
pub fn initial_mlp_heads(d_text: usize, d_image: usize, d_hidden: usize, dim: usize, seed: u64) -> Heads {
    let mut random = TorchRandom::new(seed);
    let mut head = |d_features| Head {
        hidden: Some(initial_linear(&mut random, d_features, d_hidden)),
        output: initial_linear(&mut random, d_hidden, dim),
    };
    let text = head(d_text);
    Heads { text, image: head(d_image) }
}

/// Heads that leave features of this width as they are: unit matrices, without a bias.
///
/// # Shapes
/// weights: `[width, width]`, biases: `[width]`
pub fn identity_heads(width: usize) -> Heads {
    let mut weight = Matrix::zeros(width, width);
    weight.values.iter_mut().step_by(width + 1).for_each(|value| *value = 1.0);
    let head = Head::from(Linear { weight, bias: vec![0.0; width] });
    Heads { text: head.clone(), image: head }
}

fn initial_linear(random: &mut TorchRandom, n_inputs: usize, n_outputs: usize) -> Linear {
    let fan_in = n_inputs as f64;
    // In PyTorch's order of operations, since the last bit of the bound is in every weight.
    let gain = (2.0 / (1.0 + 5f64.sqrt().powi(2))).sqrt();
    let weight_bound = 3f64.sqrt() * (gain / fan_in.sqrt());
    let bias_bound = 1.0 / fan_in.sqrt();
    let weight = random.uniform(weight_bound as f32, n_outputs * n_inputs);
    let bias = random.uniform(bias_bound as f32, n_outputs);
    Linear { weight: Matrix::new(n_outputs, n_inputs, weight), bias }
}

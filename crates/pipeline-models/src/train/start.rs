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
        top: None,
        attention: None,
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

/// The sides whose tokens are pooled by a vector that is learnt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attentive {
    /// The texts.
    pub text: bool,
    /// The images.
    pub images: bool,
}

/// Adds the initial vectors by which tokens are weighed: PyTorch's own default for `seed`, bit for bit.
///
/// Equals `torch.manual_seed(seed)`, then the heads if they `are_drawn`, then `nn.Linear(width, 1, bias=False)` for the
/// texts, then the same for the images.
pub fn with_attention(mut heads: Heads, attentive: Attentive, seed: u64, are_drawn: bool) -> Heads {
    let mut random = TorchRandom::new(seed);
    if are_drawn {
        let layers = heads.text.layers().chain(heads.image.layers());
        random.skip(layers.map(|linear| linear.weight.values.len() + linear.bias.len()).sum());
    }
    for (head, is_wanted) in [(&mut heads.text, attentive.text), (&mut heads.image, attentive.images)] {
        let width = head.d_features();
        head.attention = is_wanted.then(|| random.uniform(weight_bound(width) as f32, width));
    }
    heads
}

fn initial_linear(random: &mut TorchRandom, n_inputs: usize, n_outputs: usize) -> Linear {
    let bias_bound = 1.0 / (n_inputs as f64).sqrt();
    let weight = random.uniform(weight_bound(n_inputs) as f32, n_outputs * n_inputs);
    let bias = random.uniform(bias_bound as f32, n_outputs);
    Linear { weight: Matrix::new(n_outputs, n_inputs, weight), bias }
}

/// The bound of `kaiming_uniform_(a=sqrt(5))`.
fn weight_bound(n_inputs: usize) -> f64 {
    // In PyTorch's order of operations, since the last bit of the bound is in every weight.
    let gain = (2.0 / (1.0 + 5f64.sqrt().powi(2))).sqrt();
    3f64.sqrt() * (gain / (n_inputs as f64).sqrt())
}

//! The maps of features into the shared space.

mod embed;
mod embedded_rows;
mod pool;

pub use embed::{EmbedError, embed, embed_features, embed_rows};
pub use embedded_rows::EmbeddedRows;
pub use pool::{Features, TokenPool, pool};
pub(crate) use pool::{attend, dot};

use crate::tower::Top;
use pipeline_kernels::Matrix;

/// A linear map with a bias: `output = input · weightᵀ + bias`.
///
/// # Shapes
/// - weight: `[n_outputs, n_inputs]`, as in PyTorch
/// - bias: `[n_outputs]`
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[n_outputs, n_inputs]`.
    pub weight: Matrix,
    /// `[n_outputs]`.
    pub bias: Vec<f32>,
}

/// The map of one side: linear, or a multilayer perceptron `output(gelu(hidden(input)))` with the exact GELU.
///
/// # Shapes
/// - attention: `[d_features]`
/// - hidden: `[d_hidden, d_features]`
/// - output: `[dim, d_features]`, or `[dim, d_hidden]` with a hidden layer
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The last layers of the encoder, where they are trained with the head: they make one vector of a row's tokens.
    pub top: Option<Top>,
    /// The vector by which the tokens of a row are weighed before the layers; `None` where rows have one vector.
    pub attention: Option<Vec<f32>>,
    /// The hidden layer, if there is one.
    pub hidden: Option<Linear>,
    /// The last layer.
    pub output: Linear,
}

/// The two maps into the shared space.
#[derive(Debug, Clone, PartialEq)]
pub struct Heads {
    /// Maps text features.
    pub text: Head,
    /// Maps image features.
    pub image: Head,
}

impl From<Linear> for Head {
    fn from(output: Linear) -> Self {
        Self { top: None, attention: None, hidden: None, output }
    }
}

impl Head {
    /// The layers, from input to output.
    pub fn layers(&self) -> impl Iterator<Item = &Linear> {
        self.hidden.iter().chain([&self.output])
    }

    /// The width of its input features.
    pub fn d_features(&self) -> usize {
        self.hidden.as_ref().unwrap_or(&self.output).weight.n_cols
    }
}

impl Heads {
    /// True when every weight and bias is finite.
    pub fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let mut layers = self.text.layers().chain(self.image.layers());
        let mut attentions = self.text.attention.iter().chain(&self.image.attention);
        let mut tops = [&self.text, &self.image].into_iter().filter_map(|head| head.top.as_ref());
        tops.all(Top::is_finite)
            && attentions.all(|vector| finite(vector))
            && layers.all(|linear| finite(&linear.weight.values) && finite(&linear.bias))
    }

    /// The width of the shared space.
    pub fn dim(&self) -> usize {
        self.text.output.weight.n_rows
    }
}

#[cfg(test)]
mod tests;

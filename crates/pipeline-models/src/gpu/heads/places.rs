//! Where the numbers of a training lie: what is learnt in arrays of one order, what a batch needs in arrays of both
//! sides.

use crate::gpu::kernels::heads::{HiddenLayer, View};
use crate::heads::{Head, Heads, Linear};
use pipeline_kernels::Matrix;

/// Matrices begin at multiples of it: 512 bytes, from which every device can read.
const ALIGNED_TO: usize = 128;

/// Gives out places, one after the other.
#[derive(Default)]
struct Free {
    first: usize,
}

impl Free {
    fn take(&mut self, length: usize) -> usize {
        let first = self.first;
        self.first = (first + length).next_multiple_of(ALIGNED_TO);
        first
    }
}

/// The places of a layer's weight, `[n_outputs, n_inputs]`, and its bias.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerPlaces {
    n_inputs: usize,
    pub(super) n_outputs: usize,
    weight: usize,
    pub(super) bias: usize,
}

impl LayerPlaces {
    fn new(linear: &Linear, free: &mut Free) -> Self {
        let Matrix { n_rows: n_outputs, n_cols: n_inputs, .. } = linear.weight;
        Self { n_inputs, n_outputs, weight: free.take(n_inputs * n_outputs), bias: free.take(n_outputs) }
    }

    /// `[n_outputs, n_inputs]`
    pub(super) fn weight(&self) -> View {
        View::new(self.weight, self.n_outputs, self.n_inputs)
    }

    fn write(&self, linear: &Linear, values: &mut [f32]) {
        values[self.weight..][..linear.weight.values.len()].copy_from_slice(&linear.weight.values);
        values[self.bias..][..linear.bias.len()].copy_from_slice(&linear.bias);
    }

    fn read(&self, values: &[f32]) -> Linear {
        let weight = values[self.weight..][..self.n_outputs * self.n_inputs].to_vec();
        let bias = values[self.bias..][..self.n_outputs].to_vec();
        Linear { weight: Matrix::new(self.n_outputs, self.n_inputs, weight), bias }
    }
}

/// The places of a head's layers.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadPlaces {
    pub(super) hidden: Option<LayerPlaces>,
    pub(super) output: LayerPlaces,
}

/// The places of all that is learnt.
#[derive(Debug, Clone, Copy)]
pub(super) struct LearntPlaces {
    /// Of the texts and of the images.
    pub(super) sides: [HeadPlaces; 2],
    /// That of `ln(1 / temperature)`, if it is learnt.
    pub(super) logit_scale: Option<usize>,
    /// The numbers of an array, gaps included.
    pub(super) length: usize,
}

impl LearntPlaces {
    pub(super) fn new(heads: &Heads, learns_temperature: bool) -> Self {
        let mut free = Free::default();
        let sides = [&heads.text, &heads.image].map(|head| HeadPlaces {
            hidden: head.hidden.as_ref().map(|linear| LayerPlaces::new(linear, &mut free)),
            output: LayerPlaces::new(&head.output, &mut free),
        });
        let logit_scale = learns_temperature.then(|| free.take(1));
        Self { sides, logit_scale, length: free.first }
    }

    /// Heads in their places, with 0 in the gaps, and the number that is learnt for the temperature.
    pub(super) fn values(&self, heads: &Heads, logit_scale: f32) -> Vec<f32> {
        let mut values = vec![0.0; self.length];
        for (places, head) in self.sides.iter().zip([&heads.text, &heads.image]) {
            places.output.write(&head.output, &mut values);
            if let (Some(places), Some(hidden)) = (places.hidden, &head.hidden) {
                places.write(hidden, &mut values);
            }
        }
        if let Some(place) = self.logit_scale {
            values[place] = logit_scale;
        }
        values
    }

    /// The heads in these places.
    pub(super) fn heads(&self, values: &[f32]) -> Heads {
        let [text, image] = self.sides.map(|HeadPlaces { hidden, output }| Head {
            top: None,
            attention: None,
            hidden: hidden.map(|places| places.read(values)),
            output: output.read(values),
        });
        Heads { text, image }
    }
}

/// The places of what a batch needs, of the texts and of the images, in arrays for the largest batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchPlaces {
    /// The widths of features.
    pub(super) widths: [usize; 2],
    /// Features in the array of inputs.
    pub(super) features: [usize; 2],
    /// The layers' inputs in the same array, behind the features: values of hidden layers; and their sums elsewhere.
    pub(super) hidden: [HiddenLayer; 2],
    /// The numbers of inputs.
    pub(super) n_inputs: usize,
    /// The numbers of hidden sums.
    pub(super) n_hidden: usize,
    /// The numbers of an embedding.
    pub(super) dim: usize,
    /// Embeddings, the sums that they are made of, and their gradient.
    pub(super) embedded: [usize; 2],
    /// Behind the gradient, the inner products of embeddings and gradients.
    pub(super) alignments: usize,
    /// The numbers of embeddings, and of the inner products.
    pub(super) n_embedded: usize,
}

impl BatchPlaces {
    pub(super) fn new(widths: [usize; 2], learnt: Option<&LearntPlaces>, n_pairs: usize) -> Self {
        let mut free = Free::default();
        let features = widths.map(|width| free.take(n_pairs * width));
        let mut free_sums = Free::default();
        let hidden_of = |side: usize| learnt.and_then(|learnt| learnt.sides[side].hidden);
        let hidden = [0, 1].map(|side| {
            hidden_of(side).map_or_else(HiddenLayer::default, |LayerPlaces { n_outputs: width, bias, .. }| {
                HiddenLayer { width, sums: free_sums.take(n_pairs * width), bias, values: free.take(n_pairs * width) }
            })
        });
        let dim = learnt.map_or(widths[0], |learnt| learnt.sides[0].output.n_outputs);
        let mut free_embedded = Free::default();
        let embedded = [0, 1].map(|_| free_embedded.take(n_pairs * dim));
        let alignments = free_embedded.take(2 * n_pairs);
        Self {
            widths,
            features,
            hidden,
            n_inputs: free.first,
            n_hidden: free_sums.first,
            dim,
            embedded,
            alignments,
            n_embedded: free_embedded.first,
        }
    }

    /// The features of a side's pairs: `[n_pairs, width]`.
    pub(super) fn features(&self, side: usize, n_pairs: usize) -> View {
        View::new(self.features[side], n_pairs, self.widths[side])
    }

    /// The values of a side's hidden layer: `[n_pairs, width]`.
    pub(super) fn hidden(&self, side: usize, n_pairs: usize) -> View {
        View::new(self.hidden[side].values, n_pairs, self.hidden[side].width)
    }

    /// The sums of a side's hidden layer: `[n_pairs, width]`.
    pub(super) fn hidden_sums(&self, side: usize, n_pairs: usize) -> View {
        View::new(self.hidden[side].sums, n_pairs, self.hidden[side].width)
    }

    /// The embeddings of a side: `[n_pairs, dim]`.
    pub(super) fn embedded(&self, side: usize, n_pairs: usize) -> View {
        View::new(self.embedded[side], n_pairs, self.dim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{initial_heads, initial_mlp_heads};

    #[test]
    fn heads_come_back_from_their_places() {
        let mlp = initial_mlp_heads(7, 5, 3, 2, 1);
        let mixed = Heads { text: initial_heads(7, 5, 2, 1).text, image: mlp.image.clone() };
        for heads in [initial_heads(7, 5, 2, 1), mlp, mixed] {
            let places = LearntPlaces::new(&heads, true);
            let values = places.values(&heads, 2.5);
            assert_eq!((places.heads(&values), values.len()), (heads, places.length));
            assert_eq!(values[places.logit_scale.unwrap()], 2.5);
        }
    }
}

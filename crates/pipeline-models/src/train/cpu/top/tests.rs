//! Gradients of every form of a layer against finite differences in double precision, and bits against each other.

use pipeline_kernels::{TokenMatrix, TokenNumbers, on_threads};

use super::*;
use crate::gpu::reference;
use crate::heads::{Head, Heads, Linear};
use crate::tower::fixtures::{dense, noise, top};
use crate::tower::{Activation, DenseWeights, LayerShape, LayerWeights, NormPlace, NormWeights};
use crate::train::steps::{self, Learner};
use crate::train::{PairedFeatures, TrainOptions, processor_learner};
use crate::weights::fixtures::{self, assert_same_bits};
use pipeline_kernels::Matrix;

const RATE: TopRate = TopRate { lr: 1e-3, decay: 0.5 };

fn tokens(width: usize, lengths: &[usize]) -> TokenMatrix {
    let n_tokens: usize = lengths.iter().sum();
    TokenMatrix::new(width, lengths.iter().copied(), TokenNumbers::Single(noise("tokens", n_tokens * width, 1.0)))
}

/// A top as numbers in double precision: those that learn, layer after layer, and the same functions written down
/// without regard to speed.
struct Slow<'a> {
    top: &'a Top,
    weights: Vec<Vec<f64>>,
}

/// Vectors, one after the other.
type Vectors = Vec<Vec<f64>>;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn weights_of(top: &Top) -> Vec<Vec<f64>> {
    let of_layer = |layer: &LayerWeights| {
        let maps = [&layer.query, &layer.key, &layer.value, &layer.attention_output];
        let of_map = |map: &DenseWeights| [wide(&map.weight), wide(&map.bias)];
        let of_norm = |norm: &NormWeights| [wide(&norm.scale), wide(&norm.shift)];
        let first = maps.into_iter().flat_map(of_map).chain(of_norm(&layer.attention_norm));
        let second = [&layer.intermediate, &layer.output].into_iter().flat_map(of_map);
        first.chain(second).chain(of_norm(&layer.output_norm)).collect::<Vec<_>>()
    };
    top.layers.iter().flat_map(of_layer).collect()
}

fn map(rows: &Vectors, weight: &[f64], bias: &[f64]) -> Vectors {
    let of_row = |row: &Vec<f64>| {
        let outputs = weight.chunks_exact(row.len()).zip(bias);
        outputs.map(|(weights, bias)| bias + weights.iter().zip(row).map(|(a, b)| a * b).sum::<f64>()).collect()
    };
    rows.iter().map(of_row).collect()
}

fn normed(rows: &Vectors, scale: &[f64], shift: &[f64], epsilon: f64) -> Vectors {
    let of_row = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / row.len() as f64;
        let scaled = row.iter().map(|value| (value - mean) / (variance + epsilon).sqrt());
        scaled.zip(scale.iter().zip(shift)).map(|(value, (scale, shift))| value * scale + shift).collect()
    };
    rows.iter().map(of_row).collect()
}

fn sum(left: &Vectors, right: &Vectors) -> Vectors {
    left.iter().zip(right).map(|(left, right)| left.iter().zip(right).map(|(a, b)| a + b).collect()).collect()
}

/// The error function as an integral by Simpson's rule.
fn erf(x: f64) -> f64 {
    let (n, step) = (400, x / 400.0);
    let weight = |idx: i32| if idx == 0 || idx == n { 1.0 } else { f64::from(2 + 2 * (idx % 2)) };
    let terms = (0..=n).map(|idx| weight(idx) * (-(f64::from(idx) * step).powi(2)).exp());
    terms.sum::<f64>() * step / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

fn activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu => 0.5 * x * (1.0 + erf(x / 2f64.sqrt())),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Relu => x.max(0.0),
    }
}

impl Slow<'_> {
    fn attend(&self, [query, key, value]: [Vectors; 3]) -> Vectors {
        let LayerShape { width, n_heads, is_causal, .. } = self.top.shape;
        let head_width = width / n_heads;
        let mut context = vec![vec![0.0; width]; query.len()];
        for first in (0..width).step_by(head_width) {
            for (place, query) in query.iter().enumerate() {
                let n_seen = if is_causal { place + 1 } else { key.len() };
                let score = |key: &Vec<f64>| {
                    let part = first..first + head_width;
                    query[part.clone()].iter().zip(&key[part]).map(|(a, b)| a * b).sum::<f64>()
                        / (head_width as f64).sqrt()
                };
                let shares: Vec<f64> = key[..n_seen].iter().map(|key| score(key).exp()).collect();
                let all: f64 = shares.iter().sum();
                for (share, value) in shares.iter().zip(&value) {
                    (first..first + head_width).for_each(|col| context[place][col] += share / all * value[col]);
                }
            }
        }
        context
    }

    fn layer(&self, rows: &Vectors, weights: &[Vec<f64>]) -> Vectors {
        let LayerShape { epsilon, norms, .. } = self.top.shape;
        let dense = |rows: &Vectors, idx: usize| map(rows, &weights[2 * idx], &weights[2 * idx + 1]);
        let norm = |rows: &Vectors, idx: usize| normed(rows, &weights[2 * idx], &weights[2 * idx + 1], epsilon);
        let act = |rows: Vectors| -> Vectors {
            let of_row = |row: Vec<f64>| row.iter().map(|x| activation(self.top.shape.activation, *x)).collect();
            rows.into_iter().map(of_row).collect()
        };
        let branch = |rows: &Vectors| dense(&self.attend([0, 1, 2].map(|idx| dense(rows, idx))), 3);
        let feed = |rows: &Vectors| dense(&act(dense(rows, 5)), 6);
        match norms {
            NormPlace::After => {
                let attended = norm(&sum(rows, &branch(rows)), 4);
                norm(&sum(&attended, &feed(&attended)), 7)
            }
            NormPlace::Before => {
                let attended = sum(rows, &branch(&norm(rows, 4)));
                sum(&attended, &feed(&norm(&attended, 7)))
            }
        }
    }

    fn feature(&self, rows: Vectors) -> Vec<f64> {
        let epsilon = self.top.shape.epsilon;
        let mut rows = self.weights.chunks_exact(16).fold(rows, |rows, weights| self.layer(&rows, weights));
        if let Some(norm) = &self.top.final_norm {
            rows = normed(&rows, &wide(&norm.scale), &wide(&norm.shift), epsilon);
        }
        let pooled = match self.top.pool {
            TopPool::First => rows[0].clone(),
            TopPool::Last => rows[rows.len() - 1].clone(),
            TopPool::Mean { n_skipped } => {
                let n = (rows.len() - n_skipped) as f64;
                let zeros = vec![0.0; rows[0].len()];
                let add = |sum: Vec<f64>, row: &Vec<f64>| sum.iter().zip(row).map(|(a, b)| a + b / n).collect();
                rows[n_skipped..].iter().fold(zeros, add)
            }
        };
        let step = |rows: Vectors, step: &HeadStep| match step {
            HeadStep::Dense(dense) => map(&rows, &wide(&dense.weight), &wide(&dense.bias)),
            HeadStep::Norm(norm) => normed(&rows, &wide(&norm.scale), &wide(&norm.shift), epsilon),
            HeadStep::Tanh => rows.iter().map(|row| row.iter().map(|value| value.tanh()).collect()).collect(),
        };
        self.top.head.iter().fold(vec![pooled], step).remove(0)
    }

    /// The sum of all features, each number with its factor.
    fn loss(&self, tokens: &TokenMatrix, factors: &[f32]) -> f64 {
        let mut buffer = Vec::new();
        let of_row = |row_idx| {
            let vectors = wide(tokens.row(row_idx, &mut buffer)).chunks(tokens.width()).map(<[f64]>::to_vec).collect();
            let factors = factors.iter().skip(row_idx).step_by(tokens.n_rows());
            self.feature(vectors).iter().zip(factors).map(|(value, factor)| value * f64::from(*factor)).sum::<f64>()
        };
        (0..tokens.n_rows()).map(of_row).sum()
    }
}

/// Compares features and the gradient of every eleventh weight.
fn check(shape: LayerShape, pool: TopPool) {
    let top = top(shape, 2, 7, pool);
    let tokens = tokens(shape.width, &[3, 1 + usize::from(matches!(pool, TopPool::Mean { .. })), 5]);
    let rows = [0, 1, 2];
    let factors = noise("factors", 5 * rows.len(), 1.0);
    let mut slow = Slow { top: &top, weights: weights_of(&top) };
    for instructions in InstructionSet::available() {
        let mut own = TrainedTop::new(&tokens, top.clone(), RATE, instructions);
        own.forward(&rows).unwrap();
        let features = (0..5).flat_map(|col| rows.map(|row_idx| own.row(row_idx)[col]));
        let loss: f64 = features.zip(&factors).map(|(value, factor)| f64::from(value * factor)).sum();
        let exact = slow.loss(&tokens, &factors);
        assert!((loss - exact).abs() < 1e-5, "{shape:?}, {pool:?}, {instructions:?}: {loss} instead of {exact}");
        own.learn(factors.clone(), 1.0);
        let gradients: Vec<Vec<f32>> = own.layers.iter().flat_map(TrainedLayer::first_gradients).collect();
        assert_eq!(gradients.len(), slow.weights.len());
        for (tensor_idx, gradient) in gradients.iter().enumerate() {
            // The bias of keys stays as it is.
            let is_frozen = tensor_idx % 16 == 3;
            for place in (0..gradient.len()).step_by(11) {
                let mut at = |by: f64| {
                    slow.weights[tensor_idx][place] += by;
                    let loss = slow.loss(&tokens, &factors);
                    slow.weights[tensor_idx][place] -= by;
                    loss
                };
                let slope = if is_frozen { 0.0 } else { (at(1e-4) - at(-1e-4)) / 2e-4 };
                let difference = (f64::from(gradient[place]) - slope).abs();
                let what = format!("{shape:?}, {pool:?}, {instructions:?}: tensor {tensor_idx}, number {place}");
                assert!(difference < 2e-5 * slope.abs().max(1.0), "{what}: {} instead of {slope}", gradient[place]);
            }
        }
    }
}

fn shape(norms: NormPlace, activation: Activation, is_causal: bool) -> LayerShape {
    LayerShape { width: 6, n_heads: 2, activation, epsilon: 1e-5, norms, is_causal }
}

#[test]
fn gradients_of_every_form_of_a_layer_are_those_of_finite_differences() {
    use Activation::{Gelu, GeluTanh, QuickGelu, Relu};
    for norms in [NormPlace::After, NormPlace::Before] {
        check(shape(norms, Gelu, false), TopPool::First);
        check(shape(norms, GeluTanh, false), TopPool::Last);
        check(shape(norms, QuickGelu, true), TopPool::Last);
        check(shape(norms, QuickGelu, true), TopPool::Mean { n_skipped: 0 });
        check(shape(norms, Relu, false), TopPool::Mean { n_skipped: 1 });
    }
}

/// Features and weights after two steps, of rows that are longer than a tile and together deeper than a block.
fn trained(norms: NormPlace, pool: TopPool, instructions: InstructionSet) -> Vec<f32> {
    let shape = LayerShape { width: 80, n_heads: 5, ..shape(norms, Activation::Gelu, false) };
    let tokens = tokens(80, &[40, 3, 17, 1, 33, 200, 120]);
    let mut own = TrainedTop::new(&tokens, top(shape, 2, 150, pool), RATE, instructions);
    let mut all = Vec::new();
    for _ in 0..2 {
        own.forward(&[0, 1, 2, 3, 4, 5, 6, 2]).unwrap();
        (0..8).for_each(|place| all.extend_from_slice(own.row(place)));
        own.learn(noise("factors", 5 * 8, 1.0), 1.0);
    }
    let weights = weights_of(&own.to_top());
    all.extend(weights.iter().flatten().map(|value| *value as f32));
    all
}

#[test]
fn instruction_sets_and_threads_change_no_bit() {
    for (norms, pool) in [(NormPlace::After, TopPool::First), (NormPlace::Before, TopPool::Mean { n_skipped: 0 })] {
        assert_same_bits(&format!("{norms:?}, {pool:?}"), |instructions| trained(norms, pool, instructions));
        let of = |n_threads| on_threads(n_threads, || trained(norms, pool, InstructionSet::best()));
        let one = fixtures::bits(&of(1));
        assert!([2, 3, 7].into_iter().all(|n_threads| fixtures::bits(&of(n_threads)) == one), "{norms:?}");
    }
}

/// A head with layers before it.
fn head(name: &str, top: Top) -> Head {
    let DenseWeights { n_in, n_out, weight, bias } = dense(name, top.dim(), 3);
    Head { top: Some(top), ..Linear { weight: Matrix::new(n_out, n_in, weight), bias }.into() }
}

#[test]
fn layers_of_every_form_learn_as_in_the_framework() {
    use Activation::{Gelu, GeluTanh, QuickGelu, Relu};
    let mean = |n_skipped| TopPool::Mean { n_skipped };
    let before = |activation, is_causal| shape(NormPlace::Before, activation, is_causal);
    let after = |activation, is_causal| shape(NormPlace::After, activation, is_causal);
    for (text, image) in [
        ((after(Gelu, false), mean(0)), (before(QuickGelu, true), TopPool::Last)),
        ((after(Relu, true), TopPool::Last), (before(GeluTanh, false), mean(1))),
        ((before(Gelu, true), mean(0)), (after(QuickGelu, false), TopPool::First)),
    ] {
        let (texts, images) = (tokens(6, &[3, 9, 4, 2, 5, 7]), tokens(6, &[4, 2, 6]));
        let side = |name, (shape, pool)| head(name, top(shape, 2, 7, pool));
        let start = Heads { text: side("text", text), image: side("image", image) };
        let pairs: Vec<_> = (0..12).map(|idx| (idx % 6, idx % 3)).collect();
        let data = PairedFeatures { text: (&texts).into(), images: (&images).into(), pairs: &pairs };
        let options = TrainOptions {
            text_top: RATE,
            image_top: TopRate { lr: 2e-3, decay: 0.9 },
            batch_size: 5,
            epochs: 3,
            ..TrainOptions::default()
        };
        let run =
            |learner: &mut dyn Learner| steps::run(12, &options, None, learner, &mut |_| true, &|| false).unwrap();
        let expected = run(&mut *reference::learner(&data, &options, Some(start.clone())));
        let found = run(&mut *processor_learner(&data, &options, Some(start), InstructionSet::best()));
        for (expected, step) in expected.losses.iter().zip(&found.losses) {
            assert!((expected.loss - step.loss).abs() < 2e-5, "{text:?}: {step:?} instead of {expected:?}");
        }
        let [expected, found] = [expected, found].map(|trained| trained.heads.unwrap());
        for (expected, found) in [(expected.text, found.text), (expected.image, found.image)] {
            let [expected, found] = [expected, found].map(|head| weights_of(&head.top.unwrap()));
            for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
                assert!((expected - found).abs() < 2e-4, "{text:?}, {image:?}: {found} instead of {expected}");
            }
        }
    }
}

//! The pull to the start, against a training in f64 that follows the formulas word by word.

use super::patterned;
use crate::gpu::reference;
use crate::heads::{Features, Head, Heads, Linear};
use crate::train::cpu::CpuLearner;
use crate::train::goldens::max_weight_difference;
use crate::train::{PairedFeatures, TrainOptions, Trained, identity_heads, initial_heads, steps};
use pipeline_kernels::{InstructionSet, Matrix};

/// Rounding grows from step to step, since Adam's steps do not shrink with the gradient.
const LOSS_TOLERANCE: f64 = 2e-5;
const WEIGHT_TOLERANCE: f32 = 2e-4;

/// A linear head: of each output its weights and then its bias, with the start and Adam's means of all.
struct PlainHead {
    n_outputs: usize,
    weights: Vec<f64>,
    starts: Vec<f64>,
    means: Vec<f64>,
    squares: Vec<f64>,
}

/// An embedding of length one, and its length before.
struct Embedded {
    values: Vec<f64>,
    length: f64,
}

impl PlainHead {
    fn new(Head { output, .. }: &Head) -> Self {
        let rows = output.weight.values.chunks_exact(output.weight.n_cols).zip(&output.bias);
        let weights: Vec<f64> = rows.flat_map(|(row, bias)| row.iter().chain([bias])).copied().map(f64::from).collect();
        let zeros = vec![0.0; weights.len()];
        let (means, squares, starts) = (zeros.clone(), zeros, weights.clone());
        Self { n_outputs: output.bias.len(), weights, starts, means, squares }
    }

    fn to_head(&self) -> Head {
        let n_inputs = self.weights.len() / self.n_outputs - 1;
        let rows: Vec<Vec<f32>> = self
            .weights
            .chunks_exact(n_inputs + 1)
            .map(|row| row.iter().map(|weight| *weight as f32).collect())
            .collect();
        let weight = rows.iter().flat_map(|row| &row[..n_inputs]).copied().collect();
        let bias = rows.iter().map(|row| row[n_inputs]).collect();
        Linear { weight: Matrix::new(self.n_outputs, n_inputs, weight), bias }.into()
    }

    fn embed(&self, features: &[f64]) -> Embedded {
        let rows = self.weights.chunks_exact(features.len());
        let values: Vec<f64> = rows.map(|row| dot(row, features)).collect();
        let length = dot(&values, &values).sqrt();
        Embedded { values: values.iter().map(|value| value / length).collect(), length }
    }

    /// The step `n_steps`, from 1, by the slopes of the loss in the embeddings of a batch.
    fn learn(
        &mut self,
        batch: &[Vec<f64>],
        embedded: &[Embedded],
        slopes: &[Vec<f64>],
        options: &TrainOptions,
        n_steps: i32,
    ) {
        let n_inputs = batch[0].len();
        let mut gradient = vec![0.0; self.weights.len()];
        for ((features, Embedded { values, length }), slope) in batch.iter().zip(embedded).zip(slopes) {
            let along = dot(values, slope);
            for (output_idx, row) in gradient.chunks_exact_mut(n_inputs).enumerate() {
                let of_sum = (slope[output_idx] - values[output_idx] * along) / length;
                row.iter_mut().zip(features).for_each(|(gradient, feature)| *gradient += of_sum * feature);
            }
        }
        for (idx, gradient) in gradient.into_iter().enumerate() {
            let weight = self.weights[idx];
            let gradient = gradient + options.weight_decay * weight + options.anchor * (weight - self.starts[idx]);
            self.means[idx] = 0.9 * self.means[idx] + 0.1 * gradient;
            self.squares[idx] = 0.999 * self.squares[idx] + 0.001 * gradient * gradient;
            let mean = self.means[idx] / (1.0 - 0.9f64.powi(n_steps));
            let square = self.squares[idx] / (1.0 - 0.999f64.powi(n_steps));
            self.weights[idx] -= options.lr * mean / (square.sqrt() + 1e-8);
        }
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The row of a matrix, with a one for the bias.
fn with_one(features: Features<'_>, row_idx: usize) -> Vec<f64> {
    let rows = features.vectors().unwrap().in_memory(row_idx..row_idx + 1).unwrap();
    rows.iter().chain([&1.0]).copied().map(f64::from).collect()
}

/// The loss of a batch, and its slopes in the embeddings of texts and images.
fn contrast(text: &[Embedded], image: &[Embedded], temperature: f64) -> (f64, [Vec<Vec<f64>>; 2]) {
    let n_pairs = text.len();
    let logit = |row: usize, col: usize| dot(&text[row].values, &image[col].values) / temperature;
    let of_row = |row: usize| (0..n_pairs).map(|col| logit(row, col).exp()).sum::<f64>();
    let of_column = |col: usize| (0..n_pairs).map(|row| logit(row, col).exp()).sum::<f64>();
    let share = 1.0 / (2 * n_pairs) as f64;
    let losses = (0..n_pairs).map(|idx| of_row(idx).ln() + of_column(idx).ln() - 2.0 * logit(idx, idx));
    let zeros = || vec![vec![0.0; text[0].values.len()]; n_pairs];
    let (mut of_texts, mut of_images) = (zeros(), zeros());
    for row in 0..n_pairs {
        for col in 0..n_pairs {
            let softmaxes = logit(row, col).exp() * (1.0 / of_row(row) + 1.0 / of_column(col));
            let slope = share * (softmaxes - if row == col { 2.0 } else { 0.0 }) / temperature;
            let add = |slopes: &mut Vec<f64>, other: &Embedded| {
                slopes.iter_mut().zip(&other.values).for_each(|(sum, value)| *sum += slope * value);
            };
            add(&mut of_texts[row], &image[col]);
            add(&mut of_images[col], &text[row]);
        }
    }
    (losses.sum::<f64>() * share, [of_texts, of_images])
}

fn plainly_trained(data: &PairedFeatures<'_>, options: &TrainOptions, start: &Heads) -> (Heads, Vec<f64>) {
    let (mut text, mut image) = (PlainHead::new(&start.text), PlainHead::new(&start.image));
    let mut losses = Vec::new();
    for _ in 0..options.epochs {
        for pairs in data.pairs.chunks(options.batch_size) {
            let texts: Vec<_> = pairs.iter().map(|(row_idx, _)| with_one(data.text, *row_idx)).collect();
            let images: Vec<_> = pairs.iter().map(|(_, row_idx)| with_one(data.images, *row_idx)).collect();
            let of_texts: Vec<_> = texts.iter().map(|features| text.embed(features)).collect();
            let of_images: Vec<_> = images.iter().map(|features| image.embed(features)).collect();
            let (loss, [text_slopes, image_slopes]) = contrast(&of_texts, &of_images, options.temperature);
            losses.push(loss);
            let n_steps = losses.len() as i32;
            text.learn(&texts, &of_texts, &text_slopes, options, n_steps);
            image.learn(&images, &of_images, &image_slopes, options, n_steps);
        }
    }
    (Heads { text: text.to_head(), image: image.to_head() }, losses)
}

/// Trains with every instruction set and in the framework.
fn trained(data: &PairedFeatures<'_>, options: &TrainOptions, start: &Heads) -> Vec<(String, Trained)> {
    let run = |learner: &mut dyn steps::Learner| {
        steps::run(data.pairs.len(), options, None, learner, &mut |_| true, &|| false).unwrap()
    };
    let of_framework = run(&mut *reference::learner(data, options, Some(start.clone())));
    let own = InstructionSet::available().into_iter().map(|instructions| {
        let mut learner = CpuLearner::new(data, options, Some(start.clone()), instructions);
        (format!("{instructions:?}"), run(&mut learner))
    });
    std::iter::once(("the framework".to_owned(), of_framework)).chain(own).collect()
}

fn check(data: &PairedFeatures<'_>, options: &TrainOptions, start: &Heads) {
    let (heads, losses) = plainly_trained(data, options, start);
    for (name, trained) in trained(data, options, start) {
        assert_eq!(trained.losses.len(), losses.len());
        for (step, loss) in trained.losses.iter().zip(&losses) {
            let error = (f64::from(step.loss) - loss).abs() / loss.max(1.0);
            assert!(error < LOSS_TOLERANCE, "{name}, {options:?}: {step:?} instead of {loss}");
        }
        let error = max_weight_difference(&heads, trained.heads.as_ref().unwrap());
        println!("{name}, anchor {}, weight decay {}: weights ± {error:e}", options.anchor, options.weight_decay);
        assert!(error < WEIGHT_TOLERANCE, "{name}, {options:?}: weights ± {error:e}");
    }
}

#[test]
fn the_pull_to_the_start_and_the_pull_to_zero_are_those_of_the_formula() {
    let (text, images) = (patterned(23, 12), patterned(29, 12));
    let pairs: Vec<_> = (0..46).map(|idx| (idx % 23, idx * 5 % 29)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    for start in [initial_heads(12, 12, 7, 3), identity_heads(12)] {
        for (anchor, weight_decay) in [(0.0, 0.0), (0.3, 0.0), (0.3, 0.1)] {
            let options =
                TrainOptions { anchor, weight_decay, lr: 1e-2, epochs: 6, batch_size: 10, ..Default::default() };
            check(&data, &options, &start);
        }
    }
}

#[test]
fn the_stronger_the_anchor_the_nearer_to_the_start_a_training_ends() {
    let (text, images) = (patterned(40, 12), patterned(40, 12));
    let pairs: Vec<_> = (0..40).map(|idx| (idx, idx * 7 % 40)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let start = identity_heads(12);
    let way = |anchor| {
        let options = TrainOptions { anchor, weight_decay: 0.0, epochs: 40, ..Default::default() };
        let mut learner = CpuLearner::new(&data, &options, Some(start.clone()), InstructionSet::best());
        let trained = steps::run(pairs.len(), &options, None, &mut learner, &mut |_| true, &|| false).unwrap();
        max_weight_difference(&start, &trained.heads.unwrap())
    };
    let ways = [0.0, 1e-2, 1.0].map(way);
    println!("{ways:?}");
    assert!(ways[0] > ways[1] && ways[1] > ways[2], "{ways:?}");
}

//! The processor's own steps against the framework's.

use super::*;
use crate::gpu::reference;
use crate::train::goldens::max_weight_difference;
use crate::train::{LrSchedule, Positives, TrainOptions, Trained, initial_heads, initial_mlp_heads, steps};
use crate::weights::fixtures::{self, assert_same_bits};
use pipeline_kernels::Matrix;

/// As for PyTorch's goldens: rounding grows from step to step, since Adam's steps do not shrink with the gradient.
const LOSS_TOLERANCE: f32 = 2e-5;
const WEIGHT_TOLERANCE: f32 = 2e-4;
const D_TEXT: usize = 70;
const D_IMAGE: usize = 100;

/// A training, and the heads that it starts from, if there are any.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) options: TrainOptions,
    pub(crate) start: Option<Heads>,
}

fn heads(dim: usize) -> Heads {
    initial_heads(D_TEXT, D_IMAGE, dim, 5)
}

fn noise(name: &str, n_rows: usize, n_cols: usize) -> Matrix {
    Matrix::new(n_rows, n_cols, fixtures::noise(name, vec![n_rows, n_cols], 1.0).values)
}

impl Case {
    fn new(options: TrainOptions, start: Heads) -> Self {
        Self { options, start: Some(start) }
    }

    /// Works on features and pairs: every text and image is part of two of these, and the last batch may be smaller.
    pub(crate) fn with_data<T>(&self, work: impl FnOnce(&PairedFeatures<'_>) -> T) -> T {
        let d_image = if self.start.is_some() { D_IMAGE } else { D_TEXT };
        let (text, images) = (noise("text", 41, D_TEXT), noise("images", 37, d_image));
        let pairs: Vec<_> = (0..74).map(|idx| (idx % 41, idx * 5 % 37)).collect();
        work(&PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs })
    }

    /// What the processor's learner makes of it.
    pub(crate) fn on_processor(&self, instructions: InstructionSet) -> Trained {
        let Self { options, start } = self;
        self.with_data(|data| self.train(data, &mut CpuLearner::new(data, options, start.clone(), instructions)))
    }

    fn in_framework(&self) -> Trained {
        let Self { options, start } = self;
        self.with_data(|data| self.train(data, &mut *reference::learner(data, options, start.clone())))
    }

    /// What a learner of it makes.
    pub(crate) fn train(&self, data: &PairedFeatures<'_>, learner: &mut dyn Learner) -> Trained {
        steps::run(data.pairs.len(), &self.options, None, learner, &mut |_| true, &|| false).unwrap()
    }

    /// Compares losses, temperatures and weights.
    pub(crate) fn compare(&self, expected: &Trained, trained: &Trained, learner: &str) {
        let what = format!("{learner}, {:?}", self.options);
        assert_eq!(expected.losses.len(), trained.losses.len(), "{what}");
        for (expected, step) in expected.losses.iter().zip(&trained.losses) {
            let error = (expected.loss - step.loss).abs() / expected.loss.max(1.0);
            assert!(error < LOSS_TOLERANCE, "{what}: {step:?} instead of {expected:?}");
            // Its logarithm is what is learnt.
            let error = (expected.temperature / step.temperature).ln().abs();
            assert!(error < WEIGHT_TOLERANCE, "{what}: {step:?} instead of {expected:?}");
        }
        assert_eq!(expected.heads.is_some(), trained.heads.is_some(), "{what}");
        if let (Some(expected), Some(heads)) = (&expected.heads, &trained.heads) {
            let error = max_weight_difference(expected, heads);
            assert!(error < WEIGHT_TOLERANCE, "{what}: weights ± {error:e}");
        }
    }

    fn check(&self) {
        let expected = self.in_framework();
        for instructions in InstructionSet::available() {
            self.compare(&expected, &self.on_processor(instructions), &format!("{instructions:?}"));
        }
    }
}

/// Heads and losses of a training on features that are wider than a block of a product is deep.
fn trained_on_wide_features(options: &TrainOptions, start: Heads, instructions: InstructionSet) -> Vec<f32> {
    let (text, images) = (noise("text", 41, 500), noise("images", 37, 801));
    let pairs: Vec<_> = (0..450).map(|idx| (idx % 41, idx * 5 % 37)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let mut learner = CpuLearner::new(&data, options, Some(start), instructions);
    let Trained { heads, losses, .. } =
        steps::run(pairs.len(), options, None, &mut learner, &mut |_| true, &|| false).unwrap();
    let Heads { text, image } = heads.unwrap();
    let layers = [text, image].into_iter().flat_map(|head| head.hidden.into_iter().chain([head.output]));
    let weights = layers.flat_map(|layer| [layer.weight.values, layer.bias]).flatten();
    weights.chain(losses.iter().map(|loss| loss.loss)).collect()
}

/// Dimensions below, at and above a block and a tile, batches from one pair to all.
pub(crate) fn of_sizes() -> Vec<Case> {
    let of_size =
        |(dim, batch_size)| Case::new(TrainOptions { batch_size, epochs: 8, ..Default::default() }, heads(dim));
    [(3, 16), (24, 16), (33, 5), (50, 74), (17, 33)].map(of_size).into()
}

/// Hidden layers below, at and above a block and a tile.
pub(crate) fn of_two_layers() -> Vec<Case> {
    let of_size = |(d_hidden, dim, batch_size)| {
        let start = initial_mlp_heads(D_TEXT, D_IMAGE, d_hidden, dim, 5);
        Case::new(TrainOptions { batch_size, epochs: 8, ..Default::default() }, start)
    };
    let of_sizes = [(1, 3, 16), (24, 16, 5), (50, 33, 74), (33, 24, 33)].map(of_size);
    let start = initial_mlp_heads(D_TEXT, D_IMAGE, 20, 30, 5);
    let options = TrainOptions { epochs: 8, batch_size: 10, normalize: false, temperature: 3.0, ..Default::default() };
    // One side may have a hidden layer and the other none.
    let mixed = Heads { text: heads(30).text, image: start.image.clone() };
    let others = [Case::new(TrainOptions { lr: 1e-2, weight_decay: 0.1, ..options }, start), Case::new(options, mixed)];
    of_sizes.into_iter().chain(others).collect()
}

pub(crate) fn of_options() -> Vec<Case> {
    let options = TrainOptions { epochs: 8, batch_size: 10, ..Default::default() };
    let mlp = initial_mlp_heads(D_TEXT, D_IMAGE, 33, 20, 5);
    vec![
        Case::new(TrainOptions { normalize: false, temperature: 3.0, ..options }, heads(20)),
        // A single number of length one has no slope.
        Case::new(TrainOptions { normalize: false, temperature: 3.0, ..options }, heads(1)),
        Case::new(TrainOptions { temperature: 0.5, lr: 1e-2, weight_decay: 0.1, ..options }, heads(20)),
        Case::new(TrainOptions { anchor: 0.2, weight_decay: 0.05, ..options }, heads(20)),
        Case::new(TrainOptions { anchor: 0.2, ..options }, mlp),
        Case::new(TrainOptions { weight_decay: 0.0, shuffle: true, seed: 9, ..options }, heads(20)),
        Case::new(TrainOptions { lr_schedule: LrSchedule::Cosine, warmup_steps: 9, ..options }, heads(20)),
        Case { options: TrainOptions { shuffle: true, ..options }, start: None },
        Case { options: TrainOptions { normalize: false, temperature: 5.0, ..options }, start: None },
    ]
}

pub(crate) fn of_relevant_pairs() -> Vec<Case> {
    let of_positives = |positives| {
        let options = TrainOptions { positives, epochs: 8, ..Default::default() };
        let of_size = |batch_size| Case::new(TrainOptions { batch_size, ..options }, heads(20));
        let without = Case { options: TrainOptions { shuffle: true, ..options }, start: None };
        [of_size(10), of_size(74), without]
    };
    [Positives::Mask, Positives::All].into_iter().flat_map(of_positives).collect()
}

pub(crate) fn of_temperatures() -> Vec<Case> {
    let options = TrainOptions { learn_temperature: true, epochs: 8, ..Default::default() };
    vec![
        Case::new(options, heads(20)),
        Case::new(TrainOptions { weight_decay: 0.1, positives: Positives::All, ..options }, heads(20)),
        Case::new(TrainOptions { normalize: false, ..options }, heads(20)),
        // Up to both of its bounds.
        Case::new(TrainOptions { temperature: 0.95, lr: 2e-2, ..options }, heads(20)),
        Case::new(TrainOptions { temperature: 0.011, lr: 2e-2, batch_size: 74, ..options }, heads(20)),
        // Without heads nothing is.
        Case { options, start: None },
    ]
}

/// Divided by the smallest length, not by their own: a step of one batch shows the slope.
pub(crate) fn of_next_to_no_length() -> Vec<Case> {
    let mut start = heads(20);
    start.text.output.weight.values.iter_mut().for_each(|weight| *weight *= 1e-14);
    start.text.output.bias.fill(0.0);
    vec![Case::new(TrainOptions { batch_size: 74, epochs: 1, ..Default::default() }, start)]
}

#[test]
fn steps_are_those_of_the_framework() {
    of_sizes().iter().for_each(Case::check);
}

#[test]
fn steps_of_two_layers_are_those_of_the_framework() {
    of_two_layers().iter().for_each(Case::check);
}

#[test]
fn every_option_means_what_it_means_to_the_framework() {
    of_options().iter().for_each(Case::check);
}

#[test]
fn relevant_pairs_are_what_they_are_to_the_framework() {
    of_relevant_pairs().iter().for_each(Case::check);
}

#[test]
fn a_temperature_is_learnt_as_by_the_framework() {
    of_temperatures().iter().for_each(Case::check);
}

#[test]
fn vectors_of_next_to_no_length_learn_as_in_the_framework() {
    of_next_to_no_length().iter().for_each(Case::check);
}

#[test]
fn steps_have_the_same_bits_with_every_instruction_set() {
    let options = TrainOptions { learn_temperature: true, lr: 1e-2, epochs: 2, ..Default::default() };
    for (positives, anchor) in [(Positives::Own, 0.0), (Positives::All, 1e-2)] {
        // The last batch of 33 is smaller; one of 450 is deeper than a block.
        for (batch_size, start) in [
            (33, initial_heads(500, 801, 40, 5)),
            (450, initial_heads(500, 801, 24, 5)),
            (33, initial_mlp_heads(500, 801, 70, 24, 5)),
            (450, initial_mlp_heads(500, 801, 400, 33, 5)),
        ] {
            let options = TrainOptions { batch_size, positives, anchor, ..options };
            assert_same_bits(&format!("{options:?}"), |instructions| {
                trained_on_wide_features(&options, start.clone(), instructions)
            });
        }
    }
}

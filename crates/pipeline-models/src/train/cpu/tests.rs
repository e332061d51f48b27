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

fn heads(dim: usize) -> Heads {
    initial_heads(D_TEXT, D_IMAGE, dim, 5)
}

fn noise(name: &str, n_rows: usize, n_cols: usize) -> Matrix {
    Matrix::new(n_rows, n_cols, fixtures::noise(name, vec![n_rows, n_cols], 1.0).values)
}

/// Trains with both; every text and image is part of two pairs, and the last batch is smaller.
fn both(options: &TrainOptions, start: Option<&Heads>, instructions: InstructionSet) -> [Trained; 2] {
    let d_image = if start.is_some() { D_IMAGE } else { D_TEXT };
    let (text, images) = (noise("text", 41, D_TEXT), noise("images", 37, d_image));
    let pairs: Vec<_> = (0..74).map(|idx| (idx % 41, idx * 5 % 37)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let mut framework = reference::learner(&data, options, start.cloned());
    let mut own = CpuLearner::new(&data, options, start.cloned(), instructions);
    let learners: [&mut dyn Learner; 2] = [&mut *framework, &mut own];
    learners.map(|learner| steps::run(74, options, None, learner, &mut |_| true).unwrap())
}

/// Heads and losses of a training on features that are wider than a block of a product is deep.
fn trained_on_wide_features(options: &TrainOptions, start: Heads, instructions: InstructionSet) -> Vec<f32> {
    let (text, images) = (noise("text", 41, 500), noise("images", 37, 801));
    let pairs: Vec<_> = (0..450).map(|idx| (idx % 41, idx * 5 % 37)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let mut learner = CpuLearner::new(&data, options, Some(start), instructions);
    let Trained { heads, losses, .. } = steps::run(pairs.len(), options, None, &mut learner, &mut |_| true).unwrap();
    let Heads { text, image } = heads.unwrap();
    let layers = [text, image].into_iter().flat_map(|head| head.hidden.into_iter().chain([head.output]));
    let weights = layers.flat_map(|layer| [layer.weight.values, layer.bias]).flatten();
    weights.chain(losses.iter().map(|loss| loss.loss)).collect()
}

fn check(options: &TrainOptions, start: Option<&Heads>) {
    for instructions in InstructionSet::available() {
        let [expected, trained] = both(options, start, instructions);
        assert_eq!(expected.losses.len(), trained.losses.len());
        for (expected, step) in expected.losses.iter().zip(&trained.losses) {
            let error = (expected.loss - step.loss).abs() / expected.loss.max(1.0);
            assert!(error < LOSS_TOLERANCE, "{instructions:?}, {options:?}: {step:?} instead of {expected:?}");
            // Its logarithm is what is learnt.
            let error = (expected.temperature / step.temperature).ln().abs();
            assert!(error < WEIGHT_TOLERANCE, "{instructions:?}, {options:?}: {step:?} instead of {expected:?}");
        }
        assert_eq!(expected.heads.is_some(), trained.heads.is_some());
        if let (Some(expected), Some(heads)) = (&expected.heads, &trained.heads) {
            let error = max_weight_difference(expected, heads);
            assert!(error < WEIGHT_TOLERANCE, "{instructions:?}, {options:?}: weights ± {error:e}");
        }
    }
}

#[test]
fn steps_are_those_of_the_framework() {
    // Dimensions below, at and above a block and a tile, batches from one pair to all.
    for (dim, batch_size) in [(3, 16), (24, 16), (33, 5), (50, 74), (17, 33)] {
        check(&TrainOptions { batch_size, epochs: 8, ..Default::default() }, Some(&heads(dim)));
    }
}

#[test]
fn steps_of_two_layers_are_those_of_the_framework() {
    // Hidden layers below, at and above a block and a tile.
    for (d_hidden, dim, batch_size) in [(1, 3, 16), (24, 16, 5), (50, 33, 74), (33, 24, 33)] {
        let start = initial_mlp_heads(D_TEXT, D_IMAGE, d_hidden, dim, 5);
        check(&TrainOptions { batch_size, epochs: 8, ..Default::default() }, Some(&start));
    }
    let start = initial_mlp_heads(D_TEXT, D_IMAGE, 20, 30, 5);
    let options = TrainOptions { epochs: 8, batch_size: 10, normalize: false, temperature: 3.0, ..Default::default() };
    check(&TrainOptions { lr: 1e-2, weight_decay: 0.1, ..options }, Some(&start));
    // One side may have a hidden layer and the other none.
    check(&options, Some(&Heads { text: heads(30).text, image: start.image }));
}

#[test]
fn every_option_means_what_it_means_to_the_framework() {
    let options = TrainOptions { epochs: 8, batch_size: 10, ..Default::default() };
    check(&TrainOptions { normalize: false, temperature: 3.0, ..options }, Some(&heads(20)));
    // A single number of length one has no slope.
    check(&TrainOptions { normalize: false, temperature: 3.0, ..options }, Some(&heads(1)));
    check(&TrainOptions { temperature: 0.5, lr: 1e-2, weight_decay: 0.1, ..options }, Some(&heads(20)));
    check(&TrainOptions { anchor: 0.2, weight_decay: 0.05, ..options }, Some(&heads(20)));
    check(&TrainOptions { anchor: 0.2, ..options }, Some(&initial_mlp_heads(D_TEXT, D_IMAGE, 33, 20, 5)));
    check(&TrainOptions { weight_decay: 0.0, shuffle: true, seed: 9, ..options }, Some(&heads(20)));
    check(&TrainOptions { lr_schedule: LrSchedule::Cosine, warmup_steps: 9, ..options }, Some(&heads(20)));
    check(&TrainOptions { shuffle: true, ..options }, None);
    check(&TrainOptions { normalize: false, temperature: 5.0, ..options }, None);
}

#[test]
fn relevant_pairs_are_what_they_are_to_the_framework() {
    for positives in [Positives::Mask, Positives::All] {
        let options = TrainOptions { positives, epochs: 8, ..Default::default() };
        for batch_size in [10, 74] {
            check(&TrainOptions { batch_size, ..options }, Some(&heads(20)));
        }
        check(&TrainOptions { shuffle: true, ..options }, None);
    }
}

#[test]
fn a_temperature_is_learnt_as_by_the_framework() {
    let options = TrainOptions { learn_temperature: true, epochs: 8, ..Default::default() };
    check(&options, Some(&heads(20)));
    check(&TrainOptions { weight_decay: 0.1, positives: Positives::All, ..options }, Some(&heads(20)));
    // Up to both of its bounds.
    check(&TrainOptions { temperature: 0.95, lr: 2e-2, ..options }, Some(&heads(20)));
    check(&TrainOptions { temperature: 0.011, lr: 2e-2, batch_size: 74, ..options }, Some(&heads(20)));
    // Without heads nothing is.
    check(&options, None);
}

#[test]
fn vectors_of_next_to_no_length_learn_as_in_the_framework() {
    // Divided by the smallest length, not by their own: a step of one batch shows the slope.
    let mut start = heads(20);
    start.text.output.weight.values.iter_mut().for_each(|weight| *weight *= 1e-14);
    start.text.output.bias.fill(0.0);
    check(&TrainOptions { batch_size: 74, epochs: 1, ..Default::default() }, Some(&start));
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

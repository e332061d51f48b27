//! Training against PyTorch's run of the baseline notebook.

mod anchor;
mod attention;
mod mlp;
mod reading;
mod validation;

use super::goldens::{self, Features, Golden};
use super::*;
use crate::heads::Linear;
use crate::heads::embed;
use crate::weights::fixtures::max_difference;
use pipeline_eval::{Ranking, Similarity, rank, recall_at};
use pipeline_kernels::Matrix;

/// In the reference itself, losses in f32 and f64 differ by up to 2.3e-6, weights by 2.4e-5 and scores by 2.2e-6.
const LOSS_TOLERANCE: f32 = 2e-5;
const WEIGHT_TOLERANCE: f32 = 2e-4;
const SCORE_TOLERANCE: f32 = 2e-5;

fn train_on(features: &Features, options: &TrainOptions, start: Option<Heads>) -> Result<Trained, TrainError> {
    let pairs = features.pairs();
    train(&paired(features, &pairs), None, options, start, Device::Cpu, &mut |_| true, &|| false)
}

/// The training features of a set.
fn paired<'a>(features: &'a Features, pairs: &'a [(usize, usize)]) -> PairedFeatures<'a> {
    PairedFeatures { text: (&features.train_text).into(), images: (&features.train_image).into(), pairs }
}

fn ranked(features: &Features, heads: &Heads, golden: &Golden) -> Vec<Ranking> {
    let queries = embed(&features.valid_text, Some(&heads.text), true, 2).unwrap();
    let images = embed(&features.valid_image, Some(&heads.image), true, 2).unwrap();
    rank(&queries, &images, &golden.relevant(), 10, Similarity::Cosine, 2).unwrap()
}

fn check_rankings(rankings: &[Ranking], golden: &Golden, set: &str, epochs: usize) -> f32 {
    let expected = goldens::rankings(set, epochs);
    assert_eq!(rankings.len(), expected.len());
    let mut score_error = 0f32;
    for (ranking, expected) in rankings.iter().zip(&expected) {
        let ids: Vec<_> = ranking.top.iter().map(|&(row, _)| golden.valid_image_ids[row].clone()).collect();
        let scores: Vec<_> = ranking.top.iter().map(|&(_, score)| score).collect();
        assert_eq!(ids, expected.top_ids);
        assert_eq!(ranking.best_rank(), expected.rank);
        score_error = score_error.max(max_difference(&scores, &expected.top_scores));
    }
    score_error
}

/// Trains from the golden start and compares losses, weights, rankings and recalls.
fn check(set: &str, epochs: usize) {
    let (golden, features) = (Golden::read(set), Features::of(set));
    let run = &golden.runs[&format!("{epochs} epochs")];
    let options = TrainOptions { epochs, ..Default::default() };
    let trained = train_on(&features, &options, Some(goldens::heads("mini/init.safetensors"))).unwrap();
    let heads = trained.heads.unwrap();

    let losses: Vec<_> = trained.losses.iter().map(|step| step.loss).collect();
    let loss_error = max_difference(&losses, &run.step_losses.concat());
    let expected = goldens::heads(&format!("{set}/trained_{epochs}_epochs.safetensors"));
    let weight_error = goldens::max_weight_difference(&heads, &expected);
    let rankings = ranked(&features, &heads, &golden);
    let score_error = check_rankings(&rankings, &golden, set, epochs);
    println!("{set}, {epochs} epochs: loss ± {loss_error:e}, weights ± {weight_error:e}, scores ± {score_error:e}");
    assert!(loss_error <= LOSS_TOLERANCE, "{loss_error}");
    assert!(weight_error <= WEIGHT_TOLERANCE, "{weight_error}");
    assert!(score_error <= SCORE_TOLERANCE, "{score_error}");

    let recall = recall_at(&rankings, &[1, 5, 10], golden.valid_image_ids.len());
    for (k, value) in recall.at {
        assert_same(value, run.metrics[&format!("recall@{k}")]);
    }
    assert_same(recall.mean, run.metrics["mean_recall"]);
    assert_eq!(recall.n_queries as f64, run.metrics["queries"]);
}

/// Equal fractions; JSON numbers are parsed to the last bit but one.
fn assert_same(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-15, "{left} and {right}");
}

#[test]
fn the_notebook_is_reproduced_over_two_epochs() {
    check("mini", 2);
}

#[test]
fn the_notebook_is_reproduced_over_twenty_epochs() {
    check("mini", 20);
}

#[test]
fn the_notebook_is_reproduced_on_bicubic_images() {
    check("mini_bicubic", 2);
    check("mini_bicubic", 20);
}

#[test]
fn the_notebook_is_reproduced_when_relevant_images_are_missing() {
    check("mini_first_100", 2);
    check("mini_first_100", 5);
}

#[test]
fn one_step_changes_the_weights_as_in_pytorch() {
    let mut features = Features::of("mini");
    features.train_text.n_rows = 16;
    features.train_text.values.truncate(16 * features.train_text.n_cols);
    let options = TrainOptions { epochs: 1, ..Default::default() };
    let trained = train_on(&features, &options, Some(goldens::heads("mini/init.safetensors"))).unwrap();
    let expected = goldens::heads("mini/after_step_1.safetensors");
    let weight_error = goldens::max_weight_difference(&trained.heads.unwrap(), &expected);
    println!("one step: weights ± {weight_error:e}");
    // A first step of Adam is lr · sign(gradient), so that a gradient near 0 shows its rounding.
    assert!(weight_error <= 1e-5, "{weight_error}");
}

#[test]
fn a_seed_gives_pytorchs_initial_weights_bit_for_bit() {
    assert_eq!(initial_heads(64, 128, 64, 0), goldens::heads("mini/init.safetensors"));
    assert_eq!(initial_heads(128, 256, 512, 0), goldens::heads("demo/init.safetensors"));
    assert_ne!(initial_heads(64, 128, 64, 1), initial_heads(64, 128, 64, 0));
}

#[test]
fn the_thread_count_and_a_second_run_change_no_bit() {
    // Wide enough that the backend splits its products among threads.
    let (text, images) = (patterned(96, 768), patterned(96, 2048));
    let pairs: Vec<_> = (0..96).map(|row| (row, row / 2 * 2)).chain((0..96).map(|row| (row, row))).collect();
    let run = |n_threads, positives, learn_temperature| {
        let options = TrainOptions { positives, learn_temperature, batch_size: 48, n_threads, ..Default::default() };
        let options = TrainOptions { anchor: if learn_temperature { 1e-2 } else { 0.0 }, ..options };
        let start = Some(initial_heads(768, 2048, 512, 3));
        let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
        train(&data, None, &options, start, Device::Cpu, &mut |_| true, &|| false).unwrap()
    };
    for (positives, learn_temperature) in [(Positives::Own, false), (Positives::Mask, false), (Positives::All, true)] {
        let expected = run(1, positives, learn_temperature);
        for n_threads in [0, 1, 2, 3, 8] {
            assert!(run(n_threads, positives, learn_temperature) == expected, "{n_threads} threads, {positives:?}");
        }
    }
}

/// Irregular but reproducible numbers between -1 and 1.
fn patterned(n_rows: usize, n_cols: usize) -> Matrix {
    let values = (0..n_rows * n_cols).map(|place| ((place as f32 * 0.737).sin() * 43.7).fract()).collect();
    Matrix::new(n_rows, n_cols, values)
}

#[test]
fn a_shuffle_is_pytorchs_and_depends_on_the_seed_only() {
    let features = Features::of("mini");
    let losses = |shuffle, seed| {
        let options = TrainOptions { shuffle, seed, ..Default::default() };
        train_on(&features, &options, Some(goldens::heads("mini/init.safetensors"))).unwrap().losses
    };
    assert_eq!(losses(true, 1), losses(true, 1));
    assert_ne!(losses(true, 1), losses(true, 2));
    assert_ne!(losses(true, 1), losses(false, 1));
    assert_eq!(losses(false, 1), losses(false, 2));
}

#[test]
fn without_heads_nothing_is_trained_and_the_losses_are_still_reported() {
    let mut features = Features::of("mini");
    features.train_image = features.train_text.clone();
    let options = TrainOptions { epochs: 2, ..Default::default() };
    let trained = train_on(&features, &options, None).unwrap();
    assert_eq!(trained.heads, None);
    let (first, second) = trained.losses.split_at(10);
    assert_eq!(
        first.iter().map(|step| step.loss).collect::<Vec<_>>(),
        second.iter().map(|step| step.loss).collect::<Vec<_>>()
    );
    let error = train_on(&Features::of("mini"), &options, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "text features have 64 columns and image features 128: without heads they must have as many"
    );
}

#[test]
fn no_pairs_or_no_epochs_leave_the_start_as_it_is() {
    let features = Features::of("mini");
    let start = initial_heads(64, 128, 64, 0);
    let options = TrainOptions { epochs: 0, ..Default::default() };
    assert_eq!(train_on(&features, &options, Some(start.clone())).unwrap().heads, Some(start.clone()));
    let (text, images) = (Matrix::zeros(0, 64), Matrix::zeros(0, 128));
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &[] };
    let trained = train(&data, None, &Default::default(), Some(start.clone()), Device::Cpu, &mut |_| true, &|| false);
    let trained = trained.unwrap();
    assert_eq!((trained.heads, trained.losses, trained.temperature), (Some(start), Vec::new(), 0.07));
}

#[test]
fn embeddings_of_length_zero_stop_nothing() {
    let zeros = Linear { weight: Matrix::zeros(64, 64), bias: vec![0.0; 64] };
    let start = Heads { text: zeros.into(), ..initial_heads(64, 128, 64, 0) };
    assert!(train_on(&Features::of("mini"), &Default::default(), Some(start)).unwrap().heads.unwrap().is_finite());
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_that_says_what_to_try() {
    let mut features = Features::of("mini");
    features.train_text.values[20 * 64] = f32::NAN;
    let error = train_on(&features, &Default::default(), Some(initial_heads(64, 128, 64, 0))).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { what: "loss", epoch: 0, step: 1 }), "{error}");
    assert!(error.to_string().contains("try a lower `lr`"), "{error}");
}

#[test]
fn the_observer_sees_every_step_and_can_stop() {
    let features = Features::of("mini");
    let (pairs, start) = (features.pairs(), Some(initial_heads(64, 128, 64, 0)));
    let mut seen = Vec::new();
    let result = train(
        &paired(&features, &pairs),
        None,
        &Default::default(),
        start,
        Device::Cpu,
        &mut |step| {
            seen.push((step.epoch, step.step));
            seen.len() < 12
        },
        &|| false,
    );
    assert!(matches!(result, Err(TrainError::Stopped { epoch: 1, step: 1 })));
    assert_eq!((seen.len(), seen[0], seen[11]), (12, (0, 0), (1, 1)));
}

#[test]
fn what_cannot_be_trained_is_refused_before_it_begins() {
    let features = Features::of("mini");
    let start = || Some(initial_heads(64, 128, 64, 0));
    let check = |options: TrainOptions, start, expected: &str| {
        assert_eq!(train_on(&features, &options, start).unwrap_err().to_string(), expected);
    };
    let defaults = TrainOptions::default;
    check(TrainOptions { temperature: 0.0, ..defaults() }, start(), "`temperature` is 0, but must be a number above 0");
    check(
        TrainOptions { temperature: 2.0, learn_temperature: true, ..defaults() },
        start(),
        "`temperature` is 2, but must be between 0.01 and 1 to be learnt",
    );
    check(
        TrainOptions { lr: f64::NAN, ..defaults() },
        start(),
        "`lr` is NaN, but must be a number that is not negative",
    );
    check(
        TrainOptions { anchor: -0.5, ..defaults() },
        start(),
        "`anchor` is -0.5, but must be a number that is not negative",
    );
    check(TrainOptions { batch_size: 0, ..defaults() }, start(), "`batch_size` is 0, but must be at least 1");
    check(
        defaults(),
        Some(initial_heads(64, 100, 64, 0)),
        "the image head has a weight of [64, 100] and 64 biases, but needs [64, 128] and 64",
    );
    let data = paired(&features, &[(0, 0), (0, 150)]);
    let result = train(&data, None, &defaults(), start(), Device::Cpu, &mut |_| true, &|| false);
    assert_eq!(result.unwrap_err().to_string(), "pair 1 names image row 150, but there are 150");
}

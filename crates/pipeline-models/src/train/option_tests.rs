//! Every option of training against PyTorch, on the features of the mini data set.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::goldens::{self, Features};
use super::*;

/// In the reference itself, losses in f32 and f64 differ by up to 2.3e-6.
const LOSS_TOLERANCE: f32 = 1e-5;
const TEMPERATURE_TOLERANCE: f32 = 1e-6;

/// `training_options.json`, which `tests/parity/training_options.py` makes.
#[derive(Deserialize)]
struct Runs {
    runs: BTreeMap<String, Run>,
}

#[derive(Deserialize)]
struct Run {
    options: RunOptions,
    pairs: Vec<(usize, usize)>,
    steps: Vec<RunStep>,
}

#[derive(Deserialize)]
struct RunOptions {
    epochs: usize,
    lr: f64,
    lr_schedule: String,
    warmup_steps: usize,
    temperature: f64,
    positives: String,
    learn_temperature: bool,
}

#[derive(Deserialize)]
struct RunStep {
    loss: f32,
    lr: f64,
    temperature: f32,
}

impl RunOptions {
    fn read(&self) -> TrainOptions {
        let lr_schedule = match self.lr_schedule.as_str() {
            "constant" => LrSchedule::Constant,
            "cosine" => LrSchedule::Cosine,
            other => panic!("no schedule `{other}`"),
        };
        let positives = match self.positives.as_str() {
            "own" => Positives::Own,
            "mask" => Positives::Mask,
            "all" => Positives::All,
            other => panic!("no positives `{other}`"),
        };
        let Self { epochs, lr, warmup_steps, temperature, learn_temperature, .. } = *self;
        TrainOptions {
            epochs,
            lr,
            lr_schedule,
            warmup_steps,
            temperature,
            learn_temperature,
            positives,
            ..Default::default()
        }
    }
}

/// Trains as PyTorch did in the run with this name, and compares every step.
fn check(name: &str) {
    let mut runs: Runs = goldens::read_json("training_options.json");
    let run = runs.runs.remove(name).unwrap();
    let Features { train_text, train_image, .. } = Features::of("mini");
    let start = Some(goldens::heads("mini/init.safetensors"));
    let options = run.options.read();
    let data = PairedFeatures { text: (&train_text).into(), images: (&train_image).into(), pairs: &run.pairs };
    let trained = train(&data, None, &options, start, Device::Cpu, &mut |_| true, &|| false).unwrap();
    assert_eq!(trained.losses.len(), run.steps.len());
    let (mut loss_error, mut temperature_error) = (0f32, 0f32);
    for (step, expected) in trained.losses.iter().zip(&run.steps) {
        loss_error = loss_error.max((step.loss - expected.loss).abs());
        temperature_error = temperature_error.max((step.temperature - expected.temperature).abs());
        assert!((step.lr - expected.lr).abs() < 1e-15, "{name}: {step:?} instead of {}", expected.lr);
    }
    println!("{name}: loss ± {loss_error:e}, temperature ± {temperature_error:e}");
    assert!(loss_error <= LOSS_TOLERANCE, "{name}: {loss_error}");
    assert!(temperature_error <= TEMPERATURE_TOLERANCE, "{name}: {temperature_error}");
}

#[test]
fn learning_rates_that_warm_up_and_fall_give_pytorchs_losses() {
    check("warm-up");
    check("cosine");
}

#[test]
fn relevant_pairs_that_are_masked_or_positives_give_pytorchs_losses() {
    check("mask");
    check("all");
}

#[test]
fn a_learnt_temperature_is_pytorchs_alone_and_with_all_other_options() {
    check("learnt temperature");
    check("everything");
}

//! Measures heads on held-out data after each epoch, keeps the best and stops early.

use super::{paired, patterned, train_on};
use crate::Device;
use crate::heads::Heads;
use crate::train::goldens::{self, Features, Golden};
use crate::train::{PairedFeatures, TrainOptions, Trained, Validation, initial_heads, train};
use pipeline_kernels::Matrix;

/// Trains from the golden start, with the golden's valid set held out.
fn trained(options: &TrainOptions, patience: usize, observe: &mut (dyn FnMut() + Send)) -> Trained {
    let (features, golden) = (Features::of("mini"), Golden::read("mini"));
    let (pairs, relevant) = (features.pairs(), golden.relevant());
    let validation = held_out(&features, &relevant, patience);
    let start = Some(goldens::heads("mini/init.safetensors"));
    train(
        &paired(&features, &pairs),
        Some(&validation),
        options,
        start,
        Device::Cpu,
        &mut |_| {
            observe();
            true
        },
        &|| false,
    )
    .unwrap()
}

fn held_out<'a>(features: &'a Features, relevant: &'a [Vec<usize>], patience: usize) -> Validation<'a> {
    let Features { valid_text: text, valid_image: images, .. } = features;
    Validation {
        text: text.into(),
        images: images.into(),
        relevant,
        patience,
        measures_start: false,
        device: Device::Cpu,
    }
}

/// The heads after this many epochs without held-out data.
fn untouched(epochs: usize) -> Heads {
    let options = TrainOptions { epochs, ..Default::default() };
    let trained = train_on(&Features::of("mini"), &options, Some(goldens::heads("mini/init.safetensors"))).unwrap();
    trained.heads.unwrap()
}

#[test]
fn each_epoch_is_measured_as_the_notebook_measures_the_last() {
    let trained = trained(&TrainOptions { epochs: 20, ..Default::default() }, 0, &mut || ());
    assert_eq!((trained.validations.len(), trained.losses.len()), (20, 200));
    for epochs in [2, 20] {
        let (recall, golden) = (&trained.validations[epochs - 1], Golden::read("mini"));
        let golden = &golden.runs[&format!("{epochs} epochs")].metrics;
        for (k, value) in &recall.at {
            assert!((value - golden[&format!("recall@{k}")]).abs() < 1e-15);
        }
        assert!((recall.mean - golden["mean_recall"]).abs() < 1e-15);
    }
}

#[test]
fn the_heads_of_the_first_best_epoch_are_kept() {
    let trained = trained(&TrainOptions { epochs: 20, ..Default::default() }, 0, &mut || ());
    let best = trained.best_epoch.unwrap();
    let means: Vec<f64> = trained.validations.iter().map(|recall| recall.mean).collect();
    println!("epoch {best} of {means:?}");
    assert!(means[..best].iter().all(|mean| *mean < means[best]) && means.iter().all(|mean| *mean <= means[best]));
    assert!(best < 19, "the test needs an epoch that gets worse");
    assert!(trained.heads.as_ref() == Some(&untouched(best + 1)));
    assert_eq!(trained.kept_recall().unwrap().mean, means[best]);
}

#[test]
fn training_stops_when_it_has_not_become_better_for_as_long_as_patience_lasts() {
    let mut n_steps = 0;
    let patient = trained(&TrainOptions { epochs: 20, ..Default::default() }, 0, &mut || ());
    let stopped = trained(&TrainOptions { epochs: 20, ..Default::default() }, 2, &mut || n_steps += 1);
    let best = stopped.best_epoch.unwrap();
    let n_epochs = stopped.validations.len();
    assert_eq!((n_epochs, stopped.losses.len(), n_steps), (best + 3, n_epochs * 10, n_epochs * 10));
    assert_eq!(stopped.validations, patient.validations[..n_epochs]);
    assert_eq!(stopped.losses, patient.losses[..n_epochs * 10]);
    assert!(stopped.heads == Some(untouched(best + 1)));

    // Nothing changes, so that the first epoch stays the best one.
    let same = trained(&TrainOptions { epochs: 9, lr: 0.0, ..Default::default() }, 4, &mut || ());
    assert_eq!((same.best_epoch, same.validations.len()), (Some(0), 5));
}

/// Trains a good start by steps of this size, with the start measured.
fn from_a_good_start(options: &TrainOptions, patience: usize) -> (Heads, Trained) {
    let (features, relevant) = (Features::of("mini"), Golden::read("mini").relevant());
    let (pairs, start) = (features.pairs(), goldens::heads("mini/trained_20_epochs.safetensors"));
    let validation = Validation { measures_start: true, ..held_out(&features, &relevant, patience) };
    let data = paired(&features, &pairs);
    let trained = train(&data, Some(&validation), options, Some(start.clone()), Device::Cpu, &mut |_| true, &|| false);
    (start, trained.unwrap())
}

#[test]
fn a_start_that_is_measured_is_epoch_0_and_is_kept_where_no_epoch_is_better() {
    let golden = Golden::read("mini").runs["20 epochs"].metrics["mean_recall"];
    let options = TrainOptions { epochs: 3, lr: 1.0, ..Default::default() };
    let (start, trained) = from_a_good_start(&options, 0);
    println!("{:?}", trained.validations.iter().map(|recall| recall.mean).collect::<Vec<_>>());
    assert!((trained.start_recall().unwrap().mean - golden).abs() < 1e-15);
    assert_eq!((trained.best_epoch, trained.validations.len(), trained.n_epochs()), (Some(0), 4, 3));
    assert_eq!(trained.kept_recall(), trained.start_recall());
    assert!(trained.heads == Some(start));
    let epochs: Vec<_> = trained.losses.chunk_by(|a, b| a.epoch == b.epoch).map(|steps| steps[0].epoch).collect();
    assert_eq!(epochs, [1, 2, 3]);

    let (_, stopped) = from_a_good_start(&TrainOptions { epochs: 9, ..options }, 2);
    assert_eq!((stopped.best_epoch, stopped.n_epochs()), (Some(0), 2));
    let (start, untrained) = from_a_good_start(&TrainOptions { epochs: 0, ..options }, 0);
    assert!((untrained.best_epoch, untrained.n_epochs(), untrained.heads) == (Some(0), 0, Some(start)));
}

#[test]
fn measuring_the_start_changes_no_step() {
    let options = TrainOptions { epochs: 20, shuffle: true, ..Default::default() };
    let without = trained(&options, 0, &mut || ());
    let (features, relevant) = (Features::of("mini"), Golden::read("mini").relevant());
    let (pairs, start) = (features.pairs(), Some(goldens::heads("mini/init.safetensors")));
    let validation = Validation { measures_start: true, ..held_out(&features, &relevant, 0) };
    let with =
        train(&paired(&features, &pairs), Some(&validation), &options, start, Device::Cpu, &mut |_| true, &|| false);
    let with = with.unwrap();
    assert_eq!(with.validations[1..], without.validations);
    assert_eq!(with.best_epoch, without.best_epoch.map(|epoch| epoch + 1));
    assert!(with.heads == without.heads);
    let losses = |trained: &Trained| trained.losses.iter().map(|step| step.loss).collect::<Vec<_>>();
    assert_eq!(losses(&with), losses(&without));
}

#[test]
fn without_epochs_or_pairs_nothing_is_measured() {
    let none = trained(&TrainOptions { epochs: 0, ..Default::default() }, 1, &mut || ());
    assert_eq!((none.validations.len(), none.best_epoch), (0, None));
    let (features, relevant) = (Features::of("mini"), vec![vec![0]; 188]);
    let (start, options) = (Some(initial_heads(64, 128, 8, 0)), TrainOptions::default());
    let (data, validation) = (paired(&features, &[]), held_out(&features, &relevant, 1));
    let none = train(&data, Some(&validation), &options, start.clone(), Device::Cpu, &mut |_| true, &|| false).unwrap();
    assert!((none.validations.len(), none.best_epoch, none.heads) == (0, None, start));
}

#[test]
fn the_thread_count_changes_neither_what_is_measured_nor_what_is_kept() {
    let (text, images) = (patterned(96, 160), patterned(96, 200));
    let pairs: Vec<_> = (0..96).map(|row| (row, row)).collect();
    let relevant: Vec<_> = (0..96).map(|row| vec![row]).collect();
    let run = |n_threads| {
        let options = TrainOptions { epochs: 6, lr: 1e-2, n_threads, ..Default::default() };
        let validation = Validation {
            text: (&text).into(),
            images: (&images).into(),
            relevant: &relevant,
            patience: 3,
            measures_start: true,
            device: Device::Cpu,
        };
        let start = Some(initial_heads(160, 200, 50, 3));
        let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
        train(&data, Some(&validation), &options, start, Device::Cpu, &mut |_| true, &|| false).unwrap()
    };
    let expected = run(1);
    for n_threads in [2, 3, 8] {
        assert!(run(n_threads) == expected, "{n_threads} threads");
    }
}

#[test]
fn held_out_features_of_another_width_are_refused_before_training() {
    let features = Features::of("mini");
    let (images, relevant) = (Matrix::zeros(3, 100), vec![vec![0]; features.valid_text.n_rows]);
    let validation = Validation { images: (&images).into(), ..held_out(&features, &relevant, 0) };
    let (start, options, pairs) = (Some(initial_heads(64, 128, 8, 0)), TrainOptions::default(), features.pairs());
    let result =
        train(&paired(&features, &pairs), Some(&validation), &options, start, Device::Cpu, &mut |_| true, &|| false);
    assert_eq!(
        result.unwrap_err().to_string(),
        "held-out image features have 100 columns, but those of the training have 128: they need the same encoder"
    );
}

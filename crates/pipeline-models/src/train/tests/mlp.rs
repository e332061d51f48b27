//! Heads with a hidden layer against PyTorch's goldens, made by `tests/parity/mlp_heads.py`.

use super::{LOSS_TOLERANCE, SCORE_TOLERANCE, WEIGHT_TOLERANCE, patterned, train_on};
use crate::Device;
use crate::heads::embed;
use crate::heads::{Head, Heads, Linear};
use crate::train::goldens::{self, Features};
use crate::train::{PairedFeatures, TrainError, TrainOptions, initial_mlp_heads, train};
use crate::weights::fixtures::{self, max_difference};
use pipeline_kernels::Matrix;

fn golden_losses() -> Vec<f32> {
    let text = std::fs::read(goldens::path("mini_mlp/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let epochs = result["step_losses"].as_array().unwrap().iter();
    epochs.flat_map(|epoch| epoch.as_array().unwrap()).map(|loss| loss.as_f64().unwrap() as f32).collect()
}

#[test]
fn a_seed_gives_pytorchs_initial_layers_bit_for_bit() {
    assert_eq!(initial_mlp_heads(64, 128, 48, 24, 0), goldens::heads("mini_mlp/init.safetensors"));
    assert_ne!(initial_mlp_heads(64, 128, 48, 24, 1), initial_mlp_heads(64, 128, 48, 24, 0));
}

#[test]
fn losses_and_weights_are_pytorchs_over_five_epochs() {
    let features = Features::of("mini");
    let options = TrainOptions { epochs: 5, ..Default::default() };
    let trained = train_on(&features, &options, Some(goldens::heads("mini_mlp/init.safetensors"))).unwrap();
    let losses: Vec<_> = trained.losses.iter().map(|step| step.loss).collect();
    let loss_error = max_difference(&losses, &golden_losses());
    let expected = goldens::heads("mini_mlp/projection.pth");
    let weight_error = goldens::max_weight_difference(&trained.heads.unwrap(), &expected);
    println!("loss ± {loss_error:e}, weights ± {weight_error:e}");
    assert!(loss_error <= LOSS_TOLERANCE / 2.0, "{loss_error}");
    assert!(weight_error <= WEIGHT_TOLERANCE, "{weight_error}");
}

#[test]
fn embeddings_of_pytorchs_heads_are_pytorchs() {
    let Heads { text, .. } = goldens::heads("mini_mlp/projection.pth");
    let embedded = embed(&Features::of("mini").valid_text, Some(&text), true, 2).unwrap();
    let golden = &fixtures::tensors("goldens/mini_mlp/embedded.safetensors")["valid_text"];
    let error = max_difference(&embedded.values, &golden.values);
    println!("embeddings ± {error:e}");
    assert!(error <= SCORE_TOLERANCE / 10.0, "{error}");
}

#[test]
fn the_thread_count_changes_no_bit_of_two_layers() {
    let (text, images) = (patterned(96, 384), patterned(96, 512));
    let pairs: Vec<_> = (0..96).map(|row| (row, row)).collect();
    let run = |n_threads| {
        let options = TrainOptions { epochs: 1, batch_size: 40, n_threads, ..Default::default() };
        let start = Some(initial_mlp_heads(384, 512, 200, 96, 3));
        let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
        let trained = train(&data, None, &options, start, Device::Cpu, &mut |_| true, &|| false).unwrap();
        let embedded = embed(&text, trained.heads.as_ref().map(|heads| &heads.text), true, n_threads).unwrap();
        (trained, embedded)
    };
    let expected = run(1);
    for n_threads in [2, 3, 8] {
        assert!(run(n_threads) == expected, "{n_threads} threads");
    }
}

#[test]
fn layers_that_do_not_fit_each_other_are_refused() {
    let features = Features::of("mini");
    let mut start = initial_mlp_heads(64, 128, 48, 24, 0);
    start.image.output = initial_mlp_heads(64, 128, 50, 24, 0).image.output;
    let error = train_on(&features, &TrainOptions::default(), Some(start)).unwrap_err();
    assert!(matches!(error, TrainError::HeadShape { layer: "image head", found: [24, 50], wanted: [24, 48], .. }));
    let error = train_on(&features, &TrainOptions::default(), Some(initial_mlp_heads(64, 100, 48, 24, 0))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the hidden layer of the image head has a weight of [48, 100] and 48 biases, but needs [48, 128] and 48"
    );
}

#[test]
fn layers_may_be_of_no_width() {
    let layer = |n_outputs, n_inputs| Linear { weight: Matrix::zeros(n_outputs, n_inputs), bias: vec![0.5; n_outputs] };
    let head = |d_features, d_hidden| Head {
        top: None,
        attention: None,
        hidden: Some(layer(d_hidden, d_features)),
        output: layer(3, d_hidden),
    };
    for (d_features, d_hidden) in [(2, 0), (0, 2), (0, 0)] {
        let embedded = embed(&Matrix::zeros(2, d_features), Some(&head(d_features, d_hidden)), false, 1).unwrap();
        assert_eq!(embedded, Matrix::new(2, 3, vec![0.5; 6]));
    }
}

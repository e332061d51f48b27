//! Training by these kernels beside the processor's own. They need a device: `make gpu-vulkan` runs them on any driver
//! of Vulkan.

use super::*;
use crate::gpu::kernels::heads::{Factors, View, product};
use crate::gpu::kernels::tests::gpu;
use crate::gpu::{DeviceError, on_backend};
use crate::train::cpu::tests::{self as processor, Case};
use crate::train::{LrSchedule, Trained, initial_heads, initial_mlp_heads, steps};
use crate::weights::fixtures;
use pipeline_kernels::{InstructionSet, Matrix};

fn cases() -> Vec<Case> {
    let of_layers = [processor::of_sizes(), processor::of_two_layers(), processor::of_next_to_no_length()].concat();
    let of_losses = [processor::of_options(), processor::of_relevant_pairs(), processor::of_temperatures()].concat();
    [of_layers, of_losses].concat()
}

/// Works with a learner on the device, whose features lie there or are read for each batch.
fn with_learner<T>(
    data: &PairedFeatures<'_>,
    options: &TrainOptions,
    start: Option<Heads>,
    is_placed: bool,
    work: impl FnOnce(&mut dyn Learner) -> T,
) -> T {
    let gpu = gpu();
    let worked: Result<T, DeviceError> = on_backend!(gpu, Backend, device => {
        type Runtime = <Backend as Launches>::Runtime;
        let mut learner = KernelLearner::<Runtime>::new(data, options, start, gpu, device);
        if !is_placed {
            learner.source.read_for_each_batch();
        }
        Ok(work(&mut learner))
    });
    worked.unwrap()
}

fn trained(case: &Case, is_placed: bool) -> Trained {
    let Case { options, start } = case;
    case.with_data(|data| with_learner(data, options, start.clone(), is_placed, |learner| case.train(data, learner)))
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn steps_are_those_of_the_processor() {
    for case in cases() {
        case.compare(&case.on_processor(InstructionSet::best()), &trained(&case, true), "the device");
    }
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn features_that_do_not_fit_are_read_for_each_batch() {
    for case in cases().into_iter().step_by(4) {
        // The same numbers by the same kernels.
        assert_eq!(trained(&case, true), trained(&case, false), "{:?}", case.options);
    }
}

fn noise(name: &str, n_rows: usize, n_cols: usize) -> Matrix {
    Matrix::new(n_rows, n_cols, fixtures::noise(name, vec![n_rows, n_cols], 1.0).values)
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn batches_of_more_pairs_go_through_the_framework_s_products() {
    let (text, images) = (noise("text", 90, 30), noise("images", 80, 50));
    let pairs: Vec<_> = (0..340).map(|idx| (idx % 90, idx * 7 % 80)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    for (start, positives) in
        [(initial_heads(30, 50, 20, 1), Positives::Own), (initial_mlp_heads(30, 50, 33, 20, 1), Positives::All)]
    {
        // A batch of 200 pairs, and one of 140; then one of 340, and so on.
        for batch_size in [200, 340] {
            let lr_schedule = LrSchedule::Cosine;
            let options = TrainOptions { batch_size, positives, lr_schedule, epochs: 4, ..Default::default() };
            let case = Case { options, start: Some(start.clone()) };
            let mut own = crate::train::processor_learner(&data, &options, case.start.clone(), InstructionSet::best());
            let expected = case.train(&data, &mut *own);
            let found = with_learner(&data, &options, case.start.clone(), true, |learner| case.train(&data, learner));
            case.compare(&expected, &found, "the device");
        }
    }
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn the_same_training_has_the_same_bits() {
    let case = &cases()[1];
    assert_eq!(trained(case, true), trained(case, true));
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn the_step_whose_loss_is_not_finite_is_named() {
    let (mut text, images) = (noise("text", 80, 12), noise("images", 80, 9));
    // In the batch after five others.
    text.values[55 * 12 + 3] = f32::INFINITY;
    let pairs: Vec<_> = (0..80).map(|idx| (idx, idx)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let options = TrainOptions { batch_size: 10, ..Default::default() };
    let mut n_seen = 0;
    let found = with_learner(&data, &options, Some(initial_heads(12, 9, 8, 1)), true, |learner| {
        steps::run(
            80,
            &options,
            None,
            learner,
            &mut |_| {
                n_seen += 1;
                true
            },
            &|| false,
        )
    });
    let error = found.unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { what: "loss", epoch: 0, step: 5 }), "{error}");
    assert_eq!(n_seen, 5);
}

#[test]
fn what_the_kernels_do_not_know_goes_through_the_framework() {
    let vectors = noise("vectors", 50_000, 2);
    let pairs: Vec<_> = (0..50_000).map(|idx| (idx, idx)).collect();
    let data = PairedFeatures { text: (&vectors).into(), images: (&vectors).into(), pairs: &pairs };
    let start = initial_heads(2, 2, 2, 1);
    let knows = |options: TrainOptions| can_learn(&data, &options, Some(&start));
    assert!(knows(TrainOptions { batch_size: 40_000, precision: Precision::Tf32, ..Default::default() }));
    assert!(!knows(TrainOptions { batch_size: 50_000, ..Default::default() }), "similarities of 2.5 · 10⁹ pairs");
    assert!(!knows(TrainOptions { precision: Precision::Bf16, ..Default::default() }));
    let mut attentive = start.clone();
    attentive.text.attention = Some(vec![1.0; 2]);
    assert!(!can_learn(&data, &TrainOptions::default(), Some(&attentive)));
    assert!(can_learn(&data, &TrainOptions::default(), None));
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn products_are_sums_over_terms_whatever_lies_side_by_side() {
    // Tiles of 16, 32 and 64 numbers along each side, and shapes that they do not divide.
    for [n_rows, n_cols, n_terms] in [[1, 1, 1], [16, 33, 70], [3, 130, 200], [250, 190, 21], [700, 1000, 5], [5, 4, 0]]
    {
        let (lhs, rhs) = (noise("lhs", n_rows, n_terms), noise("rhs", n_terms, n_cols));
        let mut expected = vec![0f64; n_rows * n_cols];
        for (row, expected) in expected.chunks_exact_mut(n_cols).enumerate() {
            for term in 0..n_terms {
                let left = f64::from(lhs.row(row)[term]);
                let terms = expected.iter_mut().zip(rhs.row(term));
                terms.for_each(|(sum, right)| *sum += left * f64::from(*right));
            }
        }
        let turned = |matrix: &Matrix| -> Vec<f32> {
            (0..matrix.n_cols).flat_map(|col| (0..matrix.n_rows).map(move |row| matrix.row(row)[col])).collect()
        };
        for (is_lhs_turned, is_rhs_turned) in [(false, false), (false, true), (true, false), (true, true)] {
            let side = |matrix: &Matrix, is_turned: bool| match is_turned {
                true => (turned(matrix), View::new(0, matrix.n_cols, matrix.n_rows).transposed()),
                false => (matrix.values.clone(), View::new(0, matrix.n_rows, matrix.n_cols)),
            };
            let found = products(side(&lhs, is_lhs_turned), side(&rhs, is_rhs_turned), [n_rows, n_cols]);
            for (found, expected) in found.iter().zip(expected.iter().chain(&expected)) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-5, "{n_rows} rows, {n_cols} columns, {n_terms} terms: {found}, not {expected}");
            }
        }
    }
}

/// The same product twice, in one launch.
fn products(lhs: (Vec<f32>, View), rhs: (Vec<f32>, View), [n_rows, n_cols]: [usize; 2]) -> Vec<f32> {
    let found: Result<Vec<f32>, DeviceError> = on_backend!(gpu(), Backend, device => {
        type Runtime = <Backend as Launches>::Runtime;
        let client = <Runtime as cubecl::Runtime>::client(&device);
        let arrays = [&lhs.0, &rhs.0].map(|values| Numbers::<Runtime>::of(&client, values));
        let output = Numbers::empty(&client, 2 * n_rows * n_cols);
        let factors = [0, n_rows * n_cols].map(|first| {
            Factors { lhs: lhs.1, rhs: rhs.1, output: View::new(first, n_rows, n_cols) }
        });
        product((&client, &device), [&arrays[0], &arrays[1], &output], &factors, 1, Precision::F32);
        Ok(output.read(&client, 0, 2 * n_rows * n_cols))
    });
    found.unwrap()
}

#[test]
fn so_many_steps_are_taken_at_once_that_a_training_stops_soon() {
    let n_learnt = (768 + 2048) * 512;
    let at_once = |n_pairs, n_learnt| steps_at_once(n_pairs, 512, n_learnt);
    assert_eq!([1, 16, 128, 4096, 1 << 16].map(|n_pairs| at_once(n_pairs, n_learnt)), [4096, 256, 32, 1, 1]);
    assert_eq!(at_once(128, 0), 32, "without heads");
    // Of heads with 1.4 billion numbers, a step of 16 pairs is 69 billion products.
    assert_eq!(at_once(16, 1000 * n_learnt), 3);
    assert_eq!(steps_at_once(0, 0, 0), PAIRS_AT_ONCE);
}

//! Tokens that are weighed by a learnt vector, against PyTorch and the framework.

use pipeline_kernels::{InstructionSet, Matrix, TokenMatrix, TokenNumbers, on_threads};

use crate::Precision;
use crate::families::goldens::tokens::{chinese_clip_images, chinese_clip_tokens};
use crate::gpu::reference;
use crate::heads::{Head, Heads, Linear, embed_features};
use crate::train::cpu::CpuLearner;
use crate::train::steps::{self, Learner};
use crate::train::{
    Attentive, PairedFeatures, Positives, TopRate, TrainError, TrainOptions, Trained, initial_heads, initial_mlp_heads,
    with_attention,
};
use crate::weights::fixtures::{self, max_difference};

/// PyTorch's own losses, weights and embeddings in f32 differ from those in f64 by up to 1.1e-6.
const TOLERANCE: f32 = 1e-5;
const BOTH: Attentive = Attentive { text: true, images: true };

fn options() -> TrainOptions {
    TrainOptions { epochs: 4, batch_size: 8, attention_lr: 1e-2, ..TrainOptions::default() }
}

fn run(learner: &mut dyn Learner, n_pairs: usize, options: &TrainOptions) -> Trained {
    steps::run(n_pairs, options, None, learner, &mut |_| true, &|| false).unwrap()
}

/// All weights of heads under the names of PyTorch's modules.
fn named(heads: &Heads) -> Vec<(&'static str, Vec<f32>)> {
    let layer = |head: &Head| head.output.clone();
    let (Linear { weight: text, bias: text_bias }, Linear { weight: image, bias: image_bias }) =
        (layer(&heads.text), layer(&heads.image));
    vec![
        ("text_head.weight", text.values),
        ("text_head.bias", text_bias),
        ("image_head.weight", image.values),
        ("image_head.bias", image_bias),
        ("attention.weight", heads.text.attention.clone().unwrap()),
    ]
}

#[test]
fn a_training_with_attentive_texts_is_pytorchs() {
    let golden = fixtures::tensors("ladder/training/attentive.safetensors");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixtures::path("ladder/training/attentive.json")).unwrap()).unwrap();
    let losses: Vec<f32> = serde_json::from_value(report["losses_f64"].clone()).unwrap();
    let attentive = Attentive { text: true, images: false };
    let start = with_attention(initial_heads(48, 40, 12, 11), attentive, 11, true);
    for (name, values) in named(&start) {
        assert_eq!(fixtures::bits(&values), fixtures::bits(&golden[&format!("initial.{name}")].values), "{name}");
    }
    let check = |trained: &Trained, tokens: &TokenMatrix, by: &str| {
        let found: Vec<f32> = trained.losses.iter().map(|step| step.loss).collect();
        assert!(max_difference(&found, &losses) <= TOLERANCE, "{by}: losses {found:?}");
        let heads = trained.heads.as_ref().unwrap();
        for (name, values) in named(heads) {
            let difference = max_difference(&values, &golden[&format!("final.{name}")].values);
            assert!(difference <= TOLERANCE, "{by}, {name}: {difference:e}");
        }
        let embedded = embed_features(tokens.into(), Some(&heads.text), true, 2).unwrap();
        let difference = max_difference(&embedded.values, &golden["text_embeddings"].values);
        assert!(difference <= TOLERANCE, "{by}, embeddings: {difference:e}");
    };
    let options = options();
    for instructions in InstructionSet::available() {
        let (tokens, images) = (chinese_clip_tokens(instructions), chinese_clip_images(instructions));
        let pairs: Vec<_> = (0..24).map(|row| (row, row % 16)).collect();
        let data = PairedFeatures { text: (&tokens).into(), images: (&images).into(), pairs: &pairs };
        let mut own = CpuLearner::new(&data, &options, Some(start.clone()), instructions);
        check(&run(&mut own, 24, &options), &tokens, &format!("{instructions:?}"));
        let mut framework = reference::learner(&data, &options, Some(start.clone()));
        check(&run(&mut *framework, 24, &options), &tokens, "framework");
    }
}

/// Rows of one to nine tokens.
pub(super) fn noise(name: &str, n_rows: usize, width: usize) -> TokenMatrix {
    let n_tokens: Vec<usize> = (0..n_rows).map(|row| 1 + row * 5 % 9).collect();
    let values = fixtures::noise(name, vec![n_tokens.iter().sum(), width], 1.0).values;
    TokenMatrix::new(width, n_tokens, TokenNumbers::Single(values))
}

fn flat(heads: &Heads) -> Vec<f32> {
    let of_head = |head: &Head| {
        let layers = head.layers().flat_map(|layer| layer.weight.values.iter().chain(&layer.bias));
        layers.chain(head.attention.iter().flatten()).copied().collect::<Vec<_>>()
    };
    [of_head(&heads.text), of_head(&heads.image)].concat()
}

#[test]
fn steps_on_tokens_are_those_of_the_framework() {
    let (text, images) = (noise("text", 41, 70), noise("images", 37, 100));
    let half = text.clone().in_halves().unwrap();
    let pairs: Vec<_> = (0..74).map(|idx| (idx % 41, idx * 5 % 37)).collect();
    let linear = with_attention(initial_heads(70, 100, 20, 5), BOTH, 5, true);
    let mlp = with_attention(initial_mlp_heads(70, 100, 33, 24, 5), BOTH, 5, true);
    for (text, start, options) in [
        (&text, &linear, TrainOptions { batch_size: 16, ..options() }),
        (&text, &mlp, TrainOptions { batch_size: 74, ..options() }),
        (&half, &linear, TrainOptions { anchor: 0.2, positives: Positives::All, learn_temperature: true, ..options() }),
        (&half, &mlp, TrainOptions { normalize: false, temperature: 3.0, weight_decay: 0.1, ..options() }),
    ] {
        let data = PairedFeatures { text: text.into(), images: (&images).into(), pairs: &pairs };
        let expected = run(&mut *reference::learner(&data, &options, Some(start.clone())), 74, &options);
        for instructions in InstructionSet::available() {
            let mut own = CpuLearner::new(&data, &options, Some(start.clone()), instructions);
            let found = run(&mut own, 74, &options);
            for (expected, found) in expected.losses.iter().zip(&found.losses) {
                let error = (expected.loss - found.loss).abs() / expected.loss.max(1.0);
                assert!(error < 2e-5, "{options:?}: {found:?} instead of {expected:?}");
            }
            let difference = max_difference(&flat(&expected.heads.clone().unwrap()), &flat(&found.heads.unwrap()));
            assert!(difference < 2e-4, "{instructions:?}, {options:?}: weights ± {difference:e}");
        }
    }
}

#[test]
fn neither_instructions_nor_threads_show_in_a_bit() {
    let (text, images) = (noise("text", 41, 500), noise("images", 37, 301));
    let pairs: Vec<_> = (0..100).map(|idx| (idx % 41, idx * 5 % 37)).collect();
    let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
    let start = with_attention(initial_mlp_heads(500, 301, 70, 24, 5), BOTH, 5, true);
    for n_threads in [1, 3] {
        let trained = |instructions: InstructionSet| {
            on_threads(n_threads, || {
                let mut learner = CpuLearner::new(&data, &TRAINED_ON_THREADS, Some(start.clone()), instructions);
                flat(&run(&mut learner, 100, &TRAINED_ON_THREADS).heads.unwrap())
            })
        };
        fixtures::assert_same_bits("attention", trained);
        let one = on_threads(1, || {
            let mut learner = CpuLearner::new(&data, &TRAINED_ON_THREADS, Some(start.clone()), InstructionSet::best());
            flat(&run(&mut learner, 100, &TRAINED_ON_THREADS).heads.unwrap())
        });
        assert_eq!(fixtures::bits(&one), fixtures::bits(&trained(InstructionSet::best())), "{n_threads} threads");
    }
}

const TRAINED_ON_THREADS: TrainOptions = TrainOptions {
    normalize: true,
    temperature: 0.07,
    learn_temperature: false,
    positives: Positives::Own,
    lr: 1e-2,
    text_top: TopRate { lr: 0.0, decay: 0.0 },
    image_top: TopRate { lr: 0.0, decay: 0.0 },
    attention_lr: 1e-1,
    lr_schedule: crate::train::LrSchedule::Cosine,
    warmup_steps: 2,
    weight_decay: 1e-4,
    anchor: 0.0,
    epochs: 2,
    batch_size: 33,
    shuffle: true,
    seed: 3,
    precision: Precision::F32,
    n_threads: 1,
};

#[test]
fn heads_and_features_that_do_not_go_together_are_refused() {
    let (tokens, vectors) = (noise("text", 4, 6), Matrix::zeros(4, 6));
    let plain = initial_heads(6, 6, 3, 0);
    let narrow =
        Heads { text: Head { attention: Some(vec![0.0; 5]), ..plain.text.clone() }, image: plain.image.clone() };
    let attentive = with_attention(plain.clone(), Attentive { text: true, images: false }, 0, true);
    for (text, start, expect) in [
        ((&tokens).into(), Some(&plain), Some([0, 6])),
        ((&tokens).into(), None, Some([0, 6])),
        ((&tokens).into(), Some(&narrow), Some([5, 6])),
        ((&vectors).into(), Some(&attentive), Some([6, 0])),
        ((&tokens).into(), Some(&attentive), None),
    ] {
        let data = PairedFeatures { text, images: (&vectors).into(), pairs: &[(0, 0), (1, 1)] };
        let trained =
            crate::train::train(&data, None, &options(), start.cloned(), crate::Device::Cpu, &mut |_| true, &|| false);
        match (trained, expect) {
            (Ok(_), None) => {}
            (Err(TrainError::Attention { found, wanted, .. }), Some(expect)) => assert_eq!([found, wanted], expect),
            (other, _) => panic!("{other:?} instead of {expect:?}"),
        }
    }
}

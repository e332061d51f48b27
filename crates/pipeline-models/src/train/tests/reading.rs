//! Tokens that are read when they are needed give the bits of those in memory, on every way that they take.

use std::io;

use pipeline_kernels::{InstructionSet, Matrix, TokenMatrix, TokenReader};

use super::attention::noise;
use crate::gpu::reference;
use crate::heads::{EmbedError, Features, Head, Heads, TokenPool, embed, embed_features, pool};
use crate::tower::fixtures::top;
use crate::tower::{Activation, LayerShape, NormPlace, TopPool};
use crate::train::steps::{self, Learner};
use crate::train::{
    Attentive, PairedFeatures, TopRate, TrainError, TrainOptions, Trained, initial_heads, processor_learner,
    with_attention,
};
use crate::{Device, train};

/// Tokens as files give them: at the end of the buffer. One row may be unreadable.
#[derive(Debug)]
struct Elsewhere {
    tokens: TokenMatrix,
    unreadable: Option<usize>,
}

impl TokenReader for Elsewhere {
    fn width(&self) -> usize {
        self.tokens.width()
    }

    fn n_rows(&self) -> usize {
        self.tokens.n_rows()
    }

    fn n_tokens(&self, row_idx: usize) -> usize {
        self.tokens.n_tokens(row_idx)
    }

    fn read_row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> io::Result<&'a [f32]> {
        if self.unreadable == Some(row_idx) {
            return Err(io::Error::other("the server is gone"));
        }
        let row = self.tokens.row(row_idx, &mut Vec::new()).to_vec();
        buffer.resize(1 + row.len(), f32::NAN);
        buffer[1..].copy_from_slice(&row);
        Ok(&buffer[1..])
    }
}

fn elsewhere(tokens: &TokenMatrix) -> Elsewhere {
    Elsewhere { tokens: tokens.clone(), unreadable: None }
}

const N_PAIRS: usize = 40;

fn options() -> TrainOptions {
    let rate = TopRate { lr: 1e-3, decay: 0.5 };
    TrainOptions {
        epochs: 2,
        batch_size: 7,
        shuffle: true,
        attention_lr: 1e-2,
        text_top: rate,
        image_top: rate,
        ..TrainOptions::default()
    }
}

/// Heads whose tokens are weighed, and heads behind layers.
fn starts() -> [Heads; 2] {
    let attentive = with_attention(initial_heads(6, 6, 5, 5), Attentive { text: true, images: true }, 5, true);
    let shape = LayerShape {
        width: 6,
        n_heads: 2,
        activation: Activation::Gelu,
        epsilon: 1e-5,
        norms: NormPlace::After,
        is_causal: false,
    };
    let Heads { text, image } = initial_heads(5, 5, 5, 3);
    let behind = |head, pool| Head { top: Some(top(shape, 2, 7, pool)), ..head };
    [attentive, Heads { text: behind(text, TopPool::First), image: behind(image, TopPool::Mean { n_skipped: 0 }) }]
}

/// The training of one learner after the other: the processor's on every instruction set, and the framework's.
fn trained(text: Features<'_>, images: Features<'_>, start: &Heads) -> Vec<Trained> {
    let pairs: Vec<_> = (0..N_PAIRS).map(|idx| (idx % 13, idx * 5 % 11)).collect();
    let (data, options) = (PairedFeatures { text, images, pairs: &pairs }, options());
    let run = |mut learner: Box<dyn Learner + '_>| {
        steps::run(N_PAIRS, &options, None, &mut *learner, &mut |_| true, &|| false).unwrap()
    };
    let own = InstructionSet::available().into_iter();
    let own = own.map(|instructions| run(processor_learner(&data, &options, Some(start.clone()), instructions)));
    own.chain([run(reference::learner(&data, &options, Some(start.clone())))]).collect()
}

#[test]
fn tokens_train_from_files_as_from_memory() {
    let (single, images) = (noise("text", 13, 6), noise("images", 11, 6));
    let half = single.clone().in_halves().unwrap();
    for start in starts() {
        for text in [&single, &half] {
            let expected = trained(text.into(), (&images).into(), &start);
            let (text, images): (&dyn TokenReader, &dyn TokenReader) = (&elsewhere(text), &elsewhere(&images));
            assert_eq!(trained(text.into(), images.into(), &start), expected);
        }
    }
}

#[test]
fn tokens_are_embedded_from_files_as_from_memory_a_part_at_a_time() {
    let tokens = noise("text", 4500, 6);
    let from_files: &dyn TokenReader = &elsewhere(&tokens);
    for start in starts() {
        let head = &start.text;
        let all = match &head.top {
            Some(top) => top.features(&tokens, 0..4500, 1).unwrap(),
            None => pool(&tokens, 0..4500, TokenPool::Attentive(head.attention.as_ref().unwrap()), 1).unwrap(),
        };
        let expected = embed(&all, Some(head), true, 1).unwrap();
        for features in [(&tokens).into(), from_files.into()] {
            assert_eq!(embed_features(features, Some(head), true, 2).unwrap(), expected);
        }
        let none: &dyn TokenReader = &elsewhere(&noise("text", 0, 6));
        assert_eq!(embed_features(none.into(), Some(head), true, 2).unwrap(), Matrix::zeros(0, 5));
    }
}

#[test]
fn a_row_that_cannot_be_read_ends_a_training_with_its_cause() {
    let vectors = Matrix::zeros(13, 5);
    let tokens = Elsewhere { unreadable: Some(3), ..elsewhere(&noise("text", 13, 6)) };
    let text: &dyn TokenReader = &tokens;
    for start in starts() {
        let start = Heads { image: initial_heads(5, 5, 5, 3).image, text: start.text };
        let failed = embed_features(text.into(), Some(&start.text), true, 2).unwrap_err();
        assert!(matches!(&failed, EmbedError::Read(error) if error.to_string() == "the server is gone"), "{failed:?}");
        let pairs: Vec<_> = (0..13).map(|row_idx| (row_idx, row_idx)).collect();
        let data = PairedFeatures { text: text.into(), images: (&vectors).into(), pairs: &pairs };
        let failed =
            train::train(&data, None, &options(), Some(start), Device::Cpu, &mut |_| true, &|| false).unwrap_err();
        assert!(matches!(&failed, TrainError::Read(error) if error.to_string() == "the server is gone"), "{failed:?}");
    }
}

//! Embedding on small cases that can be followed by hand.

use pipeline_kernels::Matrix;

use super::embed::project;
use super::*;
use crate::weights::fixtures::assert_same_bits;

fn matrix(rows: &[&[f32]]) -> Matrix {
    Matrix::new(rows.len(), rows[0].len(), rows.concat())
}

/// Irregular but reproducible numbers between -1 and 1.
fn patterned(n_rows: usize, n_cols: usize) -> Matrix {
    let values = (0..n_rows * n_cols).map(|place| ((place as f32 * 0.737).sin() * 43.7).fract()).collect();
    Matrix::new(n_rows, n_cols, values)
}

#[test]
fn a_head_maps_and_then_the_length_becomes_one() {
    let head = Head::from(Linear { weight: matrix(&[&[1.0, 0.0, 1.0], &[0.0, 2.0, 0.0]]), bias: vec![0.0, 1.0] });
    let features = matrix(&[&[1.0, 1.5, 2.0], &[0.0, -0.5, 0.0]]);
    assert_eq!(embed(&features, Some(&head), false, 1).unwrap(), matrix(&[&[3.0, 4.0], &[0.0, 0.0]]));
    assert_eq!(embed(&features, Some(&head), true, 1).unwrap(), matrix(&[&[0.6, 0.8], &[0.0, 0.0]]));
    assert_eq!(embed(&features, None, false, 1).unwrap(), features);
    assert_eq!(embed(&Matrix::zeros(0, 3), Some(&head), true, 1).unwrap(), Matrix::zeros(0, 2));
}

#[test]
fn heads_that_begin_as_unit_matrices_change_no_bit_of_features() {
    let features = patterned(203, 96);
    let Heads { text, image } = crate::train::identity_heads(96);
    for head in [text, image] {
        assert!(embed(&features, Some(&head), false, 2).unwrap() == features);
        assert!(embed(&features, Some(&head), true, 2).unwrap() == embed(&features, None, true, 2).unwrap());
    }
}

#[test]
fn widths_that_do_not_fit_are_named() {
    let head = Head::from(Linear { weight: Matrix::zeros(4, 768), bias: vec![0.0; 4] });
    let error = embed(&Matrix::zeros(1, 512), Some(&head), true, 1).unwrap_err();
    assert!(matches!(error, EmbedError::Widths { d_features: 512, d_head: 768 }));
}

#[test]
fn blocks_and_threads_change_nothing() {
    let head = Head::from(Linear { weight: patterned(64, 96), bias: vec![0.5; 64] });
    let features = patterned(1203, 96);
    let run = |n_threads| embed(&features, Some(&head), true, n_threads).unwrap();
    let embedded = run(1);
    assert!([0, 2, 3, 8].into_iter().all(|n_threads| run(n_threads) == embedded));
    for head in [Some(&head), None] {
        let all = embed(&features, head, true, 2).unwrap();
        let some = embed_rows(&features, 501..902, head, true, 2).unwrap();
        assert!(some.values == all.values[501 * all.n_cols..902 * all.n_cols]);
    }
}

#[test]
fn embeddings_have_the_same_bits_with_every_instruction_set() {
    let linear = |n_outputs, n_inputs| Linear { weight: patterned(n_outputs, n_inputs), bias: vec![0.5; n_outputs] };
    let heads = [
        Head::from(linear(440, 801)),
        Head { top: None, attention: None, hidden: Some(linear(500, 801)), output: linear(440, 500) },
    ];
    let features = patterned(301, 801);
    for (idx, head) in heads.iter().enumerate() {
        assert_same_bits(&format!("embeddings by {} layers", idx + 1), |instructions| {
            project(&features, 0..features.n_rows, head, 2, instructions).unwrap().values
        });
    }
}

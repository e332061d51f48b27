//! PyTorch's runs of the baseline notebook, as references for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::checkpoint::Checkpoint;
use crate::heads::{Heads, Linear};
use crate::weights::{PlainTensor, fixtures, fixtures::max_difference, read_tensors};
use pipeline_kernels::Matrix;

/// The path of a golden file.
pub(crate) fn path(name: &str) -> PathBuf {
    fixtures::path("goldens").join(name)
}

/// The heads in a golden file.
pub(crate) fn heads(name: &str) -> Heads {
    Checkpoint::read(&path(name)).unwrap().heads.unwrap()
}

/// `result.json` of a run.
#[derive(Deserialize)]
pub(crate) struct Golden {
    /// Text and image id of every pair.
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) valid_image_ids: Vec<String>,
    pub(crate) valid_queries: Vec<(String, Vec<String>)>,
    /// By `N epochs`.
    pub(crate) runs: BTreeMap<String, Run>,
}

#[derive(Deserialize)]
pub(crate) struct Run {
    pub(crate) step_losses: Vec<Vec<f32>>,
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// One line of `rankings_N_epochs.json`.
#[derive(Deserialize)]
pub(crate) struct GoldenRanking {
    pub(crate) top_ids: Vec<String>,
    pub(crate) top_scores: Vec<f32>,
    pub(crate) rank: Option<usize>,
}

impl Golden {
    pub(crate) fn read(set: &str) -> Self {
        read_json(&format!("{set}/result.json"))
    }

    /// For every valid query, the rows of its loaded images.
    pub(crate) fn relevant(&self) -> Vec<Vec<usize>> {
        let row_of = |id: &String| self.valid_image_ids.iter().position(|loaded| loaded == id);
        self.valid_queries.iter().map(|(_, ids)| ids.iter().filter_map(row_of).collect()).collect()
    }
}

/// The rankings of a set after some epochs.
pub(crate) fn rankings(set: &str, epochs: usize) -> Vec<GoldenRanking> {
    read_json(&format!("{set}/rankings_{epochs}_epochs.json"))
}

/// A golden file of JSON.
pub(crate) fn read_json<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// Features of train texts and images, one row per pair, and of valid queries and images.
pub(crate) struct Features {
    pub(crate) train_text: Matrix,
    pub(crate) train_image: Matrix,
    pub(crate) valid_text: Matrix,
    pub(crate) valid_image: Matrix,
}

impl Features {
    /// The features of a set; those missing from its folder come from `mini`, from which it was made.
    pub(crate) fn of(set: &str) -> Self {
        let (mini, golden) = (Golden::read("mini"), Golden::read(set));
        let files = [path("mini/features.safetensors"), path(&format!("{set}/features.safetensors"))];
        let mut tensors = BTreeMap::new();
        for file in files.into_iter().filter(|file| file.exists()) {
            tensors.extend(read_tensors(&file).unwrap());
        }
        let place = |pair| mini.pairs.iter().position(|other| other == pair).unwrap();
        let pair_rows: Vec<_> = golden.pairs.iter().map(place).collect();
        let place = |id| mini.valid_image_ids.iter().position(|other| other == id).unwrap();
        let image_rows: Vec<_> = golden.valid_image_ids.iter().map(place).collect();
        let query_rows: Vec<_> = (0..golden.valid_queries.len()).collect();
        Self {
            train_text: rows(&tensors["train_text"], &pair_rows),
            train_image: rows(&tensors["train_image"], &pair_rows),
            valid_text: rows(&tensors["valid_text"], &query_rows),
            valid_image: rows(&tensors["valid_image"], &image_rows),
        }
    }

    /// Row `i` of the texts belongs to row `i` of the images.
    pub(crate) fn pairs(&self) -> Vec<(usize, usize)> {
        (0..self.train_text.n_rows).map(|row| (row, row)).collect()
    }
}

fn rows(tensor: &PlainTensor, rows: &[usize]) -> Matrix {
    let n_cols = tensor.shape[1];
    let values = rows.iter().flat_map(|row| &tensor.values[row * n_cols..][..n_cols]).copied().collect();
    Matrix::new(rows.len(), n_cols, values)
}

/// The largest difference between the weights and biases of two pairs of heads.
pub(crate) fn max_weight_difference(left: &Heads, right: &Heads) -> f32 {
    let layers = |heads: &Heads| heads.text.layers().chain(heads.image.layers()).cloned().collect::<Vec<_>>();
    let (left, right) = (layers(left), layers(right));
    assert_eq!(left.len(), right.len());
    let difference = |(left, right): (&Linear, &Linear)| {
        max_difference(&left.weight.values, &right.weight.values).max(max_difference(&left.bias, &right.bias))
    };
    left.iter().zip(&right).map(difference).fold(0.0, f32::max)
}

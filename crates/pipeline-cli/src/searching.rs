//! A pool of images that is up to date and can be searched: what `search` and `serve` share.

use pipeline_experiments::{EvaluationPool, Opened, PoolError};
use pipeline_stages::Found;
use serde::Serialize;

use crate::commands::{path, predict};
use crate::failure::Failure;

/// The default number of images to show.
pub const DEFAULT_K: u16 = 10;

/// The most images to show.
pub const MAX_K: u16 = 1000;

/// Reads the pool of an evaluation from the store; computes nothing.
///
/// # Errors
/// When there is no such evaluation, or its inputs are not up to date.
pub fn open(opened: &Opened, stage: Option<&str>, n_threads: usize) -> Result<EvaluationPool, Failure> {
    let evaluation = predict::evaluation(opened, stage)?;
    EvaluationPool::open(opened, evaluation, n_threads).map_err(|error| match error {
        PoolError::Engine(error) => Failure::of_plan(opened, error),
        PoolError::Current(error) => path::failure(opened, error),
        PoolError::Gone(error) => error.into(),
        PoolError::Stage(error) => error.into(),
    })
}

/// The results as JSON, here and in `serve`: `{query, image, stage, pool_size, results: [{rank, id, score}]}`.
#[derive(Debug, Serialize)]
pub struct Results {
    query: Option<String>,
    image: Option<String>,
    stage: String,
    pool_size: usize,
    /// Best first.
    pub results: Vec<Ranked>,
}

/// An image in the results.
#[derive(Debug, Serialize)]
pub struct Ranked {
    /// The rank, from 1.
    pub rank: usize,
    /// The image's id.
    pub id: Option<String>,
    /// Its similarity to the query.
    pub score: f32,
}

impl Results {
    /// The results for a text.
    pub fn of_text(searching: &EvaluationPool, text: &str, found: Vec<Found>) -> Self {
        Self { query: Some(text.to_owned()), ..Self::new(searching, found) }
    }

    /// The results for an image file.
    pub fn of_image(searching: &EvaluationPool, file: &str, found: Vec<Found>) -> Self {
        Self { image: Some(file.to_owned()), ..Self::new(searching, found) }
    }

    fn new(searching: &EvaluationPool, found: Vec<Found>) -> Self {
        let results = found.into_iter().enumerate();
        Self {
            query: None,
            image: None,
            stage: searching.evaluation.to_string(),
            pool_size: searching.pool.len(),
            results: results.map(|(idx, Found { id, score })| Ranked { rank: idx + 1, id, score }).collect(),
        }
    }

    /// The query, in words.
    pub fn what(&self) -> &str {
        self.query.as_deref().or(self.image.as_deref()).unwrap_or_default()
    }

    /// The pool, in words.
    pub fn pool(&self) -> String {
        format!("{} images of `{}`", self.pool_size, self.stage)
    }
}

//! A pool of images that is up to date and can be searched: what `search` and `serve` share.

use std::collections::BTreeMap;

use pipeline_core::{Key, StageId};
use pipeline_engine::Decision;
use pipeline_stages::{Found, SearchPool};
use serde::Serialize;

use crate::commands::{path, predict};
use crate::failure::Failure;
use crate::opened::Opened;

/// How many images are shown unless somebody says otherwise.
pub const DEFAULT_K: u16 = 10;

/// At most so many images are shown.
pub const MAX_K: u16 = 1000;

/// The pool of an evaluation.
pub struct Searching {
    /// The evaluation.
    pub evaluation: StageId,
    /// Its images and heads.
    pub pool: SearchPool,
    /// The key of its result; none while that is not up to date, which a search does not need.
    pub result: Option<Key>,
}

impl Searching {
    /// Reads the pool of an evaluation from the store; computes nothing.
    ///
    /// # Errors
    /// When there is no such evaluation, or what it compares is not up to date.
    pub fn open(opened: &Opened, stage: Option<&str>, n_threads: usize) -> Result<Self, Failure> {
        let evaluation = predict::evaluation(opened, stage)?;
        let plan = opened.plan_what_is_there()?;
        let idx = opened.graph.position(&evaluation).expect("the evaluation was found in the graph");
        let inputs = &opened.graph.nodes()[idx].inputs;
        // Of the text features no vector is read, but a query must be encoded as they were.
        let records: BTreeMap<&str, _> = ["text", "images", "projection"]
            .into_iter()
            .map(|slot| Ok((slot, path::record_in(&plan, opened, &inputs[slot])?)))
            .collect::<Result<_, Failure>>()?;
        let open = |slot: &str| path::open_artifact(opened, &inputs[slot], &records[slot]);
        let (images, projection) = (open("images")?, open("projection")?);
        let text = opened.store.cas().open(&pipeline_stages::without_shards(&records["text"].tree))?;
        let inputs = [text.artifact(), images.artifact(), projection.artifact()];
        let pool = SearchPool::open(&opened.spec, &evaluation, inputs, n_threads)?;
        let result = match &plan.stages[idx].decision {
            Decision::Reuse { key, .. } => Some(*key),
            _ => None,
        };
        Ok(Self { evaluation, pool, result })
    }
}

/// What was found, as JSON shows it here and in `serve`: `{query, image, stage, pool_size, results: [{rank, id, score}]}`.
#[derive(Debug, Serialize)]
pub struct Results {
    query: Option<String>,
    image: Option<String>,
    stage: String,
    pool_size: usize,
    /// Best first.
    pub results: Vec<Ranked>,
}

/// An image that was found.
#[derive(Debug, Serialize)]
pub struct Ranked {
    /// From 1.
    pub rank: usize,
    /// The image's id.
    pub id: Option<String>,
    /// How alike it is to the query.
    pub score: f32,
}

impl Results {
    /// What was found for a text.
    pub fn of_text(searching: &Searching, text: &str, found: Vec<Found>) -> Self {
        Self { query: Some(text.to_owned()), ..Self::new(searching, found) }
    }

    /// What was found for an image file.
    pub fn of_image(searching: &Searching, file: &str, found: Vec<Found>) -> Self {
        Self { image: Some(file.to_owned()), ..Self::new(searching, found) }
    }

    fn new(searching: &Searching, found: Vec<Found>) -> Self {
        let results = found.into_iter().enumerate();
        Self {
            query: None,
            image: None,
            stage: searching.evaluation.to_string(),
            pool_size: searching.pool.len(),
            results: results.map(|(idx, Found { id, score })| Ranked { rank: idx + 1, id, score }).collect(),
        }
    }

    /// What was searched for, in words.
    pub fn what(&self) -> &str {
        self.query.as_deref().or(self.image.as_deref()).unwrap_or_default()
    }

    /// The pool, in words.
    pub fn pool(&self) -> String {
        format!("{} images of `{}`", self.pool_size, self.stage)
    }
}

//! A pool of images that is up to date and can be searched: what `search` and `serve` share.

use pipeline_core::StageError;
use pipeline_experiments::{EvaluationPool, Opened, PoolError, ReadQueries};
use pipeline_stages::{Found, FoundQuery, Place, QueryOfImage, Relevant};
use serde::Serialize;

use crate::commands::{path, predict};
use crate::failure::Failure;

/// The default number of images to show.
pub const DEFAULT_K: u16 = 10;

/// The most images to show.
pub const MAX_K: u16 = 1000;

/// The most queries that name an image to show.
const MAX_OWN_QUERIES: usize = 20;

/// Reads the pool of an evaluation from the store; computes nothing.
///
/// # Errors
/// When there is no such evaluation, or its inputs are not up to date.
pub fn open(
    opened: &Opened,
    stage: Option<&str>,
    queries: ReadQueries,
    n_threads: usize,
) -> Result<EvaluationPool, Failure> {
    let evaluation = predict::evaluation(opened, stage)?;
    EvaluationPool::open(opened, evaluation, queries, n_threads).map_err(|error| failure(opened, error))
}

/// The failure of a pool that cannot be searched.
pub fn failure(opened: &Opened, error: PoolError) -> Failure {
    match error {
        PoolError::Engine(error) => Failure::of_plan(opened, error),
        PoolError::Current(error) => path::failure(opened, error),
        PoolError::Gone(error) => error.into(),
        PoolError::Stage(error) => error.into(),
    }
}

/// The results as JSON, here and in `serve`: `{query, image, stage, pool_size, results: [{rank, id, score, relevant}],
/// relevant: [{id, rank}], queries: [{rank, text, score, relevant}], own_queries: [{text, rank}]}`.
#[derive(Debug, Serialize)]
pub struct Results {
    /// The text that was searched for.
    pub query: Option<String>,
    /// The name of the image that was searched for.
    pub image: Option<String>,
    stage: String,
    pool_size: usize,
    /// Best first.
    pub results: Vec<Ranked>,
    /// The images that the evaluation's queries with this text name; `None` where there is no such query.
    pub relevant: Option<Vec<RelevantImage>>,
    /// The evaluation's queries that are most similar to an image, best first.
    pub queries: Option<Vec<RankedQuery>>,
    /// The evaluation's queries that name an image of the pool.
    pub own_queries: Option<Vec<OwnQuery>>,
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
    /// Whether the query's text names it; `None` for a text that is not of the evaluation.
    pub relevant: Option<bool>,
}

/// An image that a query names.
#[derive(Debug, Serialize)]
pub struct RelevantImage {
    /// Its id.
    pub id: String,
    /// Its rank; `None` outside of the pool.
    pub rank: Option<usize>,
}

/// A query of the evaluation in the results.
#[derive(Debug, Serialize)]
pub struct RankedQuery {
    /// The rank, from 1; queries with the same text count once.
    pub rank: usize,
    /// Its text.
    pub text: String,
    /// Its similarity to the image.
    pub score: f32,
    /// Whether it names the image; `None` for an image that is not of the pool.
    pub relevant: Option<bool>,
}

/// A query of the evaluation that names an image.
#[derive(Debug, Serialize)]
pub struct OwnQuery {
    /// Its text.
    pub text: String,
    /// The rank of the image for it.
    pub rank: Option<usize>,
}

impl Results {
    /// The `k` best images for a text.
    ///
    /// # Errors
    /// When the query does not fit the pool.
    pub fn of_text(searching: &EvaluationPool, text: &str, place: &Place, k: u16) -> Result<Self, StageError> {
        Ok(Self { query: Some(text.to_owned()), ..Self::of(searching, place, k)? })
    }

    /// The `k` best images and queries for an image that is called `name`.
    ///
    /// # Errors
    /// When the query does not fit the pool.
    pub fn of_image(searching: &EvaluationPool, name: &str, place: &Place, k: u16) -> Result<Self, StageError> {
        let queries = searching.pool.queries(place, k.into())?.map(|found| {
            let ranked = |(idx, FoundQuery { text, score, is_relevant })| RankedQuery {
                rank: idx + 1,
                text,
                score,
                relevant: is_relevant,
            };
            found.into_iter().enumerate().map(ranked).collect()
        });
        Ok(Self { image: Some(name.to_owned()), queries, ..Self::of(searching, place, k)? })
    }

    /// The `k` other images and the queries that are nearest to an image of the pool; `None` when there is no such
    /// image.
    ///
    /// # Errors
    /// When queries and images do not share a space.
    pub fn like(searching: &EvaluationPool, id: &str, k: u16) -> Result<Option<Self>, StageError> {
        let Some(place) = searching.pool.place_of(id) else { return Ok(None) };
        let own = searching.pool.queries_of(id, MAX_OWN_QUERIES)?;
        let own_queries =
            own.map(|own| own.into_iter().map(|QueryOfImage { text, rank }| OwnQuery { text, rank }).collect());
        Ok(Some(Self { own_queries, ..Self::of_image(searching, id, &place, k)? }))
    }

    fn of(searching: &EvaluationPool, place: &Place, k: u16) -> Result<Self, StageError> {
        let found = searching.pool.images(place, k.into())?;
        let named = found.relevant.as_deref();
        let is_named = |id: &str| named.map(|named| named.iter().any(|relevant| relevant.id == id));
        let ranked = |(idx, Found { id, score })| Ranked {
            rank: idx + 1,
            relevant: id.as_deref().map_or_else(|| named.map(|_| false), is_named),
            id,
            score,
        };
        Ok(Self {
            query: None,
            image: None,
            stage: searching.evaluation.to_string(),
            pool_size: searching.pool.len(),
            results: found.images.into_iter().enumerate().map(ranked).collect(),
            relevant: named
                .map(|named| named.iter().cloned().map(|Relevant { id, rank }| RelevantImage { id, rank }).collect()),
            queries: None,
            own_queries: None,
        })
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

//! The pool of an evaluation, which needs the evaluation's inputs to be up to date.

use std::collections::BTreeMap;

use pipeline_core::{Key, StageError, StageId};
use pipeline_engine::{Decision, EngineError};
use pipeline_stages::SearchPool;
use pipeline_store::OpenTreeError;

use crate::current::CurrentError;
use crate::open::Opened;

/// The reason why a pool cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Planning failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An input of the evaluation is not up to date, or its files are gone.
    #[error(transparent)]
    Current(#[from] CurrentError),
    /// The description of the text features is missing.
    #[error(transparent)]
    Gone(#[from] OpenTreeError),
    /// An artifact cannot be read, or the heads do not fit the features.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// The pool of an evaluation.
pub struct EvaluationPool {
    /// The evaluation.
    pub evaluation: StageId,
    /// Its images and heads.
    pub pool: SearchPool,
    /// The key of its result; `None` while that is not up to date, which a search does not need.
    pub result: Option<Key>,
    /// The reason why the queries of the evaluation could not be read, which a search does not need either.
    pub without_queries: Option<PoolError>,
}

/// The part of an evaluation's queries to read beside its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadQueries {
    /// Their texts and the images that they name.
    Named,
    /// Their text features, too.
    WithTexts,
}

impl EvaluationPool {
    /// Reads the pool of an evaluation from the store; computes nothing.
    ///
    /// # Errors
    /// When an input of the evaluation is not up to date.
    pub fn open(
        opened: &Opened,
        evaluation: StageId,
        queries: ReadQueries,
        n_threads: usize,
    ) -> Result<Self, PoolError> {
        let plan = opened.plan_what_is_there()?;
        let idx = opened.graph.position(&evaluation).expect("the evaluation was found in the graph");
        let inputs = &opened.graph.nodes()[idx].inputs;
        // Reads no text vectors, but a query must be encoded as they were.
        let records: BTreeMap<&str, _> = ["text", "images", "projection"]
            .into_iter()
            .map(|slot| Ok((slot, opened.record_in(&plan, &inputs[slot])?)))
            .collect::<Result<_, CurrentError>>()?;
        let open = |slot: &str| opened.open_artifact(&inputs[slot], &records[slot]);
        let (images, projection) = (open("images")?, open("projection")?);
        let text = opened.store.cas().open(&pipeline_stages::without_shards(&records["text"].tree))?;
        let artifacts = [text.artifact(), images.artifact(), projection.artifact()];
        let mut pool = SearchPool::open(&opened.spec, &evaluation, artifacts, n_threads)?;
        let mut read = || -> Result<(), PoolError> {
            let stage = &inputs["queries"];
            let rows = opened.open_artifact(stage, &opened.record_in(&plan, stage)?)?;
            match queries {
                ReadQueries::Named => pool.read_queries(rows.artifact())?,
                ReadQueries::WithTexts => pool.read_texts(rows.artifact(), open("text")?.artifact())?,
            }
            Ok(())
        };
        let without_queries = read().err();
        let result = match &plan.stages[idx].decision {
            Decision::Reuse { key, .. } => Some(*key),
            _ => None,
        };
        Ok(Self { evaluation, pool, result, without_queries })
    }
}

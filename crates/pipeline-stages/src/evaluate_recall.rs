//! `evaluate-recall`: every query against every image, and MUGE's any-hit Recall@k.

mod counts;
mod measured;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use pipeline_core::{Metrics, Source, Stage, StageContext, StageError, StageReport, StageWork, WholeStage, Work};
use pipeline_data::{QueryRow, ResultsOf, ScratchRows};
use pipeline_eval::{self as eval, Quantity, Ranking, RankingRow};
use pipeline_kernels::{RowReader, SelectedRows};
use pipeline_models::checkpoint::Checkpoint;
use pipeline_models::ranking;
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, Features};
use crate::export::Side;
use crate::feature_spaces::{self, Named};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::pooled;
use crate::relevance::{Asked, has_text, ids_that_do_not_meet, other_forms};
use crate::same_queries;
use crate::train_projection::must_align;
use counts::Counts;
use measured::Measured;

/// The least number of ids per ranking: MUGE's prediction file requires ten.
const MIN_TOP: usize = 10;

/// The most ids per ranking: every query stores that many.
const MAX_K: usize = 10_000;

pub(crate) static KIND: Kind = Kind {
    name: "evaluate-recall",
    version: 5,
    summary: "Ranks every image for every query and computes Recall@k",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the queries with the ids of their relevant images"),
        Slot::required("text", Format::TextFeatures, "the text features of those queries").or_tokens(),
        Slot::required("images", Format::ImageFeatures, "the image features of the pool").or_tokens(),
        Slot::required("projection", Format::Projection, "the trained heads"),
    ]),
    produces: Format::Evaluation,
    tokens: None,
    files: &[artifact::METRICS, artifact::RANKINGS, artifact::PER_QUERY, artifact::PER_IMAGE],
    params_schema: schema::<EvaluateRecallParams>,
    build,
};

/// The params of `evaluate-recall`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EvaluateRecallParams {
    /// The similarity of two embeddings.
    #[serde(default)]
    similarity: Similarity,
    /// The ranks up to which a relevant image is a hit, ascending.
    #[serde(default = "default_k")]
    #[schemars(inner(range(min = 1, max = 10_000)), length(min = 1))]
    k: Vec<usize>,
    /// Whether to rank the texts for each image, too.
    #[serde(default)]
    image_to_text: bool,
    /// Accept features of another encoder or other options than those of the heads' training.
    #[serde(default, skip_serializing_if = "crate::kind::is_false")]
    allow_mismatch: bool,
}

/// The similarity of two embeddings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Similarity {
    /// The cosine of their angle.
    #[default]
    Cosine,
    /// Their dot product.
    Dot,
}

impl From<Similarity> for eval::Similarity {
    fn from(similarity: Similarity) -> Self {
        match similarity {
            Similarity::Cosine => Self::Cosine,
            Similarity::Dot => Self::Dot,
        }
    }
}

/// The similarity of a stage with these params.
pub(crate) fn similarity(params: &Node) -> Result<eval::Similarity, StageError> {
    Ok(read(params)?.similarity.into())
}

/// Whether a stage with these params accepts features of other encodings than those of its heads' training.
pub(crate) fn allows_mismatch(params: &Node) -> Result<bool, StageError> {
    Ok(read(params)?.allow_mismatch)
}

fn read(params: &Node) -> Result<EvaluateRecallParams, StageError> {
    pipeline_spec::params(params).map_err(|error| StageError::because("the evaluation cannot be read", error))
}

/// 1, 5 and 10, as in MUGE.
fn default_k() -> Vec<usize> {
    vec![1, 5, 10]
}

struct EvaluateRecall {
    params: EvaluateRecallParams,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: EvaluateRecallParams = pipeline_spec::params(node)?;
    let rising = params.k.windows(2).all(|pair| pair[0] < pair[1]);
    let in_range = |k: &usize| (1..=MAX_K).contains(k);
    if params.k.is_empty() || !rising || !params.k.iter().all(in_range) {
        let message = format!("`k` must be rising numbers from 1 to {MAX_K}, such as [1, 5, 10]");
        return Err(SpecError::at(span_of(node, "k"), message));
    }
    if !params.allow_mismatch {
        same_queries::check(&context, "queries", "text")?;
    }
    if let (false, Some(trainer)) = (params.allow_mismatch, feature_spaces::trainer(context.spec, context.stage)) {
        for slot in ["text", "images"] {
            feature_spaces::check_spec(&context, slot, trainer, slot)?;
        }
    }
    Ok(Box::new(EvaluateRecall { params }))
}

impl Stage for EvaluateRecall {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        manifest_params(&self.params)
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(Vec::new())
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Whole(self)
    }
}

impl WholeStage for EvaluateRecall {
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError> {
        let start = Instant::now();
        let queries = artifact::queries(artifact::input(context, "queries"))?;
        let checkpoint = heads(context, self.params.allow_mismatch)?;
        let read_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let of_side = |side: Side| {
            let features = artifact::input(context, side.name());
            pooled::embedded(features, &checkpoint, side, Some(scratch), context.n_threads)
        };
        let text = of_side(Side::Text)?;
        must_align(&queries, &text)?;
        let images = of_side(Side::Images)?;
        if images.ids.is_empty() {
            return Err(StageError::new("the pool has no images to be found"));
        }
        let evaluation = self.evaluate(context, &queries, &images, text.vectors)?;
        let search_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        evaluation.write(scratch, &images)?;
        let write_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let metrics = evaluation.metrics(&self.params.k, context.n_threads);
        let statistics_seconds = start.elapsed().as_secs_f64();
        let (ids, forms) = (|| ids_that_do_not_meet(&queries, &images), || other_forms(&queries, &images));
        Counts::of(&queries).warn(context, &metrics, ids, forms);
        artifact::write_json(&scratch.join(artifact::METRICS), &metrics)?;
        Ok(StageReport {
            n_rows: Some(evaluation.rankings.len() as u64),
            headline: Some(headline(&metrics, &self.params.k)),
            metrics,
            seconds: BTreeMap::from([
                (Work::Read, read_seconds),
                (Work::Search, search_seconds),
                (Work::Write, write_seconds),
                (Work::Statistics, statistics_seconds),
            ]),
            ..StageReport::default()
        })
    }
}

/// The embeddings of one side.
type Embeddings = Features<ScratchRows>;

/// The heads, which must be those of the features.
fn heads(context: &StageContext<'_>, allows_mismatch: bool) -> Result<Checkpoint, StageError> {
    let checkpoint = artifact::heads(artifact::input(context, "projection"))?;
    for (slot, trained_on) in [
        ("text", checkpoint.trained_on.as_ref().map(|on| &on.text)),
        ("images", checkpoint.trained_on.as_ref().map(|on| &on.images)),
    ] {
        let space = artifact::feature_space(artifact::input(context, slot))?;
        let features = Named { name: &format!("input `{slot}`"), space: space.as_ref() };
        let heads = Named { name: "the heads of input `projection`", space: trained_on };
        feature_spaces::must_match(context, &features, &heads, allows_mismatch)?;
    }
    Ok(checkpoint)
}

/// The rankings of all queries that have a text.
struct Evaluation<'a> {
    queries: Vec<&'a QueryRow>,
    rankings: Vec<Ranking>,
    /// The results of the queries that name relevant images.
    images_for_queries: Measured,
    /// The results of the images that a query names, if requested.
    queries_for_images: Option<Measured>,
}

impl EvaluateRecall {
    fn evaluate<'a>(
        &self,
        context: &StageContext<'_>,
        queries: &'a [QueryRow],
        images: &Embeddings,
        texts: ScratchRows,
    ) -> Result<Evaluation<'a>, StageError> {
        let Asked { rows, relevant } = Asked::new(queries, images, has_text);
        let queries: Vec<&QueryRow> = rows.iter().map(|row_idx| &queries[*row_idx]).collect();
        let texts: Box<dyn RowReader> = Box::new(texts);
        let texts = SelectedRows { reader: texts, rows };
        let top_k = self.params.k.last().copied().unwrap_or(MIN_TOP).max(MIN_TOP);
        let similarity: eval::Similarity = self.params.similarity.into();
        let incomparable = |error| StageError {
            help: ranking::help(&error),
            ..StageError::because("queries and images cannot be compared", error)
        };
        let (device, n_threads) = (artifact::device(context.device, context.card), context.n_threads);
        let rankings = ranking::rank(&texts, &images.vectors, &relevant, top_k, similarity, device, n_threads)
            .map_err(incomparable)?;
        let ranks = |rankings: &[Ranking]| rankings.iter().map(|ranking| ranking.relevant_ranks.clone()).collect();
        let images_for_queries = Measured::of_queries(&queries, images, &relevant, ranks(&rankings));
        let queries_for_images = if self.params.image_to_text {
            let relevant = measured::inverted(&relevant, images.ids.len());
            let rankings = ranking::rank(&images.vectors, &texts, &relevant, 0, similarity, device, n_threads);
            Some(Measured::of_images(&queries, images, &relevant, ranks(&rankings.map_err(incomparable)?)))
        } else {
            None
        };
        Ok(Evaluation { queries, rankings, images_for_queries, queries_for_images })
    }
}

impl Evaluation<'_> {
    fn metrics(&self, k: &[usize], n_threads: usize) -> Metrics {
        let directions = [Some(&self.images_for_queries), self.queries_for_images.as_ref()];
        directions.into_iter().flatten().flat_map(|measured| measured.metrics(k, n_threads)).collect()
    }

    fn write(&self, scratch: &Path, images: &Embeddings) -> Result<(), StageError> {
        let id = |row_idx: usize| images.ids[row_idx].clone().unwrap_or_default();
        let rows: Vec<RankingRow> = self
            .queries
            .iter()
            .zip(&self.rankings)
            .map(|(query, ranking)| RankingRow {
                query_id: query.id.clone(),
                query_text: query.text.clone(),
                relevant: query.image_ids.clone().unwrap_or_default(),
                rank: ranking.best_rank().map(|rank| rank as u32),
                top_ids: ranking.top.iter().map(|(row_idx, _)| id(*row_idx)).collect(),
                top_scores: ranking.top.iter().map(|(_, score)| *score).collect(),
            })
            .collect();
        pipeline_data::write_rankings(&scratch.join(artifact::RANKINGS), &rows)
            .map_err(|error| StageError::because("the rankings cannot be written", error))?;
        let write = |file: &str, of: ResultsOf, measured: &Measured| {
            pipeline_data::write_results(&scratch.join(file), of, &measured.results)
                .map_err(|error| StageError::because(format!("`{file}` cannot be written"), error))
        };
        write(artifact::PER_QUERY, ResultsOf::Queries, &self.images_for_queries)?;
        match &self.queries_for_images {
            Some(measured) => write(artifact::PER_IMAGE, ResultsOf::Images, measured),
            None => Ok(()),
        }
    }
}

/// The notebook's result line, with two facts that it lacks: the pool and the answerable queries.
fn headline(metrics: &Metrics, k: &[usize]) -> String {
    let metric = |quantity: Quantity| metrics[&quantity.to_string()];
    if Quantity::MeanRecall.value_in(metrics).is_none() {
        return format!("no labels, so that no recall is measured; pool {} images", metric(Quantity::PoolSize));
    }
    let recalls: Vec<_> = k.iter().map(|k| format!("Recall@{k}={:.4}", metric(Quantity::RecallAt(*k)))).collect();
    format!(
        "{}, MeanRecall={:.4} (N={}); pool {} images, {} queries answerable",
        recalls.join(", "),
        metric(Quantity::MeanRecall),
        metric(Quantity::NQueries),
        metric(Quantity::PoolSize),
        metric(Quantity::NAnswerable)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_of_queries_without_labels_has_no_recall() {
        let metrics = BTreeMap::from([("n_queries".to_owned(), 0.0), ("pool_size".to_owned(), 600.0)]);
        assert_eq!(headline(&metrics, &[1]), "no labels, so that no recall is measured; pool 600 images");
    }

    #[test]
    fn the_headline_begins_with_the_notebooks_line() {
        let metrics = BTreeMap::from([
            ("recall_at_1".to_owned(), 0.0482),
            ("recall_at_5".to_owned(), 0.16877),
            ("recall_at_10".to_owned(), 0.2767),
            ("mean_recall".to_owned(), 0.16456),
            ("n_queries".to_owned(), 871.0),
            ("n_answerable".to_owned(), 870.0),
            ("pool_size".to_owned(), 600.0),
        ]);
        assert_eq!(
            headline(&metrics, &[1, 5, 10]),
            "Recall@1=0.0482, Recall@5=0.1688, Recall@10=0.2767, MeanRecall=0.1646 (N=871); pool 600 images, 870 \
             queries answerable"
        );
    }
}

//! The measurements of a run's evaluations, with the map of their embeddings and the accepted baseline.

use std::io;
use std::path::PathBuf;

use pipeline_core::Metrics;
use pipeline_data::{ResultRow, ResultsOf};
use pipeline_eval::Quantity;
use pipeline_eval::analysis::{Analysis, AnalysisOptions, Chance, Duplicates, Map, duplicates, sample};
use pipeline_experiments::gate::{Baseline, Measured, baseline};
use pipeline_experiments::in_one_line;
use pipeline_kernels::{Matrix, RowReader, read_rows};
use pipeline_report::facts::Evaluation;
use pipeline_stages::finished::{self, FinishedFeatures};
use pipeline_stages::{Format, Side};

use super::described::{DescribedRun, DescribedStage};
use super::subject::Subject;
use crate::door;

/// The least number of queries in a gallery, however many evaluations there are.
const MIN_QUERIES: usize = 8;

/// The evaluations of the run that have a result; their galleries share the number of queries.
pub fn all(
    subject: &Subject,
    run: &DescribedRun<'_>,
    (n_queries, seed): (usize, u64),
    notes: &mut Vec<String>,
) -> Vec<Evaluation> {
    let stages: Vec<_> = run.stages_that_make(Format::Evaluation).filter(|stage| stage.artifact().is_some()).collect();
    let accepted = accepted(subject, run, notes);
    let n_queries = share(n_queries, stages.len());
    let options = AnalysisOptions { n_queries, seed, n_threads: door::n_threads(), ..AnalysisOptions::default() };
    stages.into_iter().map(|stage| one(subject, run, stage, accepted.as_ref(), &options, notes)).collect()
}

/// The number of queries in each gallery, if all galleries share `n_queries`.
fn share(n_queries: usize, n_evaluations: usize) -> usize {
    (n_queries / n_evaluations.max(1)).max(MIN_QUERIES.min(n_queries))
}

fn one(
    subject: &Subject,
    run: &DescribedRun<'_>,
    stage: &DescribedStage<'_>,
    accepted: Option<&Baseline>,
    options: &AnalysisOptions,
    notes: &mut Vec<String>,
) -> Evaluation {
    let name = stage.facts.name.clone();
    let mut evaluation = Evaluation {
        metrics: stage.metrics(),
        baseline: accepted.map(|accepted| against(run, stage, accepted)),
        stage: name.clone(),
        ..Evaluation::default()
    };
    let rankings = run
        .open(&subject.store, stage)
        .and_then(|artifact| finished::read_rankings(artifact.artifact()).map_err(|error| in_one_line(&error)));
    match rankings {
        Ok(queries) => evaluation.queries = queries,
        Err(why) => notes.push(format!("No rankings of `{name}`: {why}.")),
    }
    match image_ranks(subject, run, stage) {
        Ok(ranks) => evaluation.image_ranks = ranks,
        Err(why) => notes.push(format!("No ranks of images of `{name}`: {why}.")),
    }
    let image_ranks = evaluation.image_ranks.as_deref();
    evaluation.analysis = Analysis::new(&evaluation.queries, image_ranks, &evaluation.metrics, options);
    evaluation.chance = chance(subject, run, stage, &evaluation);
    match space(subject, run, stage, options) {
        Ok((map, duplicates)) => (evaluation.map, evaluation.duplicates) = (Some(map), Some(duplicates)),
        Err(why) => notes.push(format!("No map of `{name}`: {why}.")),
    }
    evaluation
}

/// The best rank of each image's texts, where texts were ranked for images, too.
fn image_ranks(
    subject: &Subject,
    run: &DescribedRun<'_>,
    stage: &DescribedStage<'_>,
) -> Result<Option<Vec<Option<u32>>>, String> {
    let artifact = run.open(&subject.store, stage)?;
    let found =
        pipeline_stages::read_results(artifact.folder(), ResultsOf::Images).map_err(|error| in_one_line(&error))?;
    Ok(found.map(|found| found.rows.iter().map(ResultRow::best_rank).collect()))
}

/// The recall of rankings drawn at random; `None` where the results of the queries are gone, which another note says.
fn chance(
    subject: &Subject,
    run: &DescribedRun<'_>,
    stage: &DescribedStage<'_>,
    evaluation: &Evaluation,
) -> Option<Chance> {
    let artifact = run.open(&subject.store, stage).ok()?;
    let results = pipeline_stages::read_results(artifact.folder(), ResultsOf::Queries).ok()??;
    let n_in_pool: Vec<u32> = results.rows.iter().filter(|row| row.n_relevant > 0).map(|row| row.n_in_pool).collect();
    let pool_size = Quantity::PoolSize.value_in(&evaluation.metrics)? as u32;
    let max_k = evaluation.analysis.text_to_image.last().map_or(0, |point| point.k);
    Chance::new(&n_in_pool, pool_size, &evaluation.analysis.ks, max_k)
}

/// The map of an evaluation, and the images with equal features.
fn space(
    subject: &Subject,
    run: &DescribedRun<'_>,
    stage: &DescribedStage<'_>,
    options: &AnalysisOptions,
) -> Result<(Map, Duplicates), String> {
    let open = |slot: &str| {
        let input = run.input(stage, slot).ok_or_else(|| format!("the spec does not name its input `{slot}`"))?;
        run.open(&subject.store, input)
    };
    let heads = finished::FinishedHeads::read(open("projection")?.artifact()).map_err(|error| in_one_line(&error))?;
    let features = |side: Side| {
        let features = open(side.name())?;
        finished::read_features(features.artifact(), side, &heads, options.n_threads)
            .map_err(|error| in_one_line(&error))
    };
    let FinishedFeatures { ids: image_ids, vectors: images } = features(Side::Images)?;
    let unread = |error: io::Error| in_one_line(&error);
    let duplicates = duplicates(&image_ids, &*images).map_err(unread)?;
    let text = features(Side::Text)?.vectors;
    let queries = finished::read_queries(open("queries")?.artifact()).map_err(|error| in_one_line(&error))?;
    if queries.len() != text.n_rows() {
        return Err("the text features are not those of the queries".to_owned());
    }
    let with_text: Vec<usize> = (0..queries.len()).filter(|idx| !queries[*idx].text.is_empty()).collect();
    let query_rows: Vec<usize> = sample(with_text.len(), options.seed).into_iter().map(|idx| with_text[idx]).collect();
    let image_rows = sample(images.n_rows(), options.seed);
    let text_in_map = rows_of(&*text, &query_rows).map_err(unread)?;
    let images_in_map = rows_of(&*images, &image_rows).map_err(unread)?;
    let (queries_in, images_in) = finished::embed(&heads, &text_in_map, &images_in_map, options.n_threads)
        .map_err(|error| in_one_line(&error))?;
    if queries_in.n_cols != images_in.n_cols {
        return Err("texts and images do not share a space".to_owned());
    }
    let query_labels = query_rows.iter().map(|row| queries[*row].text.clone()).collect();
    let image_labels =
        image_rows.iter().map(|row| format!("image {}", image_ids[*row].as_deref().unwrap_or("?"))).collect();
    Ok((Map::new(&queries_in, query_labels, &images_in, image_labels), duplicates))
}

fn rows_of(features: &dyn RowReader, rows: &[usize]) -> io::Result<Matrix> {
    Ok(Matrix::new(rows.len(), features.n_cols(), read_rows(features, rows)?))
}

/// The accepted baseline of the spec, from beside the spec.
fn accepted(subject: &Subject, run: &DescribedRun<'_>, notes: &mut Vec<String>) -> Option<Baseline> {
    let folder = match &subject.spec {
        Some(spec) => spec.parent()?.to_owned(),
        None => PathBuf::from(&*run.spec.as_ref()?.folder),
    };
    match baseline::read(&baseline::path_in(&folder, &run.facts.spec)) {
        Ok(baseline) => baseline,
        Err(error) => {
            notes.push(format!("No baseline: {}.", in_one_line(&error)));
            None
        }
    }
}

/// The accepted metrics of the stage, or the reason why they cannot be compared.
fn against(run: &DescribedRun<'_>, stage: &DescribedStage<'_>, accepted: &Baseline) -> Result<Metrics, String> {
    let accepted: &Measured = accepted.stages.get(&stage.logged.id).ok_or("it has no result of this stage")?;
    match measured(run, stage).ok_or("the store no longer has its measurements")?.differs_in(accepted) {
        Some(what) => Err(format!("it was measured over other data ({what})")),
        None => Ok(accepted.metrics.clone()),
    }
}

/// The measurements of a stage, with digests of its data; `None` when these are unknown.
pub fn measured(run: &DescribedRun<'_>, stage: &DescribedStage<'_>) -> Option<Measured> {
    let (id, lineage) = (&stage.logged.id, run.run.lineage());
    Some(Measured {
        artifact: stage.artifact()?,
        queries: Some(lineage.data(id, "queries")?),
        pool: Some(lineage.data(id, "images")?),
        metrics: stage.metrics(),
        per_query: None,
        per_image: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn galleries_share_the_queries_down_to_a_least_number() {
        let shares = [(120, 1), (120, 4), (120, 60), (5, 2), (0, 3), (120, 0)].map(|(n, among)| share(n, among));
        assert_eq!(shares, [120, 30, MIN_QUERIES, 5, 0, 120]);
    }
}

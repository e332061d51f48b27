//! The page about a run: one file for each section.

mod comparison;
mod config;
mod gallery;
mod headline;
mod images;
mod map;
mod metrics;
mod pipeline;
mod retrieval;
mod shell;
mod sweep;
mod thumbnails;
mod training;
mod words;

use std::collections::BTreeSet;

use maud::Markup;

use crate::facts::{Evaluation, Report};
pub use shell::Page;
use shell::{Content, Section, section};
pub use sweep::render_sweep;
use thumbnails::Thumbnails;

/// The number of images shown for each query.
const TOP: usize = 10;
/// The least number of queries in a gallery, however many evaluations there are.
const MIN_QUERIES: usize = 8;

/// The ids of the images that need thumbnails, by evaluation in the report's order.
pub fn pictures(report: &Report) -> Vec<BTreeSet<String>> {
    let pictures = |evaluation: &Evaluation| {
        let mut ids = gallery::pictures(&gallery_of(report, evaluation));
        ids.extend(images::pictures(evaluation));
        ids
    };
    report.evaluations.iter().map(pictures).collect()
}

/// The queries of the gallery: the evaluations share the number that the report allows.
fn gallery_of<'a>(report: &Report, evaluation: &'a Evaluation) -> Vec<pipeline_eval::analysis::Shown<'a>> {
    let n_queries = report.n_queries / report.evaluations.len().max(1);
    let queries: Vec<_> = evaluation.labelled().collect();
    pipeline_eval::analysis::choose(&queries, n_queries.max(MIN_QUERIES.min(report.n_queries)), TOP, report.seed)
}

/// The page about a run.
pub fn render(report: &Report) -> Page {
    let thumbnails = Thumbnails::of(&report.evaluations);
    let content = Content {
        run: &report.run,
        notes: &report.notes,
        sections: &sections(report, &thumbnails),
        search: report.search.as_deref(),
        style: &thumbnails.style(),
        script: "",
    };
    content.page()
}

fn sections(report: &Report, thumbnails: &Thumbnails<'_>) -> Vec<Section> {
    let mut sections = Vec::new();
    let shares: Vec<_> = report.evaluations.iter().map(|evaluation| metrics::shares(report, evaluation)).collect();
    if !report.evaluations.is_empty() {
        sections.push(section("result", "Result", headline::draw(report, &shares)));
    }
    if let Some(comparison) = &report.comparison {
        sections.push(section("comparison", "Comparison", comparison::draw(report, comparison, &shares)));
    }
    sections.push(section("pipeline", "Pipeline", pipeline::draw(report)));
    if !report.trainings.is_empty() {
        sections.push(section("training", "Training", training::draw(&report.trainings)));
    }
    for (idx, evaluation) in report.evaluations.iter().enumerate().filter(|(_, one)| !one.queries.is_empty()) {
        let several = report.evaluations.len() > 1;
        let named = |id: &str, title: &str, content: Markup| match several {
            true => section(&format!("{id}-{idx}"), &format!("{title}: {}", evaluation.stage), content),
            false => section(id, title, content),
        };
        sections.push(named("retrieval", "Retrieval", retrieval::draw(evaluation)));
        let shown = gallery_of(report, evaluation);
        if !shown.is_empty() {
            sections.push(named("gallery", "Gallery", gallery::draw(evaluation, &shown, thumbnails)));
        }
        sections.push(named("images", "Images", images::draw(evaluation, thumbnails)));
        if let Some(map) = &evaluation.map {
            sections.push(named("map", "Map", map::draw(map)));
        }
    }
    sections.push(section("config", "Configuration", config::draw(report)));
    sections
}

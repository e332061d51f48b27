//! The page about a run: one file for each section.

mod changes;
mod comparison;
mod config;
mod gallery;
mod headline;
mod images;
mod map;
mod meter;
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
use shell::{Content, Section, section};
pub use shell::{Page, STYLE, source_of};
pub use sweep::render_sweep;
use thumbnails::Thumbnails;

/// The ids of the images that need thumbnails, by evaluation in the report's order.
pub fn pictures(report: &Report) -> Vec<BTreeSet<String>> {
    let pictures = |evaluation: &Evaluation| {
        let mut ids = gallery::pictures(evaluation);
        ids.extend(images::pictures(evaluation));
        if let Some(Ok(other)) = metrics::other(report, evaluation) {
            ids.extend(changes::pictures(evaluation, other));
        }
        ids
    };
    report.evaluations.iter().map(pictures).collect()
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
        let several = report.evaluations.len() > 1;
        for (idx, evaluation) in report.evaluations.iter().enumerate() {
            let Some(Ok(other)) = metrics::other(report, evaluation) else { continue };
            let Some(changes) = changes::draw(evaluation, other, thumbnails) else { continue };
            sections.push(match several {
                true => section(&format!("changes-{idx}"), &format!("Won and lost: {}", evaluation.stage), changes),
                false => section("changes", "Won and lost", changes),
            });
        }
    }
    sections.push(section("pipeline", "Pipeline", pipeline::draw(report)));
    if !report.trainings.is_empty() {
        sections.push(section("training", "Training", training::draw(&report.trainings, report.comparison.as_ref())));
    }
    for (idx, evaluation) in report.evaluations.iter().enumerate().filter(|(_, one)| !one.queries.is_empty()) {
        let several = report.evaluations.len() > 1;
        let named = |id: &str, title: &str, content: Markup| match several {
            true => section(&format!("{id}-{idx}"), &format!("{title}: {}", evaluation.stage), content),
            false => section(id, title, content),
        };
        sections.push(named("retrieval", "Retrieval", retrieval::draw(evaluation)));
        if !evaluation.analysis.gallery.is_empty() {
            sections.push(named("gallery", "Gallery", gallery::draw(evaluation, thumbnails)));
        }
        sections.push(named("images", "Images", images::draw(evaluation, thumbnails)));
        if let Some(map) = &evaluation.map {
            sections.push(named("map", "Map", map::draw(map)));
        }
    }
    sections.push(section("config", "Configuration", config::draw(report)));
    sections
}

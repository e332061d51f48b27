//! The page: what stands where. One file for each section.

mod comparison;
mod config;
mod gallery;
mod headline;
mod images;
mod map;
mod metrics;
mod pipeline;
mod retrieval;
mod thumbnails;
mod training;
mod words;

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::facts::{Evaluation, Report};
use thumbnails::Thumbnails;
use words::duration;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");

/// Images of each query that are shown.
const TOP: usize = 10;
/// Queries in the gallery of an evaluation at least, however many evaluations there are.
const MIN_QUERIES: usize = 8;

/// The ids of the images of which the page shows thumbnails, by evaluation in the report's order.
pub fn pictures(report: &Report) -> Vec<BTreeSet<String>> {
    let pictures = |evaluation: &Evaluation| {
        let mut ids = gallery::pictures(&gallery_of(report, evaluation));
        ids.extend(images::pictures(evaluation));
        ids
    };
    report.evaluations.iter().map(pictures).collect()
}

/// The queries of the gallery: the evaluations share the number that the report allows.
fn gallery_of<'a>(report: &Report, evaluation: &'a Evaluation) -> Vec<crate::gallery::Shown<'a>> {
    let n_queries = report.n_queries / report.evaluations.len().max(1);
    let queries: Vec<_> = evaluation.labelled().collect();
    crate::gallery::choose(&queries, n_queries.max(MIN_QUERIES.min(report.n_queries)), TOP, report.seed)
}

/// The whole page.
pub fn render(report: &Report) -> String {
    let thumbnails = Thumbnails::of(&report.evaluations);
    let sections = sections(report, &thumbnails);
    let title = format!("{} · {}", report.run.spec, report.run.id);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(thumbnails.style())) }
            }
            body {
                (head(report, &sections))
                main {
                    @for note in &report.notes { p.note { (note) } }
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.content) }
                    }
                }
                footer { "pipeline " (report.run.version) " · run " (report.run.id) }
                div #tip role="status" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// A part of the page.
struct Section {
    id: String,
    title: String,
    content: Markup,
}

fn section(id: &str, title: &str, content: Markup) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), content }
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

fn head(report: &Report, sections: &[Section]) -> Markup {
    let run = &report.run;
    html! {
        header {
            div.bar {
                h1 { (run.spec) }
                button #theme type="button" aria-label="light or dark" title="light or dark" { "◐" }
            }
            p.facts {
                span { "run " code { (run.id) } }
                @if !run.state.is_empty() { span class={ "state " (run.state) } { (run.state) } }
                @if !run.started.is_empty() { span { (run.started) " UTC" } }
                @if let Some(seconds) = run.seconds { span { "took " (duration(seconds)) } }
                @if !run.device.is_empty() { span { (run.device) } }
                @if let Some(n_threads) = run.n_threads { span { (n_threads) " threads" } }
            }
        }
        nav aria-label="sections" { @for section in sections { a href={ "#" (section.id) } { (section.title) } } }
    }
}

//! The page about a sweep: the best group and its lead, all groups, the rungs, the importance and the
//! effect of each axis, the stages.

mod curves;
mod definition;
mod effects;
mod groups;
mod heat;
mod importance;
mod lines;
mod result;
mod rungs;
mod stages;

use super::shell::{Content, Page, section};
use super::words::percent;
use crate::facts::{AxisFacts, GroupFacts, Spread, SweepReport};

const STYLE: &str = include_str!("../../assets/sweep.css");
const SCRIPT: &str = include_str!("../../assets/sweep.js");

/// The page about a sweep.
pub fn render_sweep(report: &SweepReport) -> Page {
    let mut sections = vec![section("result", "Result", result::draw(report))];
    let lines = lines::draw(report);
    sections.extend(lines.map(|lines| section("parallel", "Parallel coordinates", lines)));
    sections.push(section("groups", "Groups", groups::draw(report)));
    let rungs = report.rungs.as_ref();
    sections.extend(rungs.map(|rungs| section("rungs", "Rungs", rungs::draw(rungs))));
    let axes = report.importance.as_ref();
    sections.extend(axes.map(|axes| section("importance", "Importance", importance::draw(axes))));
    if !report.effects.is_empty() {
        sections.push(section("effects", "Effects", effects::draw(report)));
    }
    if !report.heat.is_empty() {
        sections.push(section("heat", "Two axes", heat::draw(report)));
    }
    if report.trainings.iter().any(|training| !training.curves.is_empty()) {
        sections.push(section("curves", "Curves", curves::draw(report)));
    }
    sections.push(section("pipeline", "Pipeline", stages::draw(report)));
    sections.push(section("config", "Configuration", definition::draw(report)));
    let content = Content {
        run: &report.run,
        notes: &report.notes,
        sections: &sections,
        search: report.search.as_deref(),
        style: STYLE,
        script: SCRIPT,
    };
    content.page()
}

/// The axes by which groups differ.
fn group_axes(report: &SweepReport) -> impl Iterator<Item = (usize, &AxisFacts)> {
    report.axes.iter().enumerate().filter(|(_, axis)| !axis.is_seed)
}

/// The value of a group on an axis.
fn value_of<'a>(axis: &'a AxisFacts, axis_idx: usize, group: &GroupFacts) -> &'a str {
    group.values[axis_idx].map_or("", |value| &axis.values[value].text)
}

/// The values by which a group differs: `temperature=0.03, projection_dim=256`.
fn label(report: &SweepReport, group: &GroupFacts) -> String {
    let values = group_axes(report).map(|(idx, axis)| format!("{}={}", axis.name, value_of(axis, idx, group)));
    let label = values.collect::<Vec<_>>().join(", ");
    if label.is_empty() { "all seeds".to_owned() } else { label }
}

/// A mean of shares and its standard deviation, such as `16.46% ± 0.21`.
fn mean_and_sd(spread: &Spread) -> String {
    let mean = percent(spread.mean);
    spread.sd.map_or_else(|| mean.clone(), |sd| format!("{mean} ± {:.2}", sd * 100.0))
}

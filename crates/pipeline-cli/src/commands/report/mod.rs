//! `pipeline report`: a run, a sweep or a point of one as one self-contained HTML page.
//!
//! stdout carries the path of the page, with `-o -` the page itself. JSON: `{run, file, bytes}`.

mod comparison;
mod described;
mod evaluation;
mod open;
pub mod subject;
mod sweep;
mod thumbnails;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pipeline_eval::analysis::AnalysisOptions;
use pipeline_experiments::in_one_line;
use pipeline_report::facts::{Report, SweepReport, Training};
use pipeline_report::{History, Page, pictures, render, render_sweep};
use pipeline_stages::{Format, finished};

use crate::args::ReportArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::bytes;
use crate::remotes;
use crate::terminal::Terminal;
use crate::whole_file::WholeFile;
use described::DescribedRun;
pub use subject::Subject;

/// Runs the command.
///
/// # Errors
/// When there is no such run, the store cannot be read, or the page cannot be written.
pub fn run(args: &ReportArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let subject = subject::find(args, terminal)?;
    if subject.sweep.is_some() && args.compare.is_some() {
        return Err(Failure::new(Exit::Usage, "a sweep is not compared with a run as a whole")
            .with_help(format!("name a point of it, such as `{}:1`", subject.run.name())));
    }
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if args.open && to_stdout {
        return Err(Failure::new(Exit::Usage, "`--open` needs a file, and `-o -` writes none")
            .with_help("leave `-o` out: then the page lies in the folder of the run"));
    }
    let options = Options { n_queries: usize::from(args.queries), seed: args.seed, search: None };
    let page = page(&subject, &options);
    remotes::note_news(&subject.store, terminal);
    let html = page?.html;
    if to_stdout {
        let mut stdout = io::stdout().lock();
        stdout.write_all(html.as_bytes()).and_then(|()| stdout.flush())?;
        return Ok(Exit::Done);
    }
    let file = write(args, &subject, &html, terminal)?;
    if args.json.json {
        terminal.json(&serde_json::json!({ "run": subject.run.name(), "file": file, "bytes": html.len() }))?;
    } else {
        terminal.remark(&format!("{} about run {}", bytes(html.len() as u64), subject.run.name()));
        terminal.exact(&file.display().to_string())?;
    }
    if args.open {
        open::open(&file, terminal);
    }
    Ok(Exit::Done)
}

/// The options of a page.
pub struct Options {
    /// The most queries in the gallery.
    pub n_queries: usize,
    /// The seed of all random choices.
    pub seed: u64,
    /// The address of a search box beside which the page is served.
    pub search: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let AnalysisOptions { n_queries, seed, .. } = AnalysisOptions::default();
        Self { n_queries, seed, search: None }
    }
}

/// The page about a run or a sweep; it runs nothing and writes nothing.
///
/// # Errors
/// When the store cannot be read.
pub fn page(subject: &Subject, options: &Options) -> Result<Page, Failure> {
    if let Some(record) = &subject.sweep {
        let report = sweep::report(subject, record)?;
        return Ok(render_sweep(&SweepReport { search: options.search.clone(), ..report }));
    }
    let run = DescribedRun::new(&subject.store, &subject.run)?;
    let other = subject.other.as_ref().map(|other| DescribedRun::new(&subject.store, other)).transpose()?;
    Ok(render(&report(options, subject, &run, other.as_ref())?))
}

/// Writes the page to the requested path, or into the folder of the run.
fn write(args: &ReportArgs, subject: &Subject, html: &str, terminal: &Terminal) -> Result<PathBuf, Failure> {
    match &args.output {
        None => {
            let name = match &subject.run.point {
                Some(point) => format!("report-{}.html", point.point),
                None => "report.html".to_owned(),
            };
            let written = subject.store.runs().write_beside(&subject.run.info.id, &name, html);
            written.map_err(|error| Failure::from(error).with_help("`-o FILE` writes the report elsewhere"))
        }
        Some(file) => {
            let protected = subject.protected();
            let force = args.replace.force;
            WholeFile { path: file, protected: protected.as_ref(), store: &subject.store, force }
                .write(html.as_bytes(), terminal)?;
            Ok(file.clone())
        }
    }
}

/// Of this many queries that a page shows, one is of those that were won and one of those that were lost, where it
/// compares two runs; the others are the gallery.
const SHARE_OF_CHANGES: usize = 5;

/// Collects the facts of the page.
///
/// # Errors
/// When the store cannot be read.
fn report(
    options: &Options,
    subject: &Subject,
    run: &DescribedRun<'_>,
    other: Option<&DescribedRun<'_>>,
) -> Result<Report, Failure> {
    let mut notes = Vec::new();
    let trainings = trainings(subject, run, &mut notes);
    let n_changes = if other.is_some() { options.n_queries / SHARE_OF_CHANGES } else { 0 };
    let n_queries = options.n_queries - 2 * n_changes;
    let evaluations = evaluation::all(subject, run, (n_queries, options.seed), &mut notes);
    let comparison = other.map(|other| comparison::compare(subject, run, other, (&evaluations, n_changes), &mut notes));
    let comparison = comparison.transpose()?;
    let mut report = Report {
        run: run.facts.clone(),
        stages: run.stages.iter().map(|stage| stage.facts.clone()).collect(),
        trainings,
        evaluations,
        comparison,
        spec_yaml: run.yaml.clone(),
        notes,
        search: options.search.clone(),
    };
    let wanted = pictures(&report);
    let n_evaluations = report.evaluations.len();
    for (evaluation, wanted) in report.evaluations.iter_mut().zip(wanted) {
        let (pictures, note) = thumbnails::read(subject, run, (&evaluation.stage, n_evaluations), &wanted);
        (evaluation.pictures, evaluation.fed_as) = (pictures.by_id, pictures.fed_as);
        evaluation.picture_note = note;
    }
    Ok(report)
}

fn trainings(subject: &Subject, run: &DescribedRun<'_>, notes: &mut Vec<String>) -> Vec<Training> {
    let mut trainings = Vec::new();
    for stage in run.stages_that_make(Format::Projection) {
        let read = run.open(&subject.store, stage).and_then(|artifact| {
            let csv = finished::read_history(artifact.artifact()).map_err(|error| in_one_line(&error))?;
            History::parse(&csv).map_err(|error| in_one_line(&error))
        });
        match read {
            Ok(history) => trainings.push(Training { stage: stage.facts.name.clone(), history }),
            Err(why) => notes.push(format!("No curves of `{}`: {why}.", stage.facts.name)),
        }
    }
    trainings
}

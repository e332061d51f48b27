//! The list of runs as a table, as JSON and as CSV: what they tried, what came of it, and what people say about them.

use std::collections::BTreeMap;

use pipeline_core::RunId;
use pipeline_experiments::recorded::spec_titles;
use pipeline_experiments::table::{Experiment, MetricColumn, ParamColumn, UnknownKey, differing_params, main_metrics};
use pipeline_store::{RunInfo, Store};
use serde_json::{Value, json};

use crate::again::line;
use crate::args::RunsArgs;
use crate::commands::runs::labels;
use crate::failure::Failure;
use crate::format::{counted, date_time, duration, rfc3339};
use crate::table::Table;
use crate::terminal::{Terminal, fit};

/// The widest params and notes of a table on a terminal, in columns.
const MAX_PARAM: usize = 24;
const MAX_NOTE: usize = 40;

/// The experiments to list.
pub struct Listed {
    /// In their order.
    pub experiments: Vec<Experiment>,
    /// The number of runs that are hidden since nothing ran in them.
    n_hidden: usize,
    /// Metrics and params that the caller named and that have a column anyway.
    keys: Vec<String>,
    /// The titles of the specs of all runs.
    pub titles: BTreeMap<RunId, String>,
}

/// Reads the experiments that the arguments select.
///
/// # Errors
/// When a condition names a metric or param that no run has.
pub fn select(args: &RunsArgs, store: &Store, runs: Vec<RunInfo>) -> Result<Listed, Failure> {
    let titles = spec_titles(&runs);
    let mut experiments = Experiment::read_all(store, runs);
    let keys = args.filters.iter().filter_map(|filter| filter.value_key());
    let keys: Vec<String> =
        keys.chain(args.sort.as_ref().and_then(|order| order.metric())).map(str::to_owned).collect();
    keys.iter().try_for_each(|key| UnknownKey::check(key, &experiments))?;
    experiments.retain(|experiment| args.filters.iter().all(|filter| filter.accepts(experiment)));
    let n_before = experiments.len();
    if !args.all && !args.prune.prune {
        experiments.retain(|experiment| !experiment.is_idle());
    }
    let n_hidden = n_before - experiments.len();
    let order = args.sort.clone().unwrap_or_default();
    order.sort(&mut experiments, args.limit);
    Ok(Listed { experiments, n_hidden, keys, titles })
}

/// Prints the list in the requested form.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(args: &RunsArgs, listed: &Listed, terminal: &Terminal) -> Result<(), Failure> {
    let columns = Columns::of(listed);
    if args.json.json {
        let runs: Vec<Value> = listed.experiments.iter().map(|experiment| columns.json(experiment)).collect();
        terminal.json(&runs)?;
    } else if args.csv {
        terminal.exact(&columns.csv(&listed.experiments))?;
    } else if !listed.experiments.is_empty() {
        let width = terminal.out_width();
        terminal.data(&columns.table(&listed.experiments, width.is_some()).render(terminal.out, width))?;
    } else if listed.n_hidden == 0 {
        terminal.remark("no run fits");
    }
    if listed.n_hidden > 0 {
        let runs = counted(listed.n_hidden as u64, "run");
        terminal.remark(&format!("{runs} in which nothing ran {} hidden; `--all` lists them", are(listed.n_hidden)));
    }
    for Experiment { info, .. } in &listed.experiments {
        if let Some(problem) = &info.problem {
            terminal.remark(&format!("run {} cannot be believed: {problem}", info.id));
        }
        if let Some(problem) = &info.labels_problem {
            terminal.remark(&labels::lost(info, problem));
        }
    }
    Ok(())
}

fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// The name of a run in a table: its number, or its id where it has none.
pub fn number(info: &RunInfo) -> String {
    if info.number == 0 { info.id.to_string() } else { info.number.to_string() }
}

/// The columns of params and metrics.
struct Columns<'a> {
    titles: &'a BTreeMap<RunId, String>,
    params: Vec<ParamColumn>,
    metrics: Vec<MetricColumn>,
}

/// A column of the table. The highest `rank` is left out first, 0 never.
struct Column {
    title: String,
    rank: usize,
    cells: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(listed: &'a Listed) -> Self {
        let params = differing_params(&listed.experiments);
        let mut metrics = main_metrics(&listed.experiments);
        for key in listed.keys.iter().filter(|key| listed.experiments.iter().any(|run| run.metric(key).is_some())) {
            match metrics.iter_mut().find(|column| column.key == *key) {
                Some(column) => column.is_main = true,
                None => metrics.push(MetricColumn { key: key.clone(), is_main: true }),
            }
        }
        Self { titles: &listed.titles, params, metrics }
    }

    /// The table; params and notes are cut if it is for a terminal.
    fn table(&self, experiments: &[Experiment], is_cut: bool) -> Table {
        let columns = self.columns(experiments, is_cut);
        let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
        let mut order: Vec<usize> = (0..columns.len()).filter(|idx| columns[*idx].rank > 0).collect();
        order.sort_by_key(|idx| (std::cmp::Reverse(columns[*idx].rank), std::cmp::Reverse(*idx)));
        let texts = (0..columns.len()).filter(|idx| matches!(titles[*idx], "name" | "spec" | "tags"));
        let mut table = Table::new(&titles).leave_out_first(order).shorten(texts);
        for row in 0..experiments.len() {
            table.row(columns.iter().map(|column| column.cells[row].clone()).collect());
        }
        table
    }

    /// The columns in their order, without those that are empty.
    fn columns(&self, experiments: &[Experiment], is_cut: bool) -> Vec<Column> {
        let cut = |text: &str, width: usize| fit(text, is_cut.then_some(width));
        let column = |title: &str, rank: usize, cell: &dyn Fn(&Experiment) -> String| Column {
            title: title.to_owned(),
            rank,
            cells: experiments.iter().map(cell).collect(),
        };
        let info = |cell: fn(&RunInfo) -> String| move |experiment: &Experiment| cell(&experiment.info);
        let mut columns = vec![
            column("run", 0, &info(number)),
            column("name", 2, &info(|run| run.labels.name.clone().unwrap_or_default())),
            column("when (UTC)", 6, &info(|run| date_time(run.started_ms))),
            column("spec", 5, &|experiment| self.titles[&experiment.info.id].clone()),
            column("result", 3, &result),
            column("took", 7, &info(|run| run.seconds.map(duration).unwrap_or_default())),
        ];
        let params = self.params.iter();
        columns.extend(params.map(|param| column(&param.title, 1, &|run| cut(&param.cell(run), MAX_PARAM))));
        columns.extend(self.metrics.iter().map(|metric| {
            let rank = if metric.is_main { 0 } else { 10 };
            column(&metric.key, rank, &|run| run.metric(&metric.key).map(shown_metric).unwrap_or_default())
        }));
        columns.extend([
            column("tags", 4, &info(|run| words(&run.labels.tags))),
            column("pinned", 9, &info(|run| if run.pinned { "yes".to_owned() } else { String::new() })),
            column("note", 8, &|run| cut(run.info.labels.note.as_deref().unwrap_or_default(), MAX_NOTE)),
        ]);
        columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty()));
        columns
    }

    fn json(&self, experiment: &Experiment) -> Value {
        let RunInfo { id, spec, state, pinned, metrics, seconds, started_ms, host, origin, labels, .. } =
            &experiment.info;
        let params = self.params.iter().filter_map(|param| Some((&param.key, experiment.param(&param.key)?)));
        let params: BTreeMap<_, _> = params.collect();
        let mut json = json!({
            "id": id, "number": experiment.info.number, "name": labels.name, "spec": spec, "file": origin.file,
            "state": state, "no_op": experiment.info.is_no_op, "pinned": pinned, "started_ms": started_ms,
            "seconds": seconds,
            "params": params, "metrics": metrics, "n_points": experiment.n_points, "note": labels.note,
            "tags": labels.tags, "commit": origin.commit, "command": origin.command, "host": host,
            "version": origin.version, "instruction_set": origin.instruction_set,
        });
        if let Some(problem) = &experiment.info.problem {
            json["problem"] = problem.clone().into();
        }
        json
    }

    fn csv(&self, experiments: &[Experiment]) -> String {
        let mut header: Vec<String> =
            ["id", "number", "name", "started", "spec", "result", "seconds"].map(str::to_owned).into();
        header.extend(self.params.iter().map(|param| param.key.clone()));
        header.extend(self.metrics.iter().map(|metric| metric.key.clone()));
        header.extend(["tags", "note", "commit", "dirty", "host", "version", "command"].map(str::to_owned));
        let rows = experiments.iter().map(|experiment| self.csv_row(experiment));
        let lines = std::iter::once(header).chain(rows).map(|cells| {
            let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            cells.join(",") + "\n"
        });
        lines.collect()
    }

    fn csv_row(&self, experiment: &Experiment) -> Vec<String> {
        let RunInfo { id, number, spec, seconds, started_ms, host, origin, labels, .. } = &experiment.info;
        let number_or_nothing = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut cells = vec![
            id.to_string(),
            number.to_string(),
            text(&labels.name),
            rfc3339(*started_ms),
            spec.clone(),
            experiment.result().to_owned(),
            number_or_nothing(*seconds),
        ];
        cells.extend(self.params.iter().map(|param| {
            let value = experiment.param(&param.key);
            value.map(pipeline_experiments::sweep::shown).unwrap_or_default()
        }));
        cells.extend(self.metrics.iter().map(|metric| number_or_nothing(experiment.metric(&metric.key))));
        let commit = origin.commit.as_ref();
        let dirty = commit.and_then(|commit| commit.dirty).map(|dirty| dirty.to_string()).unwrap_or_default();
        cells.extend([
            words(&labels.tags),
            text(&labels.note),
            commit.map(|commit| commit.id.clone()).unwrap_or_default(),
            dirty,
            host.clone(),
            origin.version.clone(),
            line(&origin.command),
        ]);
        cells
    }
}

fn result(experiment: &Experiment) -> String {
    let rung = match experiment.rungs {
        Some((n_begun, n_rungs)) if n_begun < n_rungs => format!(", rung {n_begun} of {n_rungs}"),
        _ => String::new(),
    };
    match experiment.n_points {
        Some(n_points) => format!("{}, {}{rung}", experiment.result(), counted(n_points as u64, "point")),
        None => experiment.result().to_owned(),
    }
}

fn words(tags: &std::collections::BTreeSet<String>) -> String {
    tags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// A metric of a table: four decimals for shares, whole numbers as they are.
fn shown_metric(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() >= 2.0 { value.to_string() } else { format!("{value:.4}") }
}

/// A cell of CSV as RFC 4180 has it.
fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use pipeline_core::{Event, EventRecord, Outcome};
    use pipeline_store::{RunLabels, RunOrigin};

    use super::*;
    use crate::terminal::Palette;

    #[test]
    fn a_cell_of_csv_is_quoted_where_it_must_be() {
        for (text, expect) in [("a b", "a b"), ("[1,2]", "\"[1,2]\""), ("say \"x\"", "\"say \"\"x\"\"\"")] {
            assert_eq!(csv_cell(text), expect);
        }
    }

    /// Two runs of one spec that differ in a param, with a long note.
    fn listed() -> Listed {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for lr in ["0.1", "0.01"] {
            let mut run = store.runs().start(1_764_000_000_000, "demo", &RunOrigin::default()).unwrap();
            let yaml = format!("stages:\n  head: {{ kind: command, params: {{ lr: {lr}, k: 1 }} }}\n");
            run.write_spec(&yaml).unwrap();
            let metrics = [("mean_recall".to_owned(), 0.5), ("recall_at_1".to_owned(), 0.25)];
            let metrics = BTreeMap::from([("evaluate".parse().unwrap(), metrics.into())]);
            let event = Event::RunFinished { outcome: Outcome::Done, seconds: 2.0, metrics, remote: None };
            run.append_event(&EventRecord { at_ms: 5, event }).unwrap();
            let note = Some("a note that is longer than a line of a narrow terminal".to_owned());
            store.runs().label(run.id(), &RunLabels { note, ..RunLabels::default() }).unwrap();
        }
        let runs = store.runs().list().unwrap();
        let titles = spec_titles(&runs);
        Listed { experiments: Experiment::read_all(&store, runs), n_hidden: 0, keys: Vec::new(), titles }
    }

    #[test]
    fn a_narrow_terminal_keeps_params_and_the_main_metric() {
        let listed = listed();
        let table = Columns::of(&listed).table(&listed.experiments, true);
        let mut heads = Vec::new();
        for columns in [200, 110, 80, 40, 22] {
            let text = table.render(Palette::default(), Some(columns));
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
            heads.push(text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let all = "run when (UTC) spec result took lr mean_recall recall_at_1 note";
        assert_eq!(heads[0], all);
        assert_eq!(
            heads[1..3],
            [all.replace(" recall_at_1", ""), "run when (UTC) spec result took lr mean_recall".into()]
        );
        assert_eq!(heads[3..], ["run spec result lr mean_recall", "run lr mean_recall"]);
    }

    #[test]
    fn shares_have_decimals_and_counts_do_not() {
        assert_eq!([0.5, 1.0, 200.0].map(shown_metric), ["0.5000", "1.0000", "200"]);
    }
}

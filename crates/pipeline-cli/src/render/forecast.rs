//! The whole of a run in one line: how much is done, and when the rest may be.
//!
//! The end is reckoned from the times of earlier runs, those of finished stages of the same kind, and the speed of the
//! running ones. Where one of these is unknown for any stage, nothing is said: no figure is better than a wild one.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Event, EventRecord, StageId};

use crate::format::{count, counted};
use crate::render::rate::Rate;
use crate::render::words;

/// The least time between two reckonings.
const EVERY_MS: u64 = 250;

/// The part of a new reckoning that counts against the former ones.
const WEIGHT: f64 = 0.15;

/// The least time that a stage has run before its speed says when it ends.
const LEAST_MS: u64 = 2_000;

/// The least seconds left that are worth a word.
const LEAST_SECONDS: f64 = 1.0;

/// The points of a sweep: the stages of each.
pub type Points = Vec<BTreeSet<StageId>>;

/// What is known about a run before it begins.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The seconds that stages took when they last ran.
    pub seconds: BTreeMap<StageId, f64>,
    /// The points, if the run is a sweep.
    pub points: Points,
}

/// The state of a run, and its end.
#[derive(Debug, Default)]
pub struct Forecast {
    expected: Expected,
    stages: BTreeMap<StageId, Stage>,
    n_jobs: usize,
    n_failed: usize,
    /// The seconds of the stages that have run, by what makes stages alike.
    took: BTreeMap<Likeness, Vec<f64>>,
    reckoned_ms: u64,
    ends_ms: Option<f64>,
}

#[derive(Debug)]
struct Stage {
    likeness: Likeness,
    inputs: Vec<StageId>,
    state: State,
}

/// Copies of a stage in a sweep are alike: the same kind, and the same name up to a dot.
type Likeness = (String, String);

#[derive(Debug)]
enum State {
    Waits,
    Runs { since_ms: u64, rate: Rate, total: Option<u64> },
    Ended,
}

impl Forecast {
    /// A run of which this is known.
    pub fn new(expected: Expected) -> Self {
        Self { expected, ..Self::default() }
    }

    /// Takes an event into account.
    pub fn on_event(&mut self, record: &EventRecord) {
        match &record.event {
            Event::RunStarted { stages, graph, n_jobs, .. } => {
                self.n_jobs = (*n_jobs).max(1);
                self.stages = stages.iter().map(|stage| (stage.clone(), Stage::named(stage, "", Vec::new()))).collect();
                let nodes = graph.iter();
                self.stages.extend(nodes.map(|node| {
                    let inputs = node.inputs.values().cloned().collect();
                    (node.stage.clone(), Stage::named(&node.stage, &node.kind, inputs))
                }));
            }
            Event::StageStarted { stage, .. } => {
                let rate = Rate::since(record.at_ms);
                self.set(stage, State::Runs { since_ms: record.at_ms, rate, total: None });
            }
            Event::StageProgress { stage, n_done, total } => {
                if let Some(State::Runs { rate, total: all, .. }) =
                    self.stages.get_mut(stage).map(|stage| &mut stage.state)
                {
                    rate.sample(record.at_ms, *n_done);
                    *all = *total;
                }
            }
            Event::StageFinished { stage, seconds, .. } => {
                if let Some(stage) = self.stages.get(stage) {
                    self.took.entry(stage.likeness.clone()).or_default().push(*seconds);
                }
                self.set(stage, State::Ended);
            }
            Event::StageFailed { stage, .. } => {
                self.n_failed += 1;
                self.set(stage, State::Ended);
            }
            Event::StageReused { stage, .. } | Event::StageSkipped { stage, .. } => self.set(stage, State::Ended),
            _ => {}
        }
        self.reckon(record.at_ms);
    }

    /// The number of all stages.
    pub fn n_stages(&self) -> usize {
        self.stages.len()
    }

    /// How much is done, such as `6 of 10 stages`, or `14 of 24 points` in a sweep.
    pub fn done(&self) -> String {
        let has_ended = |stage: &StageId| matches!(self.stages.get(stage), Some(Stage { state: State::Ended, .. }));
        let of = |n: usize, all: usize, what: &str| format!("{} of {}", count(n as u64), counted(all as u64, what));
        let mut done = if self.expected.points.is_empty() {
            of(self.stages.keys().filter(|stage| has_ended(stage)).count(), self.stages.len(), "stage")
        } else {
            let points = &self.expected.points;
            of(points.iter().filter(|stages| stages.iter().all(has_ended)).count(), points.len(), "point")
        };
        if self.n_failed > 0 {
            done.push_str(&format!(", {} failed", count(self.n_failed as u64)));
        }
        done
    }

    /// The time of the end in milliseconds since 1970-01-01 UTC; `None` where it is unknown.
    pub fn ends_ms(&self) -> Option<u64> {
        self.ends_ms.map(|ends_ms| ends_ms as u64)
    }

    fn set(&mut self, stage: &StageId, state: State) {
        if let Some(stage) = self.stages.get_mut(stage) {
            stage.state = state;
        }
    }

    /// Reckons the end anew, some times a second; it moves only slowly from what was shown.
    fn reckon(&mut self, at_ms: u64) {
        if at_ms < self.reckoned_ms + EVERY_MS {
            return;
        }
        self.reckoned_ms = at_ms;
        let now = self.seconds_left(at_ms).map(|seconds| at_ms as f64 + seconds * 1000.0);
        self.ends_ms = match (self.ends_ms, now) {
            (Some(before), Some(now)) => Some(before + WEIGHT * (now - before)),
            (_, now) => now,
        };
    }

    /// The seconds until all stages have ended, each as soon as its inputs and one of the jobs are there.
    fn seconds_left(&self, at_ms: u64) -> Option<f64> {
        let mut ends: BTreeMap<&StageId, f64> = BTreeMap::new();
        let mut jobs: Vec<f64> = Vec::new();
        let mut waiting: Vec<(&StageId, &Stage, f64)> = Vec::new();
        for (id, stage) in &self.stages {
            match &stage.state {
                State::Ended => drop(ends.insert(id, 0.0)),
                State::Runs { since_ms, rate, total } => {
                    let left = self.left_of(id, at_ms.saturating_sub(*since_ms), rate, *total)?;
                    ends.insert(id, left);
                    jobs.push(left);
                }
                State::Waits => waiting.push((id, stage, self.seconds_of(id, stage)?)),
            }
        }
        jobs.resize(jobs.len().max(self.n_jobs), 0.0);
        end_waiting(&waiting, &mut ends, &mut jobs).then(|| ends.into_values().reduce(f64::max)).flatten()
    }

    /// The seconds of a stage that has not begun: its own last time, else that of stages like it.
    fn seconds_of(&self, id: &StageId, stage: &Stage) -> Option<f64> {
        let alike = self.took.get(&stage.likeness).map(|took| took.iter().sum::<f64>() / took.len() as f64);
        self.expected.seconds.get(id).copied().or(alike)
    }

    /// The seconds that are left of a running stage: by its rows, else by its last time as long as that is not over.
    fn left_of(&self, id: &StageId, ran_ms: u64, rate: &Rate, total: Option<u64>) -> Option<f64> {
        let by_rows = total.and_then(|total| rate.seconds_left(total)).filter(|_| ran_ms >= LEAST_MS);
        let by_time = || {
            let left = self.seconds_of(id, self.stages.get(id)?)? - ran_ms as f64 / 1000.0;
            (left > 0.0).then_some(left)
        };
        by_rows.or_else(by_time)
    }
}

/// Lets each waiting stage take the first free job once its inputs have ended, those that are ready first beginning
/// first; false where a stage waits for an unknown input.
fn end_waiting<'a>(
    waiting: &[(&'a StageId, &'a Stage, f64)],
    ends: &mut BTreeMap<&'a StageId, f64>,
    jobs: &mut [f64],
) -> bool {
    let mut readers: BTreeMap<&StageId, Vec<usize>> = BTreeMap::new();
    // The number of inputs that have not ended, and the end of the last that has.
    let mut states: Vec<(usize, f64)> = vec![(0, 0.0); waiting.len()];
    for (idx, (_, stage, _)) in waiting.iter().enumerate() {
        for input in &stage.inputs {
            match ends.get(input) {
                Some(end) => states[idx].1 = states[idx].1.max(*end),
                None => {
                    states[idx].0 += 1;
                    readers.entry(input).or_default().push(idx);
                }
            }
        }
    }
    // Times are not negative, so that their bits have their order.
    let of_ready = |(idx, (n_missing, at)): (usize, &(usize, f64))| (*n_missing == 0).then(|| (at.to_bits(), idx));
    let mut ready: BTreeSet<(u64, usize)> = states.iter().enumerate().filter_map(of_ready).collect();
    let mut n_left = waiting.len();
    while let Some((at, idx)) = ready.pop_first() {
        let (id, _, seconds) = waiting[idx];
        let Some(job) = jobs.iter_mut().min_by(|a, b| a.total_cmp(b)) else { return false };
        *job = job.max(f64::from_bits(at)) + seconds;
        ends.insert(id, *job);
        n_left -= 1;
        for reader in readers.remove(id).unwrap_or_default() {
            let (n_missing, at) = &mut states[reader];
            *n_missing -= 1;
            *at = at.max(*job);
            if *n_missing == 0 {
                ready.insert((at.to_bits(), reader));
            }
        }
    }
    n_left == 0
}

impl Stage {
    fn named(id: &StageId, kind: &str, inputs: Vec<StageId>) -> Self {
        let name = id.as_str().split('.').next().unwrap_or_default();
        Self { likeness: (kind.to_owned(), name.to_owned()), inputs, state: State::Waits }
    }
}

/// The remaining time at `now_ms`, such as `, ETA 12 s`; empty where it is unknown or too short.
pub fn eta(ends_ms: Option<u64>, now_ms: u64) -> String {
    let seconds = ends_ms.map(|ends_ms| ends_ms.saturating_sub(now_ms) as f64 / 1000.0);
    match seconds.filter(|seconds| *seconds >= LEAST_SECONDS) {
        Some(seconds) => format!(", ETA {}", words::seconds_left(seconds)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use pipeline_core::{Device, Digest, Key, RunId, RunReason, StageNode};

    use super::*;

    /// A run whose events are written by hand.
    struct Played {
        forecast: Forecast,
        at_ms: u64,
    }

    fn id(name: &str) -> StageId {
        name.parse().unwrap()
    }

    impl Played {
        /// Stages with their inputs, and the seconds of those that have run before.
        fn new(stages: &[(&str, &[&str], Option<f64>)], n_jobs: usize, points: Points) -> Self {
            let seconds = stages.iter().filter_map(|(name, _, seconds)| Some((id(name), (*seconds)?))).collect();
            let graph: Vec<StageNode> = (stages.iter())
                .map(|(name, inputs, _)| StageNode {
                    stage: id(name),
                    kind: "command".into(),
                    inputs: inputs.iter().map(|input| (format!("from-{input}"), id(input))).collect(),
                })
                .collect();
            let mut played = Self { forecast: Forecast::new(Expected { seconds, points }), at_ms: 1_000_000 };
            played.play(Event::RunStarted {
                run: RunId("r".into()),
                spec: "s".into(),
                stages: graph.iter().map(|node| node.stage.clone()).collect(),
                graph,
                version: String::new(),
                device: Device::Cpu,
                cards: Vec::new(),
                n_jobs,
                n_threads: 2,
            });
            played
        }

        fn play(&mut self, event: Event) {
            self.forecast.on_event(&EventRecord { at_ms: self.at_ms, event });
        }

        fn start(&mut self, name: &str) {
            let key = Key(Digest::of(b""));
            self.play(Event::StageStarted { stage: id(name), kind: "command".into(), key, why: RunReason::New });
        }

        fn end(&mut self, name: &str, seconds: f64) {
            let json = format!(
                r#"{{"event":"stage-finished","stage":"{name}","key":"{0}","artifact":"{0}","bytes":1,
                    "n_shards_reused":0,"n_shards_computed":0,"seconds":{seconds},"unchanged":false,"report":{{}}}}"#,
                Digest::of(b"").hex()
            );
            self.play(serde_json::from_str(&json).unwrap());
        }

        /// What is shown after some seconds in which a running stage has done these rows.
        fn after(&mut self, seconds: u64, rows: Option<(&str, u64, u64)>) -> String {
            for _ in 0..seconds * 2 {
                self.at_ms += 500;
                match rows {
                    Some((stage, n_a_second, total)) => {
                        let n_done = n_a_second * (self.at_ms - 1_000_000) / 1000;
                        self.play(Event::StageProgress { stage: id(stage), n_done, total: Some(total) });
                    }
                    None => self.play(Event::StageOutput { stage: id("a"), line: String::new() }),
                }
            }
            self.shown()
        }

        fn shown(&self) -> String {
            format!("{}{}", self.forecast.done(), eta(self.forecast.ends_ms(), self.at_ms))
        }
    }

    #[test]
    fn times_of_earlier_runs_say_when_the_run_ends() {
        let stages = [("a", &[][..], Some(4.0)), ("b", &["a"], Some(6.0)), ("c", &["a"], Some(2.0))];
        let mut run = Played::new(&stages, 1, Vec::new());
        run.start("a");
        assert_eq!(run.after(1, None), "0 of 3 stages, ETA 11 s");
        run.at_ms += 3_000;
        run.end("a", 4.0);
        assert_eq!(run.shown(), "1 of 3 stages, ETA 8 s");
        let mut at_once = Played::new(&stages, 2, Vec::new());
        at_once.start("a");
        assert_eq!(at_once.after(1, None), "0 of 3 stages, ETA 9 s");
    }

    #[test]
    fn nothing_is_said_where_one_stage_is_unknown() {
        let mut run = Played::new(&[("a", &[], Some(9.0)), ("b", &["a"], None)], 2, Vec::new());
        run.start("a");
        assert_eq!(run.after(3, None), "0 of 2 stages");
        // A stage that takes longer than the last time is unknown, too.
        let mut run = Played::new(&[("a", &[], Some(2.0)), ("b", &["a"], Some(5.0))], 2, Vec::new());
        run.start("a");
        assert_eq!(run.after(1, None), "0 of 2 stages, ETA 6 s");
        assert_eq!(run.after(4, None), "0 of 2 stages");
    }

    #[test]
    fn rows_a_second_correct_the_last_time() {
        let mut run = Played::new(&[("a", &[], Some(3.0)), ("b", &["a"], Some(5.0))], 2, Vec::new());
        run.start("a");
        // 10 of 1,000 rows a second: 100 seconds, and not 3.
        assert_eq!(run.after(30, Some(("a", 10, 1000))), "0 of 2 stages, ETA 1 min 15 s");
    }

    #[test]
    fn the_figure_does_not_jump() {
        let mut run = Played::new(&[("a", &[], Some(100.0)), ("b", &["a"], Some(5.0))], 2, Vec::new());
        run.start("a");
        let mut before: Option<f64> = None;
        for second in 1..60 {
            run.after(1, Some(("a", if second < 30 { 10 } else { 14 }, 1_000)));
            let ends = run.forecast.ends_ms().unwrap() as f64;
            assert!(before.is_none_or(|before| (ends - before).abs() < 12_000.0), "{second}: {before:?} -> {ends}");
            before = Some(ends);
        }
    }

    #[test]
    fn a_sweep_counts_its_points_and_learns_from_the_first() {
        let stages = [("a", &[][..], None), ("b.x-1", &["a"], None), ("b.x-2", &["a"], None), ("b.x-3", &["a"], None)];
        let points = ["b.x-1", "b.x-2", "b.x-3"].map(|name| BTreeSet::from([id("a"), id(name)])).to_vec();
        let mut run = Played::new(&stages, 1, points);
        run.start("a");
        run.at_ms += 1_000;
        run.end("a", 1.0);
        run.start("b.x-1");
        assert_eq!(run.after(2, None), "0 of 3 points");
        run.end("b.x-1", 8.0);
        run.at_ms += 500;
        run.start("b.x-2");
        assert_eq!(run.shown(), "1 of 3 points, ETA 16 s");
    }
}

//! One rung of a sweep, or a sweep without rungs: a graph, and its run.

use std::collections::BTreeSet;

use pipeline_core::{Device, Event, RunId, StageId};
use pipeline_engine::{Decision, PlanOptions, SpecInfo};
use pipeline_experiments::recorded::RunLog;
use pipeline_experiments::sweep::{AxisRecord, HalvingRecord, Reached, Sweep, SweepPlan, SweepRecord, shown};
use pipeline_experiments::{ALL_STAGES, Opened, SpecRef, UnknownStage};
use pipeline_spec::Draw;
use pipeline_store::{Store, path_of_sweeps};

use crate::args::ExecutionArgs;
use crate::card;
use crate::commands::{planned, run};
use crate::commit;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{count, counted};
use crate::render::Renderer;
use crate::terminal::Terminal;

/// A graph of a sweep: that of all rungs which have begun.
pub struct Rung {
    /// The spec with the stages of the graph, and its store.
    pub opened: Opened,
    /// The points.
    pub record: SweepRecord,
    /// The stages that do not publish, since points would overwrite each other's files.
    unpublished: Vec<StageId>,
    info: SpecInfo,
    plan: PlanOptions,
}

/// The stages to force, each in the first graph that has it.
pub struct Forced {
    names: Vec<String>,
    earlier: BTreeSet<StageId>,
}

impl Forced {
    /// The stages of these names.
    ///
    /// # Errors
    /// When the spec has no such stage.
    pub fn among(stages: &[StageId], names: &[String]) -> Result<Self, UnknownStage> {
        let is_known = |name: &String| name == ALL_STAGES || stages.iter().any(|stage| stage.as_str() == name);
        match names.iter().find(|name| !is_known(name)) {
            Some(name) => Err(UnknownStage::among(name, stages)),
            None => Ok(Self { names: names.to_vec(), earlier: BTreeSet::new() }),
        }
    }

    /// The copies of them in a graph that no earlier graph had.
    fn take(&mut self, record: &SweepRecord, in_graph: &BTreeSet<StageId>) -> Vec<StageId> {
        let is_all = self.names.iter().any(|name| name == ALL_STAGES);
        let named = self.names.iter().filter_map(|name| name.parse().ok()).flat_map(|stage| record.copies_of(&stage));
        let copies: BTreeSet<StageId> = if is_all { in_graph.clone() } else { named.collect() };
        let new = copies.into_iter().filter(|copy| in_graph.contains(copy) && !self.earlier.contains(copy)).collect();
        self.earlier.extend(in_graph.iter().cloned());
        new
    }
}

impl Rung {
    /// The graph of a sweep whose points have come so far.
    ///
    /// # Errors
    /// When a point is wrong, or would publish over a protected file.
    pub fn open(
        plan: &SweepPlan,
        reached: &[Reached],
        named: &SpecRef,
        store: &Store,
        forced: &mut Forced,
        device: Device,
    ) -> Result<Self, Failure> {
        let Sweep { spec, graph, settings, yaml, record, unpublished, trial } = plan.with(reached)?;
        let info = SpecInfo {
            path: path_of_sweeps(&spec.file),
            name: spec.name.clone(),
            yaml,
            attachments: vec![record.attachment()],
            files: spec.files.clone(),
            circumstances: None,
            left_out: BTreeSet::new(),
        };
        let in_graph = spec.stages.iter().map(|stage| stage.id.clone()).collect();
        let mut options = PlanOptions { device, arithmetic: door::arithmetic(), ..PlanOptions::default() };
        options.forced.extend(forced.take(&record, &in_graph));
        let (store, named) = (store.clone(), named.clone());
        let (left_out, arithmetic) = (BTreeSet::new(), door::arithmetic());
        let opened = Opened { spec, graph, settings, unpublished: trial, store, named, left_out, arithmetic };
        opened.protected().check_published(&opened.spec)?;
        Ok(Self { opened, record, unpublished, info, plan: options })
    }

    /// Announces the points of the whole sweep.
    pub fn announce_sweep(&self, plan: &SweepPlan, terminal: &Terminal) {
        let axes: Vec<_> = self.record.axes.iter().map(size).collect();
        let drawn = match plan.draw {
            Draw::Grid => "point",
            Draw::Random => "random point",
            Draw::Sobol => "Sobol point",
        };
        let n_apart: usize = self.record.points.iter().map(|point| point.stages.len()).sum();
        terminal.remark(&format!(
            "{} of {}: {} instead of {}",
            counted(self.record.points.len() as u64, drawn),
            axes.join(" × "),
            counted(self.opened.graph.n_stages() as u64, "stage"),
            count(n_apart as u64),
        ));
        plan.note().iter().for_each(|note| terminal.remark(note));
        if !self.unpublished.is_empty() {
            let names: Vec<_> = self.unpublished.iter().map(|stage| format!("`{stage}`")).collect();
            terminal.remark(&format!(
                "note: a sweep does not publish the files of {}, since its points would overwrite each other's",
                names.join(", ")
            ));
        }
        run::note_trial(&self.opened.unpublished, terminal);
    }

    /// Announces the rung, if there are several.
    pub fn announce(&self, terminal: &Terminal) {
        let Some(halving) = &self.record.halving else { return };
        let on_rung = |n_rungs: &usize| *n_rungs == halving.n_begun;
        let n_points = self.record.points.iter().map(|point| point.rungs.len()).filter(on_rung).count();
        terminal.remark(&format!("{}: {}", self.name(halving), counted(n_points as u64, "point")));
    }

    /// The rung for people: `rung 1 of 3 (epochs=2)`.
    fn name(&self, halving: &HalvingRecord) -> String {
        let axis = self.record.axes.iter().find(|axis| axis.key == halving.resource);
        let resource = axis.map_or(halving.resource.as_str(), |axis| &axis.name);
        let value = halving.rungs.get(halving.n_begun - 1).map(shown).unwrap_or_default();
        format!("rung {} of {} ({resource}={value})", halving.n_begun, halving.rungs.len())
    }

    /// The results of a rung before the last of which every stage is remembered; `None` where one would run.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub fn remembered(&self) -> Result<Option<RunLog>, Failure> {
        if self.is_last() {
            return Ok(None);
        }
        let plan = pipeline_engine::plan(&self.opened.graph, &self.opened.store, &self.info.path, &self.plan);
        let plan = plan.map_err(|error| Failure::of_plan(&self.opened, error))?;
        let reused = |stage: &pipeline_engine::PlannedStage| match &stage.decision {
            Decision::Reuse { key, artifact, report } => Some(Event::StageReused {
                stage: stage.id.clone(),
                key: *key,
                artifact: *artifact,
                report: report.clone(),
            }),
            _ => None,
        };
        let events: Option<Vec<Event>> = plan.stages.iter().map(reused).collect();
        Ok(events.as_ref().map(RunLog::of))
    }

    /// Shows the plan of the rung.
    ///
    /// # Errors
    /// When it cannot be planned, or stdout cannot be written.
    pub fn show_plan(&self, json: bool, terminal: &Terminal) -> Result<(), Failure> {
        let options = PlanOptions { counts_shards: true, ..self.plan.clone() };
        let plan = pipeline_engine::plan(&self.opened.graph, &self.opened.store, &self.info.path, &options);
        planned::show(&self.opened, &plan.map_err(|error| Failure::of_plan(&self.opened, error))?, json, terminal)?;
        if !self.is_last() {
            terminal.remark("the points of the next rung depend on what this one measures");
        }
        Ok(())
    }

    /// Brings the stages of the rung up to date, on these cards if on any. The run of the last rung has the name that
    /// the caller gave.
    ///
    /// # Errors
    /// When the run cannot begin, or its history cannot be written.
    pub fn carry_out(
        &self,
        args: &ExecutionArgs,
        card: &card::Opened,
        terminal: &Terminal,
    ) -> Result<(Exit, RunId, RunLog), Failure> {
        let mut options = run::options(args, self.plan.clone(), card, &self.opened.named.absolute);
        options.origin.commit = self.opened.spec.file.parent().and_then(commit::of);
        if !self.is_last() {
            options.labels.name = None;
        }
        let points = self.record.points.iter().map(|point| point.stages.values().cloned().collect()).collect();
        let expected = run::expected(&self.opened.store, &self.info.path, points);
        let renderer = Renderer::new(terminal, false, expected);
        let (exit, run, shown) = run::carry_out(&self.opened, &self.info, &options, renderer, terminal)?;
        Ok((exit, run, shown.log))
    }

    /// Fails for a rung before the last that promotes no point although nothing failed.
    ///
    /// # Errors
    /// When it is not the last.
    pub fn must_be_last(&self) -> Result<(), Failure> {
        match &self.record.halving {
            Some(halving) if !self.is_last() => {
                let metric = halving.metric_name();
                let message = format!("{} measured no point by `{metric}`, so that none goes on", self.name(halving));
                Err(Failure::new(Exit::StageFailed, &message))
            }
            _ => Ok(()),
        }
    }

    fn is_last(&self) -> bool {
        self.record.halving.as_ref().is_none_or(|halving| halving.n_begun == halving.rungs.len())
    }
}

/// An axis with the number of its values, or with its range.
fn size(axis: &AxisRecord) -> String {
    let range = axis.range.as_ref().and_then(|range| range.as_object()).and_then(|range| {
        let (name, ends) = range.iter().find(|(name, _)| *name != "step")?;
        Some(format!("{} ({name} {}–{})", axis.name, shown(ends.get(0)?), shown(ends.get(1)?)))
    });
    range.unwrap_or_else(|| format!("{} ({})", axis.name, axis.values.len()))
}

//! One sequence: its steps, and the conditions after each run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::world::{Manifest, World, name, source_name, text};
use crate::damage;
use crate::faults::interposer::{self, Fault};
use crate::project::Project;
use crate::random::Random;
use crate::recorded::{self, Recorded, json};
use crate::seeds;

/// A project on disk beside its model.
pub struct Sequence {
    project: Project,
    random: Random,
    world: World,
    /// The worlds before the edits, for reverts.
    earlier: Vec<World>,
    /// Manifests whose results are certainly in the store.
    known: HashSet<Manifest>,
    /// Manifests whose results may be in the store.
    perhaps_known: HashSet<Manifest>,
    /// True after a run, until something happens that gives the next run work.
    is_settled: bool,
    /// True when bytes may be damaged that no run has read yet.
    is_damaged: bool,
    /// The steps so far, for the message of a failure.
    history: Vec<String>,
    /// The number of runs that were compared with the model.
    pub n_compared: u64,
}

impl seeds::Sequence for Sequence {
    const SEED: &str = "PIPELINE_MODEL_SEED";
    const N_STEPS: usize = 12;
    const N_AT_ONCE: usize = 3;

    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let world = World::new(&mut random);
        let sequence = Self {
            project: Project::new(),
            random,
            world,
            earlier: Vec::new(),
            known: HashSet::new(),
            perhaps_known: HashSet::new(),
            is_settled: false,
            is_damaged: false,
            history: Vec::new(),
            n_compared: 0,
        };
        sequence.write_world();
        sequence
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => self.edit_source(),
            3..=5 => self.edit_spec(),
            6 => self.revert(),
            7..=9 => self.run(&[]),
            10 => self.run_forced(),
            11 => self.run(&["--jobs", "3"]),
            12..=13 => self.kill(),
            14 => self.flip(),
            15 => self.delete(),
            16 => self.collect(),
            17 => self.two_runs(),
            18 => self.spoil_published(),
            _ => self.touch(),
        }
    }

    fn end(&mut self) {
        self.history.push("cache verify --repair".into());
        if self.project.path("artifacts").exists() {
            let repaired = self.project.run(&["cache", "verify", "--repair", "--artifacts", "artifacts"]);
            assert_eq!(repaired.code, Some(0), "{repaired:?}");
        }
        (self.is_damaged, self.is_settled) = (false, false);
        self.known.clear();
        self.run(&[]);
        recorded::assert_intact(&self.project, "at the end");
    }

    fn history(&self) -> &[String] {
        &self.history
    }
}

impl Sequence {
    fn write_world(&self) {
        self.project.write("spec.yaml", &self.world.spec());
        for (idx, content) in self.world.sources.iter().enumerate() {
            self.project.write(&source_name(idx), content);
        }
    }

    fn change_world(&mut self, story: String, change: impl FnOnce(&mut World, &mut Random)) {
        self.earlier.push(self.world.clone());
        change(&mut self.world, &mut self.random);
        self.history.push(story);
        self.is_settled = false;
    }

    /// Edits a source like an editor, or in ways that keep its length and times.
    fn edit_source(&mut self) {
        let source_idx = self.random.below(self.world.sources.len());
        let path = self.project.path(&source_name(source_idx));
        let (content, way) = (text(&mut self.random), self.random.below(3));
        self.change_world(format!("edit source {source_idx} to {content:?} in way {way}"), |world, _| {
            world.sources[source_idx].clone_from(&content);
        });
        match way {
            0 => fs::write(&path, content).unwrap(),
            1 => damage::overwrite_silently(&path, content.as_bytes()),
            _ => {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                let beside = self.project.path("beside");
                fs::write(&beside, content).unwrap();
                fs::File::options().write(true).open(&beside).unwrap().set_modified(modified).unwrap();
                fs::rename(beside, path).unwrap();
            }
        }
    }

    fn edit_spec(&mut self) {
        self.change_world("edit spec".into(), World::edit_stage);
        self.write_world();
    }

    fn revert(&mut self) {
        if !self.earlier.is_empty() {
            let world = self.random.pick(&self.earlier).clone();
            self.change_world("revert".into(), |there, _| *there = world);
            self.write_world();
        }
    }

    fn run_forced(&mut self) {
        let stage = name(self.random.below(self.world.stages.len()));
        self.is_settled = false;
        self.run(&["--force", &stage]);
    }

    /// A run that is killed at some call, or ends before it.
    fn kill(&mut self) {
        let fault = *self.random.pick(&[Fault::KillBefore, Fault::KillAfter]);
        let at = 1 + self.random.below(180);
        self.history.push(format!("{fault:?} at {at}"));
        let (output, _) = interposer::run(&self.project, Some(fault), at);
        assert!(output.status.code().is_none_or(|code| code == 0), "{output:?}");
        self.perhaps_known.extend(self.world.manifests());
        self.is_settled = false;
    }

    fn flip(&mut self) {
        let folder = *self.random.pick(&["artifacts/store-v1", "artifacts/store-v1/objects", "artifacts/last"]);
        self.damage(folder, "flip a bit of", damage::flip_bit);
        self.is_damaged = true;
    }

    fn delete(&mut self) {
        let folder = *self.random.pick(&["artifacts", "artifacts/store-v1", "artifacts/last"]);
        self.damage(folder, "delete", |path, _| fs::remove_file(path).unwrap());
    }

    fn damage(&mut self, folder: &str, what: &str, damage: impl FnOnce(&Path, &mut Random)) {
        if let Some(path) = damage::any_file(&self.project.path(folder), &mut self.random) {
            self.history.push(format!("{what} {}", path.display()));
            damage(&path, &mut self.random);
            if path.components().any(|part| part.as_os_str() == "written") {
                // Its published files are no longer known: it would leave an altered file alone, and a person moves it
                // away.
                drop(fs::remove_dir_all(self.project.path("published")));
            }
            self.known.clear();
            self.is_settled = false;
        }
    }

    fn collect(&mut self) {
        const NO_LIMITS: &[&str] = &[];
        let limits = *self.random.pick(&[
            NO_LIMITS,
            &["--max-size", "0"],
            &["--max-size", "60B"],
            &["--max-age", "0s"],
            &["--max-age", "0s", "--max-size", "30B"],
        ]);
        if self.project.path("artifacts").exists() {
            self.history.push(format!("cache gc {limits:?}"));
            let reply = self.project.run(&[&["cache", "gc", "--artifacts", "artifacts"], limits].concat());
            assert_eq!(reply.code, Some(0), "{reply:?}");
            self.known.clear();
        }
    }

    fn two_runs(&mut self) {
        self.history.push("two runs at once".into());
        let start = || self.project.start(&["run", "spec.yaml"]);
        let (first, second) = (start(), start());
        assert_eq!((first.code(), second.code()), (Some(0), Some(0)));
        self.perhaps_known.extend(self.world.manifests());
        self.assert_published();
    }

    fn spoil_published(&mut self) {
        let folder = self.project.path("published");
        if let Some(path) = damage::any_file(&folder, &mut self.random) {
            self.history.push(format!("spoil {}", path.display()));
            if self.random.one_in(2) {
                fs::remove_file(path).unwrap();
            } else {
                damage::flip_bit(&path, &mut self.random);
            }
            self.is_settled = false;
        }
    }

    fn touch(&mut self) {
        let source_idx = self.random.below(self.world.sources.len());
        self.history.push(format!("touch source {source_idx}"));
        damage::touch(&self.project.path(&source_name(source_idx)), &mut self.random);
    }

    /// A run that ends by itself, compared with the plan and with the model.
    fn run(&mut self, more: &[&str]) {
        self.history.push(format!("run {more:?}"));
        let plan = json(&self.project, &[&["run", "spec.yaml", "--dry-run", "--json"], more].concat());
        let ran = recorded::run(&self.project, more);
        self.compare_with_plan(&plan, &ran);
        self.compare_with_model(&ran, more);
        self.assert_published();
        let again = recorded::run(&self.project, &[]);
        assert_eq!(again.started(), BTreeSet::new(), "a run right after a run");
        let status = self.project.run(&["status", "spec.yaml", "--check"]);
        assert_eq!(status.code, Some(0), "{status:?}");
        // A reused stage may have lost its record meanwhile: the spec's last results are enough for a reuse.
        let computed = |(idx, _): &(usize, Manifest)| ran.started().contains(&name(*idx));
        let manifests = self.world.manifests().into_iter().enumerate();
        self.known.extend(manifests.filter(computed).map(|(_, manifest)| manifest));
        self.perhaps_known.extend(self.world.manifests());
        self.is_settled = true;
        self.n_compared += 1;
    }

    /// Everything that the plan runs is started, and nothing else except what depends on it. Damage shows only when
    /// bytes are read.
    fn compare_with_plan(&self, plan: &Value, ran: &Recorded) {
        let planned = plan["stages"].as_array().unwrap();
        let decided = |decision: &str| -> BTreeSet<String> {
            let stages = planned.iter().filter(|stage| stage["decision"] == decision);
            stages.map(|stage| stage["stage"].as_str().unwrap().to_owned()).collect()
        };
        let (run, depends, started) = (decided("run"), decided("depends"), ran.started());
        let mut missing = &run - &started;
        // Lost bytes come back by themselves when another stage makes the same.
        let is_demanded = |stage: &String| {
            planned.iter().any(|planned| planned["stage"] == **stage && planned["why"]["reason"] == "demanded")
        };
        missing.retain(|stage| !(is_demanded(stage) && started.iter().any(|other| self.leave_the_same(stage, other))));
        assert!(missing.is_empty(), "the plan runs {run:?}, the run {started:?}");
        if !self.is_damaged {
            let planned = &run | &depends;
            assert!(started.is_subset(&planned), "the plan names {run:?} and {depends:?}, the run starts {started:?}");
        }
    }

    fn leave_the_same(&self, stage: &str, other: &str) -> bool {
        let outputs = self.world.outputs();
        let output = |wanted: &str| (0..outputs.len()).find(|idx| name(*idx) == wanted).map(|idx| &outputs[idx]);
        output(stage) == output(other)
    }

    /// A stage runs if its manifest is new, it is forced, or its bytes are gone, and for no other reason.
    fn compare_with_model(&self, ran: &Recorded, more: &[&str]) {
        let started = ran.started();
        if self.is_settled {
            assert_eq!(started, BTreeSet::new(), "nothing has changed");
        }
        let reasons = ran.reasons();
        for (idx, manifest) in self.world.manifests().iter().enumerate() {
            let stage = name(idx);
            let is_forced = more.contains(&stage.as_str());
            // One of two stages with one manifest computes it for both.
            let shared = self.world.manifests().iter().filter(|other| *other == manifest).count() > 1;
            if is_forced || (!shared && !self.perhaps_known.contains(manifest)) {
                assert!(started.contains(&stage), "`{stage}` must run");
            }
            let is_demanded = reasons.get(&stage).is_some_and(|reason| reason == "demanded");
            if !is_forced && !is_demanded && self.known.contains(manifest) {
                assert!(!started.contains(&stage), "`{stage}` must not run: {reasons:?}");
            }
        }
    }

    fn assert_published(&self) {
        let expect = self.world.published();
        let there: BTreeMap<_, _> = expect.keys().map(|name| (name.clone(), self.project.read(name))).collect();
        assert_eq!(there, expect);
    }
}

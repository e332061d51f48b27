//! One sequence: its steps, and the conditions after each run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::place::Place;
use super::team::{Machine, Ran, World, edit, expected, version};
use crate::random::Random;
use crate::recorded::assert_intact;
use crate::seeds;
use crate::server::Fault;
use crate::soak::is_soak;

/// The most time of a run: ten seconds for a remote that fails, and the rest for a busy machine.
const MAX_RUN: Duration = Duration::from_secs(30);

/// A team at a remote, and what has happened to both.
pub struct Sequence {
    random: Random,
    place: Place,
    machines: Vec<Machine>,
    world: World,
    /// The artifacts of each world that was run.
    artifacts: BTreeMap<World, BTreeMap<String, String>>,
    /// True while the remote does what it should, since the last run of every machine.
    is_healthy: bool,
    /// True once the remote has lost or spoiled a file, or a machine has lost its store.
    has_losses: bool,
    /// True once uploads were kept by half, which those who sent them mend.
    has_halves: bool,
    /// The steps so far, for the message of a failure.
    history: Vec<String>,
    pub figures: Figures,
}

impl seeds::Sequence for Sequence {
    const SEED: &str = "PIPELINE_OUTAGES_SEED";
    const N_STEPS: usize = 14;
    const N_AT_ONCE: usize = 4;

    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let place = Place::new(&mut random);
        Self {
            random,
            place,
            machines: ["write", "write", "read"].map(Machine::new).into(),
            world: World::default(),
            artifacts: BTreeMap::new(),
            is_healthy: true,
            has_losses: false,
            has_halves: false,
            history: Vec::new(),
            figures: Figures::default(),
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => {
                let story = edit(&mut self.world, &mut self.random);
                self.history.push(story);
            }
            3..=6 => self.fail(),
            7..=8 => self.heal(),
            9..=12 => self.run(),
            13 => self.runs_at_once(false),
            14 => self.runs_at_once(true),
            15..=16 => self.kill(),
            17 => self.lose(),
            18 => self.lose_machine(),
            _ => self.push(),
        }
    }

    fn end(&mut self) {
        self.heal();
        for idx in 0..2 {
            self.history.push(format!("machine {idx} pushes at the end"));
            if self.machines[idx].project.path("artifacts").exists() {
                self.command(idx, &["cache", "push"]);
                assert_eq!(self.machines[idx].unpushed(), BTreeSet::new());
            }
        }
        self.history.push("machine 0 runs at the end, and then a new one".to_owned());
        self.run_on(0);
        self.machines[2] = Machine::new("read");
        let ran = self.run_on(2);
        let started = ran.recorded.started();
        assert!(self.has_losses || started.is_empty(), "the remote has all of it, but {started:?} ran");
        self.command(0, &["cache", "verify", "--remote", "--repair"]);
        self.command(0, &["cache", "verify", "--remote"]);
    }

    fn history(&self) -> &[String] {
        &self.history
    }
}

impl Sequence {
    fn fail(&mut self) {
        self.is_healthy = false;
        let story = self.place.fail(&mut self.random, is_soak());
        self.has_halves |= story.starts_with("KeepsHalf");
        self.history.push(story);
    }

    fn heal(&mut self) {
        self.history.push("the remote is well again".to_owned());
        self.place.heal();
        self.is_healthy = true;
    }

    fn run(&mut self) {
        let idx = self.random.below(self.machines.len());
        self.history.push(format!("machine {idx} runs"));
        let ran = self.run_on(idx);
        if self.is_healthy && self.machines[idx].access == "write" {
            assert_eq!(self.machines[idx].unpushed(), BTreeSet::new(), "{}", ran.stderr);
        }
    }

    fn run_on(&mut self, idx: usize) -> Ran {
        let run = self.machines[idx].start(&self.world, &self.place.variables());
        let ran = Machine::end(run);
        self.check(idx, &ran);
        ran
    }

    /// Two machines, or two processes of one, with or without a collection of the remote beside them.
    fn runs_at_once(&mut self, collects: bool) {
        let (first, second) = (self.random.below(self.machines.len()), self.random.below(self.machines.len()));
        self.history.push(format!("machines {first} and {second} run at once; a collection beside them: {collects}"));
        let variables = self.place.variables();
        let mut runs: Vec<_> =
            [first, second].map(|idx| (idx, self.machines[idx].start(&self.world, &variables))).into();
        if collects {
            self.has_losses = true;
            while runs.iter_mut().any(|(_, (child, _))| child.try_wait().unwrap().is_none()) {
                let args = ["cache", "gc", "--remote", "--older-than", "0s"];
                let output = self.machines[0].command(&variables, &args).output().unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(matches!(output.status.code(), Some(0 | 2)), "{:?}: {stderr}", output.status);
                assert!(!self.is_healthy || output.status.code() == Some(0), "{stderr}");
                self.figures.n_collections += 1;
            }
        }
        for (idx, run) in runs {
            let ran = Machine::end(run);
            self.check(idx, &ran);
        }
    }

    /// A run that is killed while it waits for the answer to a request, or after a while where there is no server.
    fn kill(&mut self) {
        let (idx, n_requests) = (self.random.below(self.machines.len()), self.random.below(16));
        self.history.push(format!("machine {idx} is killed at request {n_requests}"));
        self.place.heal();
        let mut after = Instant::now() + Duration::from_millis(8 * n_requests as u64);
        if let Place::Server(_) = &self.place {
            self.place.server().set_faults(&[(n_requests, Fault::Nothing)], Fault::Silent);
            after += MAX_RUN;
        }
        let (mut child, _) = self.machines[idx].start(&self.world, &self.place.variables());
        let is_reached = |place: &Place| match place {
            Place::Server(_) => place.server().n_unanswered() > 0,
            Place::Folder(..) => false,
        };
        while child.try_wait().unwrap().is_none() && !is_reached(&self.place) && Instant::now() < after {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        self.figures.n_kills += u64::from(child.wait().unwrap().code().is_none());
        self.place.heal();
        self.is_healthy = true;
    }

    fn lose(&mut self) {
        if let Some(story) = self.place.lose(&mut self.random) {
            self.history.push(story);
            self.has_losses = true;
            self.figures.n_losses += 1;
        }
    }

    /// A machine loses its store, or all files but the records.
    fn lose_machine(&mut self) {
        let idx = self.random.below(self.machines.len());
        let folder = *self.random.pick(&["artifacts", "artifacts/store-v1/objects"]);
        self.history.push(format!("machine {idx} loses {folder}"));
        let machine = &mut self.machines[idx];
        machine.computed.clear();
        drop(fs::remove_dir_all(machine.project.path(folder)));
        // A published file that the store does not know would be left alone.
        drop(fs::remove_file(machine.project.path("summary.txt")));
        self.has_losses = true;
    }

    fn push(&mut self) {
        let idx = self.random.below(2);
        if self.machines[idx].project.path("artifacts").exists() {
            self.history.push(format!("machine {idx} pushes"));
            let variables = self.place.variables();
            let output = self.machines[idx].command(&variables, &["cache", "push"]).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 2)), "{:?}: {stderr}", output.status);
            if self.is_healthy {
                assert_eq!(
                    (output.status.code(), self.machines[idx].unpushed()),
                    (Some(0), BTreeSet::new()),
                    "{stderr}"
                );
            }
        }
    }

    /// A command that must succeed.
    fn command(&self, idx: usize, args: &[&str]) {
        let output = self.machines[idx].command(&self.place.variables(), args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        // Damage that is found and removed is reported by the exit code.
        let is_done = output.status.success() || args.contains(&"--repair");
        assert!(is_done, "{args:?}: {text}{}", String::from_utf8_lossy(&output.stdout));
    }

    /// The conditions after a run that has ended by itself.
    fn check(&mut self, idx: usize, ran: &Ran) {
        let (world, machine) = (self.world, &mut self.machines[idx]);
        assert_eq!(machine.project.read("summary.txt"), expected(&world), "{}", ran.stderr);
        let known = self.artifacts.entry(world).or_insert_with(|| ran.artifacts());
        assert_eq!(ran.artifacts(), *known);
        let (n_off, n_damaged) = (ran.n_events("remote-off"), ran.n_events("remote-damaged"));
        assert!(n_off <= 1 && n_damaged <= 1, "{n_off} and {n_damaged} warnings: {:#?}", ran.recorded.events);
        assert!(!self.is_healthy || n_off == 0, "{:#?}", ran.recorded.events);
        let may_be_wrong = self.has_losses || self.has_halves || !self.is_healthy;
        assert!(may_be_wrong || n_damaged == 0, "{:#?}", ran.recorded.events);
        assert!(ran.elapsed < MAX_RUN, "{:?}", ran.elapsed);
        for stage in ran.recorded.started() {
            let version = version(&world, &stage);
            assert!(
                !machine.computed.contains(&version),
                "{version:?} was computed and is lost: {:?}",
                ran.recorded.reasons()
            );
            if stage != "pixels" && ran.recorded.finished().contains(&stage) {
                machine.computed.insert(version);
            }
        }
        assert_intact(&machine.project, "after a run");
        if machine.access == "write" && !self.has_losses {
            let (unpushed, there) = (machine.unpushed(), self.place.files());
            let is_there = |key: &String| there.contains(&format!("store-v1/actions/{}/{}.json", &key[..2], &key[2..]));
            let lost: Vec<_> = ran.keys().into_iter().filter(|key| !unpushed.contains(key) && !is_there(key)).collect();
            assert!(
                lost.is_empty() || matches!(self.place, Place::Folder(..)),
                "neither uploaded nor marked: {lost:?}"
            );
        }
        self.figures.n_runs += 1;
        self.figures.n_off += n_off as u64;
        self.figures.n_damaged += n_damaged as u64;
        self.figures.longest = self.figures.longest.max(ran.elapsed);
        if !self.is_healthy {
            let fault = self.history.iter().rev().find_map(|story| fault_in(story)).unwrap_or_default();
            *self.figures.n_by_fault.entry(fault).or_default() += 1;
        }
    }
}

/// The fault of a story, without the numbers of its requests.
fn fault_in(story: &str) -> Option<String> {
    let is_of_machine = ["machine", "edit", "flip", "cut", "remove", "swap"].iter().any(|word| story.starts_with(word));
    let fault = story.split(" after ").next()?.split(" for ").next()?;
    (!is_of_machine).then(|| fault.to_owned())
}

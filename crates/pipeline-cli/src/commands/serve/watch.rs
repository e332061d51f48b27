//! The runs of the store as they are now, followed while somebody looks: each is rendered once for every change.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use pipeline_core::RunId;
use pipeline_experiments::recorded::Progress;
use pipeline_experiments::sweep::SweepRecord;
use pipeline_experiments::table::Experiment;
use pipeline_store::{EventFollower, RunInfo, RunState, Store};

use super::runs::{detail, row};

/// The most runs that are known at once, the newest.
const MAX_RUNS: usize = 200;
/// The most runs that a page lists.
const MAX_LISTED: usize = 30;
/// The interval at which runs are looked at while somebody follows them.
const INTERVAL: Duration = Duration::from_millis(300);
/// How long somebody counts as following after the last question.
const INTEREST: Duration = Duration::from_secs(2);

/// The runs of a store.
pub struct Watch {
    store: Store,
    /// Differs between two starts of the server, whose versions cannot be compared.
    start: String,
    watched: Mutex<Watched>,
    interest: Mutex<Interest>,
    changed: Condvar,
}

#[derive(Default)]
struct Interest {
    last: Option<Instant>,
    is_over: bool,
}

#[derive(Default)]
struct Watched {
    /// Rises with every change.
    version: u64,
    /// The version in which the list changed last.
    list_version: u64,
    /// The runs that were looked at, whether they are listed or not.
    seen: HashSet<RunId>,
    /// Newest first.
    runs: Vec<WatchedRun>,
}

/// A run, with what pages show of it.
struct WatchedRun {
    experiment: Experiment,
    sweep: Option<SweepRecord>,
    /// Its stages, if it was running when it was seen.
    live: Option<(EventFollower, Progress)>,
    version: u64,
    row: String,
    detail: Option<String>,
}

/// The news for somebody who has seen a version.
pub struct News {
    /// The id of the version, such as `1a2b.7`.
    pub id: String,
    /// The runs in their order; `None` when the list is the same.
    pub order: Option<Vec<RunId>>,
    /// The changed runs, as pages show them.
    pub rows: BTreeMap<RunId, String>,
}

impl Watch {
    /// The runs of this store; looks at none yet.
    pub fn new(store: Store) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let start = format!("{:x}", since.as_nanos());
        let (watched, interest) = (Mutex::default(), Mutex::default());
        Self { store, start, watched, interest, changed: Condvar::new() }
    }

    /// Looks at the runs again and again while somebody follows them, until [`Watch::end`].
    pub fn follow(&self) {
        loop {
            let mut interest = lock(&self.interest);
            loop {
                if interest.is_over {
                    return;
                }
                if interest.last.is_some_and(|last| last.elapsed() < INTEREST) {
                    break;
                }
                interest = self.changed.wait(interest).unwrap_or_else(PoisonError::into_inner);
            }
            drop(interest);
            self.look();
            let interest = lock(&self.interest);
            let _ = self.changed.wait_timeout_while(interest, INTERVAL, |interest| !interest.is_over);
        }
    }

    /// Ends [`Watch::follow`].
    pub fn end(&self) {
        lock(&self.interest).is_over = true;
        self.changed.notify_all();
    }

    /// Looks at the runs once.
    pub fn look(&self) {
        let Ok(ids) = self.store.runs().ids() else { return };
        let mut watched = lock(&self.watched);
        watched.look(&self.store, ids.into_iter().collect());
    }

    /// Also looks whether runs that have ended have other labels since.
    pub fn look_at_labels(&self) {
        self.look();
        lock(&self.watched).look_at_labels(&self.store);
    }

    /// The listed runs as they are now, newest first, and the id of this version.
    pub fn listed(&self) -> (String, Vec<String>) {
        let watched = lock(&self.watched);
        (self.id(&watched), watched.listed().map(|run| run.row.clone()).collect())
    }

    /// The stages of a run that has not ended, or had not when it was seen; and the id of this version.
    pub fn detail(&self, run: &str) -> Option<(String, String, RunState)> {
        let watched = lock(&self.watched);
        let found = watched.runs.iter().find(|one| one.info().id.0 == run)?;
        Some((self.id(&watched), found.detail.clone()?, found.info().state))
    }

    /// The news since a version, and from now on somebody follows; `None` when there are none.
    pub fn news(&self, since: Option<&str>) -> Option<News> {
        self.is_followed();
        let watched = self.try_watched()?;
        let since = self.version_of(since);
        if since == Some(watched.version) {
            return None;
        }
        let is_new = |version: u64| since.is_none_or(|since| version > since);
        let order = is_new(watched.list_version).then(|| watched.listed().map(|run| run.info().id.clone()).collect());
        let changed = watched.listed().filter(|run| is_new(run.version));
        let rows = changed.map(|run| (run.info().id.clone(), run.row.clone())).collect();
        Some(News { id: self.id(&watched), order, rows })
    }

    /// The stages of a run if they have changed since a version, and from now on somebody follows: the id of the
    /// version with them, or without them if the run is gone.
    pub fn news_of(&self, run: &str, since: Option<&str>) -> Option<(String, Option<String>)> {
        self.is_followed();
        let watched = self.try_watched()?;
        let since = self.version_of(since);
        let found = watched.runs.iter().find(|one| one.info().id.0 == run);
        let version = found.map_or(watched.list_version, |run| run.version);
        let is_new = since.is_none_or(|since| version > since);
        is_new.then(|| (self.id(&watched), found.and_then(|run| run.detail.clone())))
    }

    /// The runs, unless somebody looks at them just now and may read files: then there is nothing new yet.
    fn try_watched(&self) -> Option<MutexGuard<'_, Watched>> {
        match self.watched.try_lock() {
            Ok(watched) => Some(watched),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn is_followed(&self) {
        lock(&self.interest).last = Some(Instant::now());
        self.changed.notify_all();
    }

    fn id(&self, watched: &Watched) -> String {
        format!("{}.{}", self.start, watched.version)
    }

    /// The version of an id of this start; `None` for others, which know nothing.
    fn version_of(&self, id: Option<&str>) -> Option<u64> {
        id?.strip_prefix(&self.start)?.strip_prefix('.')?.parse().ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    fn listed(&self) -> impl Iterator<Item = &WatchedRun> {
        self.runs.iter().filter(|run| !run.experiment.is_idle()).take(MAX_LISTED)
    }

    fn listed_ids(&self) -> Vec<RunId> {
        self.listed().map(|run| run.info().id.clone()).collect()
    }

    fn look(&mut self, store: &Store, ids: HashSet<RunId>) {
        let before = self.listed_ids();
        self.runs.retain(|run| ids.contains(&run.info().id));
        self.seen.retain(|run| ids.contains(run));
        let next = self.version + 1;
        for run in &mut self.runs {
            run.look(store, next);
        }
        let new: Vec<RunInfo> = if self.seen.is_empty() {
            // Many at once are read on several threads.
            store.runs().list().unwrap_or_default()
        } else {
            let unseen = ids.iter().filter(|id| !self.seen.contains(*id));
            unseen.filter_map(|id| store.runs().info(id)).collect()
        };
        self.seen.extend(new.iter().map(|info| info.id.clone()));
        self.add(store, new, next);
        self.settle(&before, next);
    }

    /// Takes note of the changes since the list was `before`.
    fn settle(&mut self, before: &[RunId], next: u64) {
        let now = self.listed_ids();
        let is_other_list = now != before;
        if is_other_list {
            self.list_version = next;
            // A run that moved up is new to those who saw the list.
            for run in &mut self.runs {
                let id = &run.experiment.info.id;
                if now.contains(id) && !before.contains(id) {
                    run.version = next;
                }
            }
        }
        if is_other_list || self.runs.iter().any(|run| run.version == next) {
            self.version = next;
        }
    }

    /// Adds the newest of these runs.
    fn add(&mut self, store: &Store, mut new: Vec<RunInfo>, version: u64) {
        let order = |info: &RunInfo| (info.number, info.started_ms, info.id.clone());
        new.sort_by_key(|info| std::cmp::Reverse(order(info)));
        new.truncate(MAX_RUNS);
        self.runs.extend(new.into_iter().map(|info| WatchedRun::new(store, info, version)));
        self.runs.sort_by_key(|run| std::cmp::Reverse(order(run.info())));
        self.runs.truncate(MAX_RUNS);
    }

    fn look_at_labels(&mut self, store: &Store) {
        let (before, next) = (self.listed_ids(), self.version + 1);
        let listed = self.runs.iter().enumerate().filter(|(_, run)| !run.experiment.is_idle()).take(MAX_LISTED);
        let n_runs = listed.last().map_or(0, |(idx, _)| idx + 1).max(MAX_LISTED);
        // The state of a run that goes on is followed by `look`, which then also reads the rest of its events.
        for run in self.runs.iter_mut().take(n_runs).filter(|run| run.info().state != RunState::Running) {
            if let Some(info) = store.runs().info(&run.info().id).filter(|info| info != run.info()) {
                run.take(store, info, next);
            }
        }
        self.settle(&before, next);
    }
}

impl WatchedRun {
    fn new(store: &Store, info: RunInfo, version: u64) -> Self {
        let sweep = SweepRecord::of_run(store, &info.id).ok().flatten();
        let live = (info.state == RunState::Running).then(|| (store.runs().follow(&info.id), Progress::default()));
        let experiment = Experiment::read(store, info);
        let mut run = Self { experiment, sweep, live, version, row: String::new(), detail: None };
        run.read_on();
        run.render();
        run
    }

    fn info(&self) -> &RunInfo {
        &self.experiment.info
    }

    /// Looks at a run that has not ended.
    fn look(&mut self, store: &Store, version: u64) {
        if self.info().state != RunState::Running {
            return;
        }
        // Before the events: a run that ends in between has then written all of them.
        let info = store.runs().info(&self.info().id);
        let has_more = self.read_on();
        if has_more && self.sweep.as_ref().is_none_or(|sweep| sweep.halving.is_some()) {
            // The points are written just after the run begins; those that are stopped early change while it runs.
            self.sweep = SweepRecord::of_run(store, &self.info().id).ok().flatten();
        }
        match info.filter(|info| info != self.info()) {
            Some(info) => self.take(store, info, version),
            None if has_more => {
                self.version = version;
                self.render();
            }
            None => {}
        }
    }

    /// Takes over the facts of the run, with its results once it has ended.
    fn take(&mut self, store: &Store, info: RunInfo, version: u64) {
        self.experiment = Experiment::read(store, info);
        self.version = version;
        self.render();
    }

    /// Reads the events that have been appended; true if there were any.
    fn read_on(&mut self) -> bool {
        let Some((follower, progress)) = &mut self.live else { return false };
        let mut has_more = false;
        // The log of a run that was removed just now is gone, too; the next look does not find the run.
        while let Ok(true) = follower.look(&mut |record| {
            has_more = true;
            progress.add(&record);
        }) {}
        has_more
    }

    fn render(&mut self) {
        let progress = self.live.as_ref().map(|(_, progress)| progress);
        self.row = row(&self.experiment, progress, self.sweep.as_ref()).into_string();
        self.detail = progress.map(|progress| detail(&self.experiment, progress, self.sweep.as_ref()).into_string());
    }
}

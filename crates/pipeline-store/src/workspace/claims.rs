//! `claims/<key>`: the right to compute a key on a file system without locks.
//!
//! A claim is a file that its owner creates and whose counter it raises while it lives. A process that waits sees a
//! dead owner by a counter that stands still for long enough *by its own clock*; no two clocks are compared. On the
//! owner's machine the death of its process shows at once. Two processes that take over the same claim both work: this
//! costs time and never correctness.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::Key;
use serde::{Deserialize, Serialize};

use super::locks::Owner;
use crate::host_name;

/// The times of claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The interval at which an owner raises its counters.
    pub(super) raised_every: Duration,
    /// How long a counter stands still before its owner counts as dead.
    pub(super) dead_after: Duration,
}

/// Long enough for network file systems, which show a file's new content after some seconds.
pub(super) const TIMES: Times = Times { raised_every: Duration::from_secs(20), dead_after: Duration::from_secs(60) };

/// The claims of a store, as this process sees them.
#[derive(Debug)]
pub(super) struct Claims {
    folder: PathBuf,
    times: Times,
    own: Arc<Own>,
    /// The counters of other owners, and when this process saw them first.
    seen: Mutex<HashMap<Key, (Option<Beat>, Instant)>>,
}

/// The content of a claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claim {
    #[serde(flatten)]
    owner: Owner,
    #[serde(flatten)]
    beat: Beat,
}

/// The sign of life in a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Beat {
    /// Tells two claims of one process apart.
    number: u64,
    /// Raised while the owner lives.
    counter: u64,
}

/// The claims of this process, and the thread that raises them.
#[derive(Debug, Default)]
struct Own {
    state: Mutex<OwnState>,
}

#[derive(Debug, Default)]
struct OwnState {
    claims: BTreeMap<PathBuf, Claim>,
    has_thread: bool,
    n_made: u64,
}

/// A claim of this process; withdrawn when dropped.
#[derive(Debug)]
pub(super) struct OwnClaim {
    path: PathBuf,
    own: Arc<Own>,
}

/// The result of [`Claims::claim`].
pub(super) enum Claimed {
    Own(OwnClaim),
    By(Owner),
}

impl Claims {
    pub(super) fn new(folder: PathBuf, times: Times) -> Self {
        Self { folder, times, own: Arc::default(), seen: Mutex::default() }
    }

    /// Claims a key for `owner`, unless another owner seems to live. Never waits.
    pub(super) fn claim(&self, key: &Key, owner: Owner) -> io::Result<Claimed> {
        let path = self.folder.join(key.0.hex());
        loop {
            let claim = Claim { owner: owner.clone(), beat: self.own.next() };
            match create(&path, &claim) {
                Ok(()) => return Ok(Claimed::Own(self.hold(path, claim))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let found = match fs::read(&path) {
                Ok(text) => serde_json::from_slice::<Claim>(&text).ok(),
                // Withdrawn meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if !self.is_dead(key, found.as_ref()) {
                return Ok(Claimed::By(found.map_or_else(Owner::unknown, |found| found.owner)));
            }
            replace(&path, &claim)?;
            return Ok(Claimed::Own(self.hold(path, claim)));
        }
    }

    /// True if the owner of a claim is certainly dead, or has given no sign of life for long enough.
    fn is_dead(&self, key: &Key, found: Option<&Claim>) -> bool {
        if found.is_some_and(|found| is_dead_here(&found.owner)) {
            return true;
        }
        let beat = found.map(|found| found.beat);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, since) = seen.entry(*key).or_insert_with(|| (beat, Instant::now()));
        if *last != beat {
            (*last, *since) = (beat, Instant::now());
        }
        let is_dead = since.elapsed() >= self.times.dead_after;
        if is_dead {
            seen.remove(key);
        }
        is_dead
    }

    fn hold(&self, path: PathBuf, claim: Claim) -> OwnClaim {
        let mut state = self.own.state();
        state.claims.insert(path.clone(), claim);
        if !state.has_thread {
            let (own, every) = (Arc::clone(&self.own), self.times.raised_every);
            let thread = thread::Builder::new().name("claims".into()).spawn(move || own.raise(every));
            // Without a thread the claim looks dead after a while: work may then be done twice.
            state.has_thread = thread.is_ok();
        }
        OwnClaim { path, own: Arc::clone(&self.own) }
    }
}

impl Own {
    fn state(&self) -> MutexGuard<'_, OwnState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Beat {
        let mut state = self.state();
        state.n_made += 1;
        Beat { number: state.n_made, counter: 0 }
    }

    /// The loop of the thread: ends once this process has had no claim for a while.
    fn raise(&self, every: Duration) {
        loop {
            thread::sleep(every);
            let mut state = self.state();
            if state.claims.is_empty() {
                state.has_thread = false;
                return;
            }
            // Under the lock, so that no claim is written that was just withdrawn.
            for (path, claim) in &mut state.claims {
                claim.beat.counter += 1;
                if is_own(path, claim) {
                    // A missed beat: the next one follows.
                    let _ = replace(path, claim);
                }
            }
        }
    }
}

impl Drop for OwnClaim {
    fn drop(&mut self) {
        let mut state = self.own.state();
        let claim = state.claims.remove(&self.path);
        if claim.is_some_and(|claim| is_own(&self.path, &claim)) {
            // What stays looks dead after a while.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// True unless another process has taken the claim over.
fn is_own(path: &Path, claim: &Claim) -> bool {
    let found = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Claim>(&text).ok());
    found.is_some_and(|found| found.owner == claim.owner && found.beat.number == claim.beat.number)
}

/// True if the owner was a process of this machine that has ended.
fn is_dead_here(owner: &Owner) -> bool {
    owner.host == host_name() && owner.pid != 0 && !Path::new("/proc").join(owner.pid.to_string()).exists()
}

/// Creates a claim; fails if there is one.
fn create(path: &Path, claim: &Claim) -> io::Result<()> {
    let open = || File::options().write(true).create_new(true).open(path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(&serde_json::to_vec(claim)?)
}

/// Writes a claim over another, whole.
fn replace(path: &Path, claim: &Claim) -> io::Result<()> {
    let beside = path.with_added_extension(format!("{}-{}", host_name(), std::process::id()));
    fs::write(&beside, serde_json::to_vec(claim)?)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use pipeline_core::Digest;

    use super::*;

    /// Fast enough for a test, and slow enough for a loaded machine.
    const QUICK: Times = Times { raised_every: Duration::from_millis(20), dead_after: Duration::from_millis(400) };

    fn owner(host: &str, pid: u32) -> Owner {
        Owner { pid, host: host.to_owned(), ..Owner::unknown() }
    }

    fn is_claimed(claimed: &Claimed) -> bool {
        matches!(claimed, Claimed::Own(_))
    }

    #[test]
    fn a_claim_holds_while_its_owner_lives_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [0, 1].map(|_| Claims::new(folder.path().join("claims"), QUICK));
        let key = Key(Digest::of(b"key"));
        let own = first.claim(&key, owner("a", 1)).unwrap();
        assert!(is_claimed(&own));
        let began = Instant::now();
        while began.elapsed() < 2 * QUICK.dead_after {
            let Claimed::By(by) = second.claim(&key, owner("b", 2)).unwrap() else { panic!("its owner lives") };
            assert_eq!(by.host, "a");
            thread::sleep(QUICK.raised_every);
        }
        drop(own);
        let taken = second.claim(&key, owner("b", 2)).unwrap();
        assert!(is_claimed(&taken));
        drop(taken);
        assert_eq!(fs::read_dir(folder.path().join("claims")).unwrap().count(), 0, "nothing stays behind");
    }

    #[test]
    fn a_counter_that_stands_still_frees_a_claim_of_another_machine() {
        let folder = tempfile::tempdir().unwrap();
        let claims = Claims::new(folder.path().to_owned(), QUICK);
        let key = Key(Digest::of(b"key"));
        for left in
            [r#"{"pid":1,"host":"elsewhere","stage":"a","since_ms":0,"number":1,"counter":7}"#, "", "half a cla"]
        {
            fs::write(folder.path().join(key.0.hex()), left).unwrap();
            let began = Instant::now();
            assert!(!is_claimed(&claims.claim(&key, owner("b", 2)).unwrap()), "{left}");
            let own = loop {
                match claims.claim(&key, owner("b", 2)).unwrap() {
                    Claimed::Own(own) => break own,
                    Claimed::By(_) => thread::sleep(QUICK.raised_every),
                }
            };
            assert!(began.elapsed() >= QUICK.dead_after, "{left}");
            drop(own);
        }
    }

    #[test]
    fn an_owner_that_ended_on_this_machine_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let claims = Claims::new(folder.path().to_owned(), TIMES);
        let key = Key(Digest::of(b"key"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let claim = Claim { owner: owner(host_name(), child.id()), beat: Beat { number: 1, counter: 0 } };
        child.wait().unwrap();
        create(&folder.path().join(key.0.hex()), &claim).unwrap();
        assert!(is_claimed(&claims.claim(&key, owner(host_name(), std::process::id())).unwrap()));
    }

    #[test]
    fn who_was_taken_over_neither_raises_nor_removes_the_new_claim() {
        let folder = tempfile::tempdir().unwrap();
        let claims = Claims::new(folder.path().to_owned(), QUICK);
        let key = Key(Digest::of(b"key"));
        let Claimed::Own(own) = claims.claim(&key, owner("a", 1)).unwrap() else { panic!("it is free") };
        let other = Claim { owner: owner("b", 2), beat: Beat { number: 1, counter: 3 } };
        let path = folder.path().join(key.0.hex());
        replace(&path, &other).unwrap();
        thread::sleep(5 * QUICK.raised_every);
        drop(own);
        assert_eq!(fs::read(&path).unwrap(), serde_json::to_vec(&other).unwrap());
    }
}

//! Uploads results on a few threads beside the run, and marks those that the remote has not confirmed.
//!
//! `unpushed/<key>` is made before the record of the key and removed after its upload, so that a killed process leaves
//! the marks of all that it had not uploaded: the next run, or `cache push`, goes on with them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::Key;

use super::push::Pusher;
use super::{Access, PutMode, Twin};
use crate::StoreError;
use crate::durable::{Durability, list_folder, read_if_there, remove_file};
use crate::layout::below;
use crate::workspace::Workspace;

/// The most results that are uploaded at once.
pub(super) const MAX_UPLOADS: usize = 4;

/// The interval of looks at whether a wait was cancelled.
const POLL: Duration = Duration::from_millis(50);

/// The interval of reports about a wait.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The mark of a record that replaces the remote's.
const REPLACES: &[u8] = b"replace";

/// The uploads that a run still waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UploadsLeft {
    /// Results that are not uploaded yet.
    pub n_results: usize,
    /// Bytes uploaded since the wait began.
    pub bytes: u64,
    /// The duration of the wait.
    pub waited: Duration,
}

/// The uploads of one store.
#[derive(Debug)]
pub(crate) struct Uploads {
    twin: Arc<Twin>,
    pusher: Pusher,
    workspace: Arc<Workspace>,
    marks: PathBuf,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Key, PutMode)>,
    n_threads: usize,
}

impl Uploads {
    pub fn new(store: &Path, twin: &Arc<Twin>, workspace: &Arc<Workspace>) -> Self {
        Self {
            twin: Arc::clone(twin),
            pusher: Pusher::new(store, twin),
            workspace: Arc::clone(workspace),
            marks: below(store, "unpushed"),
            queue: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn pusher(&self) -> &Pusher {
        &self.pusher
    }

    /// Marks the result of a key that is about to be recorded.
    pub fn mark(&self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        if self.twin.access() == Access::Read {
            return Ok(());
        }
        let content = if mode == PutMode::Replace { REPLACES } else { b"" };
        self.workspace.write(&self.mark_of(key), content, Durability::Lazy)
    }

    /// Removes the mark of a key.
    pub fn unmark(&self, key: &Key) -> Result<(), StoreError> {
        remove_file(&self.mark_of(key))
    }

    /// Whether results are marked. Reads no mark.
    pub fn has_marks(&self) -> Result<bool, StoreError> {
        Ok(!list_folder(&self.marks)?.is_empty())
    }

    /// The marked results.
    pub fn marked(&self) -> Result<Vec<(Key, PutMode)>, StoreError> {
        let mut marked = Vec::new();
        for entry in list_folder(&self.marks)? {
            let Ok(digest) = entry.file_name().to_string_lossy().parse() else { continue };
            let replaces = read_if_there(&entry.path())?.is_some_and(|content| content == REPLACES);
            marked.push((Key(digest), if replaces { PutMode::Replace } else { PutMode::Create }));
        }
        Ok(marked)
    }

    /// Lets a thread upload the result of a key.
    pub fn enqueue(self: &Arc<Self>, key: &Key, mode: PutMode) {
        if self.twin.access() == Access::Read || self.twin.is_off() {
            return;
        }
        let mut queue = self.queue();
        queue.waiting.push_back((*key, mode));
        if queue.n_threads < MAX_UPLOADS {
            let uploads = Arc::clone(self);
            let thread = thread::Builder::new().name("uploads".into()).spawn(move || uploads.work());
            // Without a thread the mark stays, and the next run uploads it.
            queue.n_threads += usize::from(thread.is_ok());
        }
    }

    /// Waits until everything is uploaded, the remote is off, or `is_cancelled`.
    pub fn wait(&self, is_cancelled: &dyn Fn() -> bool, report: &mut dyn FnMut(UploadsLeft)) {
        let (began, bytes) = (Instant::now(), self.twin.counts().bytes_up);
        let mut next_report = began + REPORT_INTERVAL;
        let mut queue = self.queue();
        while queue.n_threads > 0 && !is_cancelled() && !self.twin.is_off() {
            (queue, _) = self.changed.wait_timeout(queue, POLL).unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= next_report {
                next_report += REPORT_INTERVAL;
                let n_results = queue.waiting.len() + queue.n_threads;
                drop(queue);
                report(UploadsLeft { n_results, bytes: self.twin.counts().bytes_up - bytes, waited: began.elapsed() });
                queue = self.queue();
            }
        }
    }

    fn work(&self) {
        while let Some((key, mode)) = self.next() {
            // What fails keeps its mark.
            if self.pusher.push(&key, mode).is_ok() {
                let _ = self.unmark(&key);
            }
        }
    }

    fn next(&self) -> Option<(Key, PutMode)> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front().filter(|_| !self.twin.is_off());
        if next.is_none() {
            queue.n_threads -= 1;
            self.changed.notify_all();
        }
        next
    }

    fn mark_of(&self, key: &Key) -> PathBuf {
        self.marks.join(key.0.hex())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

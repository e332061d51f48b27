//! The handle on one store; what it can do stands in the files that are named after it.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crate::StoreError;
use crate::cas::lend;
use crate::error::At;
use crate::layout::{Layout, is_newer_store};
use crate::session::Session;
use crate::sources::Sources;

/// How exact the time of an object's last use is for a process that only reads.
const MARK_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// The content-addressed store below one `artifacts/` folder. Cheap to clone, shared among threads.
///
/// Any number of processes may use one store at once.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    sources: Sources,
    session: Mutex<Option<Arc<Session>>>,
}

impl Store {
    /// Opens the store below `artifacts`. Nothing is written until there is something to write.
    ///
    /// # Errors
    /// When `artifacts` is there and is not a folder that can be read, or holds a store of a later format.
    pub fn open(artifacts: &Path) -> Result<Self, StoreError> {
        let artifacts = std::path::absolute(artifacts).at("find", artifacts)?;
        match std::fs::read_dir(&artifacts) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            listed => {
                let names = listed.at("open", &artifacts)?.flatten().map(|entry| entry.file_name());
                let mut names = names.filter_map(|name| name.into_string().ok());
                if let Some(folder) = names.find(|name| is_newer_store(name)) {
                    return Err(StoreError::Newer { path: artifacts, folder });
                }
            }
        }
        let layout = Layout::new(artifacts);
        let sources = Sources::new(layout.source_memo(), layout.artifacts().to_owned());
        Ok(Self { inner: Arc::new(Inner { layout, sources, session: Mutex::new(None) }) })
    }

    /// The absolute path of the `artifacts/` folder.
    pub fn artifacts(&self) -> &Path {
        self.layout().artifacts()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.inner.sources
    }

    /// The session of this handle, begun by the first thing that writes.
    pub(crate) fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut session = self.inner.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let begun = Arc::new(Session::begin(&self.layout().scratch())?);
        lend::sweep(self.layout())?;
        *session = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// What was used since then need not be marked as used again.
    pub(crate) fn in_use_since(&self) -> SystemTime {
        let an_hour_ago = || SystemTime::now().checked_sub(MARK_AGAIN_AFTER).unwrap_or(SystemTime::UNIX_EPOCH);
        self.session_if_begun().map_or_else(an_hour_ago, |session| session.began())
    }

    /// The time, which for what this handle uses is never before its session began.
    pub(crate) fn now(&self) -> SystemTime {
        self.session_if_begun().map_or_else(SystemTime::now, |session| session.now())
    }

    /// The session, if something has been written by this handle.
    pub(crate) fn session_if_begun(&self) -> Option<Arc<Session>> {
        self.inner.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The name of this machine, for provenance and for telling who holds a lock.
pub fn host_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .unwrap_or_default();
        let name = name.trim();
        if name.is_empty() { "unknown".into() } else { name.to_owned() }
    })
}

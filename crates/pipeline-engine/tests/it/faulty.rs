//! A remote in a folder that counts its requests and fails on purpose.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use pipeline_store::{Access, PutMode, Remote, RemoteError, RemoteFile, RemoteFolder, Upload};

/// What a remote does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// Nobody answers.
    Down,
    /// Every request fails with an error of the server.
    Broken,
    /// This user may do nothing.
    Refusing,
    /// Files end early.
    CutsOff,
    /// One bit is wrong.
    FlipsBit,
    /// Another file of the same length comes.
    Swaps,
    /// Files go on after their end.
    AddsBytes,
    /// Records are there, objects are not.
    LacksObjects,
    /// Uploads arrive by half and are confirmed.
    HalvesUploads,
    /// Every third request fails.
    Flaky,
    /// Answers the first request, and others only when so many wait, or after seconds.
    WaitsFor(usize),
}

#[derive(Debug, Clone)]
pub struct FaultyRemote {
    folder: Arc<RemoteFolder>,
    pub access: Access,
    pub fault: Fault,
    n_requests: Arc<AtomicUsize>,
    /// The requests that wait now, and the most that have waited together.
    waiting: Arc<(Mutex<[usize; 2]>, Condvar)>,
}

impl FaultyRemote {
    pub fn new(folder: &Path, access: Access) -> Self {
        let (folder, fault) = (Arc::new(RemoteFolder::new(folder)), Fault::Nothing);
        Self { folder, access, fault, n_requests: Arc::default(), waiting: Arc::default() }
    }

    pub fn with(&self, access: Access, fault: Fault) -> Self {
        Self { access, fault, n_requests: Arc::default(), waiting: Arc::default(), ..self.clone() }
    }

    pub fn n_requests(&self) -> usize {
        self.n_requests.load(Ordering::Relaxed)
    }

    /// The most requests that have waited together.
    pub fn most_at_once(&self) -> usize {
        self.waiting.0.lock().unwrap()[1]
    }

    fn wait_for(&self, n_requests: usize) {
        let (waiting, changed) = &*self.waiting;
        let mut state = waiting.lock().unwrap();
        state[0] += 1;
        state[1] = state[1].max(state[0]);
        changed.notify_all();
        let are_few = |state: &mut [usize; 2]| state[1] < n_requests;
        changed.wait_timeout_while(state, Duration::from_secs(5), are_few).unwrap().0[0] -= 1;
    }

    fn request(&self) -> Result<(), RemoteError> {
        let n_before = self.n_requests.fetch_add(1, Ordering::Relaxed);
        if let Fault::WaitsFor(n_requests) = self.fault
            && n_before > 0
        {
            self.wait_for(n_requests);
        }
        match self.fault {
            Fault::Down => Err(RemoteError::Unavailable("connection refused".into())),
            Fault::Broken => Err(RemoteError::Unavailable("500 Internal Server Error".into())),
            Fault::Refusing => Err(RemoteError::Refused("403 Forbidden".into())),
            Fault::Flaky if n_before.is_multiple_of(3) => Err(RemoteError::Unavailable("connection reset".into())),
            _ => Ok(()),
        }
    }
}

impl Remote for FaultyRemote {
    fn url(&self) -> &str {
        "test://remote"
    }

    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError> {
        self.request()?;
        if self.fault == Fault::LacksObjects && name.contains("/objects/") {
            return Ok(false);
        }
        let mut content = Vec::new();
        if !self.folder.get(name, max_bytes, &mut content)? {
            return Ok(false);
        }
        let middle = content.len() / 2;
        match self.fault {
            Fault::CutsOff => content.truncate(middle),
            Fault::FlipsBit => content.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1),
            Fault::Swaps => content.reverse(),
            Fault::AddsBytes => content.extend(b"and more"),
            _ => {}
        }
        if content.len() as u64 > max_bytes {
            return Err(RemoteError::TooLong { name: name.to_owned(), max_bytes });
        }
        to.write_all(&content).map_err(RemoteError::Local)?;
        Ok(true)
    }

    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        self.request()?;
        self.folder.size(name)
    }

    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError> {
        self.request()?;
        let Fault::HalvesUploads = self.fault else { return self.folder.put(name, upload, mode) };
        let content = match upload {
            Upload::Bytes(bytes) => bytes.to_vec(),
            Upload::File(path) => std::fs::read(path).map_err(RemoteError::Local)?,
        };
        self.folder.put(name, Upload::Bytes(&content[..content.len() / 2]), mode)
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.request()?;
        self.folder.delete(name)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        self.request()?;
        self.folder.list(prefix, found)
    }
}

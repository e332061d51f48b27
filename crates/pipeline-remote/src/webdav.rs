//! A remote on a server of files, which takes uploads if it speaks WebDAV.
//!
//! object_store reads and lists. Its uploads hold a whole file in memory, and replace whatever is there; these do not.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use http::{Method, StatusCode, header};
use pipeline_store::{PutMode, Remote, RemoteError, RemoteFile, Upload};
use ureq::{AsSendBody, SendBody};

use crate::bucket::Bucket;
use crate::connector::UreqConnector;
use crate::exchange;

/// The length from which a file is not sent before its folder is there: a server refuses by closing the connection, and
/// its answer is lost.
const LARGE_BYTES: u64 = 64 << 10;

/// The answers to an upload whose folder is not there.
const NO_FOLDER: [StatusCode; 2] = [StatusCode::CONFLICT, StatusCode::NOT_FOUND];

/// The pauses before a folder is asked for again that another process makes at this moment.
const PAUSES_OF_LOCKED: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(90), Duration::from_millis(270)];

/// Files below a folder of a server.
#[derive(Debug)]
pub(crate) struct WebDav {
    pub bucket: Bucket,
    pub connector: UreqConnector,
    /// The folders that are known to be there. Held while others are made: of two requests for the same folder, a
    /// server refuses one.
    pub made: Mutex<BTreeSet<String>>,
}

impl WebDav {
    /// Sends an upload once. Returns the status of the answer.
    fn send(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<StatusCode, RemoteError> {
        match upload {
            Upload::Bytes(bytes) => self.send_content(name, bytes, bytes.len() as u64, mode),
            Upload::File(path) => {
                let mut file = pipeline_files::open(path).map_err(RemoteError::Local)?;
                let bytes = file.metadata().map_err(RemoteError::Local)?.len();
                self.send_content(name, SendBody::from_reader(&mut file), bytes, mode)
            }
        }
    }

    fn send_content(
        &self,
        name: &str,
        content: impl AsSendBody,
        bytes: u64,
        mode: PutMode,
    ) -> Result<StatusCode, RemoteError> {
        let mut request = http::Request::builder()
            .method(Method::PUT)
            .uri(format!("{}/{name}", self.bucket.url))
            .header(header::CONTENT_LENGTH, bytes)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if mode == PutMode::Create {
            // Servers that do not know it replace the file, which only a race can bring about.
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        self.answer(request.body(content), Some(bytes))
    }

    /// Makes the folders that a file lies in, from the remote's own on; those that are there stay.
    fn make_folders(&self, name: &str) -> Result<(), RemoteError> {
        let mut made = self.made();
        let nearest = folder_of(name);
        if made.contains(nearest) {
            return Ok(());
        }
        if nearest.is_empty() || !self.make_folder(nearest)? {
            let ends = name.match_indices('/').map(|(end, _)| &name[..end]);
            for folder in std::iter::once("").chain(ends) {
                if !self.make_folder(folder)? {
                    return Err(self.failure());
                }
            }
        }
        made.insert(nearest.to_owned());
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an upload. A failure may be that of a folder that somebody has removed: the next attempt makes it again.
    fn send_or_forget(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<StatusCode, RemoteError> {
        let sent = self.send(name, upload, mode);
        if sent.as_ref().map_or(true, |status| NO_FOLDER.contains(status)) {
            self.made().remove(folder_of(name));
        }
        sent
    }

    /// Makes a folder. Returns false if the one above it is not there.
    fn make_folder(&self, name: &str) -> Result<bool, RemoteError> {
        let url = format!("{}/{name}", self.bucket.url);
        let mut pauses = PAUSES_OF_LOCKED.iter();
        loop {
            let method = Method::from_bytes(b"MKCOL").expect("it is a word");
            let request = http::Request::builder().method(method).uri(url.trim_end_matches('/'));
            let status = self.answer(request.body(()), None)?;
            match (status, pauses.next()) {
                (StatusCode::LOCKED, Some(pause)) => thread::sleep(*pause),
                // It is there.
                (StatusCode::METHOD_NOT_ALLOWED | StatusCode::MOVED_PERMANENTLY, _) => return Ok(true),
                (status, _) if NO_FOLDER.contains(&status) => return Ok(false),
                _ if status.is_success() => return Ok(true),
                _ => return Err(self.failure()),
            }
        }
    }

    fn answer(
        &self,
        request: http::Result<http::Request<impl AsSendBody>>,
        bytes: Option<u64>,
    ) -> Result<StatusCode, RemoteError> {
        exchange::begin(bytes.unwrap_or_default());
        let request = request.map_err(|error| RemoteError::Rejected(error.to_string()))?;
        Ok(self.connector.send(request, bytes).map_err(|_| self.failure())?.status())
    }

    fn failure(&self) -> RemoteError {
        exchange::failure(|| "its answer is not understood".to_owned())
    }
}

/// The folder of a file; empty for the remote's own.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Remote for WebDav {
    fn url(&self) -> &str {
        &self.bucket.url
    }

    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError> {
        self.bucket.get(name, max_bytes, to)
    }

    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        self.bucket.size(name)
    }

    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError> {
        // For a server that knows no conditions. Whoever uploads a file has looked whether it is there.
        if let (PutMode::Create, Upload::Bytes(_)) = (mode, upload)
            && self.size(name)?.is_some()
        {
            return Ok(false);
        }
        if let Upload::File(path) = upload
            && path.metadata().is_ok_and(|metadata| metadata.len() > LARGE_BYTES)
        {
            self.make_folders(name)?;
        }
        let mut status = self.send_or_forget(name, upload, mode)?;
        if NO_FOLDER.contains(&status) {
            self.make_folders(name)?;
            status = self.send_or_forget(name, upload, mode)?;
        }
        match status {
            StatusCode::PRECONDITION_FAILED if mode == PutMode::Create => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.failure()),
        }
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.bucket.delete(name)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        self.bucket.list_folder(prefix, found)
    }
}

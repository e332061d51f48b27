//! A remote on a server of files, which takes uploads if it speaks WebDAV.
//!
//! object_store reads and lists. Its uploads hold a whole file in memory, and replace whatever is there; these do not.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use http::{Method, StatusCode, header};
use pipeline_store::{PutMode, Remote, RemoteError, RemoteFile, Upload};
use ureq::{AsSendBody, SendBody};

use crate::bucket::Bucket;
use crate::connector::UreqConnector;
use crate::exchange;

/// The length from which a file is not sent before its folder is there: a server refuses by closing the connection, and
/// its answer is lost.
const LARGE_BYTES: u64 = 64 << 10;

/// Files below a folder of a server.
#[derive(Debug)]
pub(crate) struct WebDav {
    pub bucket: Bucket,
    pub connector: UreqConnector,
    /// Held while folders are made: of two requests for the same folder, a server refuses one.
    pub making: Mutex<()>,
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
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let ends: Vec<&str> = name.match_indices('/').map(|(end, _)| &name[..end]).collect();
        if let Some(nearest) = ends.last()
            && self.make_folder(nearest)?
        {
            return Ok(());
        }
        for folder in std::iter::once("").chain(ends) {
            if !self.make_folder(folder)? {
                return Err(self.failure());
            }
        }
        Ok(())
    }

    /// Makes a folder. Returns false if the one above it is not there.
    fn make_folder(&self, name: &str) -> Result<bool, RemoteError> {
        let method = Method::from_bytes(b"MKCOL").expect("it is a word");
        let url = format!("{}/{name}", self.bucket.url);
        let request = http::Request::builder().method(method).uri(url.trim_end_matches('/'));
        match self.answer(request.body(()), None)? {
            // It is there.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::MOVED_PERMANENTLY => Ok(true),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.failure()),
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
        if mode == PutMode::Create && self.size(name)?.is_some() {
            return Ok(false);
        }
        if let Upload::File(path) = upload
            && path.metadata().is_ok_and(|metadata| metadata.len() > LARGE_BYTES)
        {
            self.make_folders(name)?;
        }
        let mut status = self.send(name, upload, mode)?;
        if [StatusCode::CONFLICT, StatusCode::NOT_FOUND].contains(&status) {
            self.make_folders(name)?;
            status = self.send(name, upload, mode)?;
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

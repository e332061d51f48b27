//! A remote in an object store.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use pipeline_store::{PutMode, Remote, RemoteError, RemoteFile, Upload};

use crate::exchange;

/// The size of a part of an upload; larger files are uploaded in parts, so that they need not fit into memory.
const PART_BYTES: u64 = 8 << 20;

/// The most parts of an upload; S3 allows 10,000.
const MAX_PARTS: u64 = 9_000;

/// The most bytes of a page of a listing, or of another answer that is read as a whole.
const PAGE_BYTES: u64 = 32 << 20;

/// The depth of the folders below one that is listed: those of the first bytes of digests.
const MAX_DEPTH: usize = 1;

/// Files below a prefix of an object store.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub url: String,
    pub store: Arc<dyn ObjectStore>,
    pub prefix: Path,
    /// Texts that no message may contain.
    pub secrets: Secrets,
}

/// Texts that no message may contain.
pub(crate) struct Secrets(pub Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// The text without them.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[hidden]"))
    }
}

impl Bucket {
    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The name of a file below the prefix.
    fn name(&self, path: &Path) -> Option<String> {
        let parts: Vec<String> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    fn failure(&self, error: &Error) -> RemoteError {
        exchange::failure(|| self.secrets.hide(&error.to_string()))
    }

    /// `None` if there is no such file.
    fn found<T>(&self, result: object_store::Result<T>) -> Result<Option<T>, RemoteError> {
        match result {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) if exchange::is_absence() => Ok(None),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Lists a folder by its folders: servers refuse to list all below one at once.
    pub fn list_folder(&self, name: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        let mut folders = vec![self.path(name)];
        let deepest = folders[0].parts().count() + MAX_DEPTH;
        while let Some(folder) = folders.pop() {
            let listed = wait(PAGE_BYTES, self.store.list_with_delimiter(Some(&folder)));
            let Some(listed) = self.found(listed)? else { continue };
            // A server that names a folder within itself must not be followed for ever.
            let is_below = |below: &Path| {
                below.prefix_match(&folder).is_some_and(|rest| rest.count() == 1) && below.parts().count() <= deepest
            };
            listed.objects.into_iter().filter_map(|file| self.file(file)).for_each(&mut *found);
            folders.extend(listed.common_prefixes.into_iter().filter(is_below));
        }
        Ok(())
    }

    fn file(&self, ObjectMeta { location, size, last_modified, .. }: ObjectMeta) -> Option<RemoteFile> {
        Some(RemoteFile { name: self.name(&location)?, bytes: size, modified: last_modified.into() })
    }

    fn put_content(&self, name: &str, content: Vec<u8>, mode: PutMode) -> Result<bool, RemoteError> {
        let bytes = content.len() as u64;
        let (path, payload) = (self.path(name), PutPayload::from(content));
        let put = |mode: object_store::PutMode| {
            wait(bytes, self.store.put_opts(&path, payload.clone(), PutOptions::from(mode)))
        };
        if mode == PutMode::Create {
            match put(object_store::PutMode::Create) {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(false),
                // Servers without conditional requests, or a user who has switched them off.
                Err(Error::NotImplemented { .. }) => {}
                Err(_) if exchange::is_not_implemented() => {}
                put => return put.map(|_| true).map_err(|error| self.failure(&error)),
            }
            if self.size(name)?.is_some() {
                return Ok(false);
            }
        }
        put(object_store::PutMode::Overwrite).map(|_| true).map_err(|error| self.failure(&error))
    }

    fn put_in_parts(&self, name: &str, file: &mut File, bytes: u64) -> Result<(), RemoteError> {
        let part_bytes = PART_BYTES.max(bytes.div_ceil(MAX_PARTS));
        let mut upload = wait(0, self.store.put_multipart(&self.path(name))).map_err(|error| self.failure(&error))?;
        let uploaded = self.put_parts(&mut *upload, file, part_bytes);
        if uploaded.is_err() {
            // Otherwise its parts stay, and are paid for.
            let _ = wait(0, upload.abort());
        }
        uploaded
    }

    fn put_parts(&self, upload: &mut dyn MultipartUpload, file: &mut File, bytes: u64) -> Result<(), RemoteError> {
        loop {
            let mut part = Vec::new();
            file.take(bytes).read_to_end(&mut part).map_err(RemoteError::Local)?;
            if part.is_empty() {
                break;
            }
            let n_bytes = part.len() as u64;
            wait(n_bytes, upload.put_part(part.into())).map_err(|error| self.failure(&error))?;
        }
        wait(PAGE_BYTES, upload.complete()).map(drop).map_err(|error| self.failure(&error))
    }
}

impl Remote for Bucket {
    fn url(&self) -> &str {
        &self.url
    }

    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError> {
        let too_long = || RemoteError::TooLong { name: name.to_owned(), max_bytes };
        wait(max_bytes, async {
            let Some(found) = self.found(self.store.get(&self.path(name)).await)? else { return Ok(false) };
            let (mut n_bytes, mut content) = (0, found.into_stream());
            while let Some(piece) = content.next().await {
                let piece = piece.map_err(|error| self.failure(&error))?;
                n_bytes += piece.len() as u64;
                if n_bytes > max_bytes {
                    return Err(too_long());
                }
                to.write_all(&piece).map_err(RemoteError::Local)?;
            }
            Ok(true)
        })
    }

    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        let found = wait(0, self.store.head(&self.path(name)));
        Ok(self.found(found)?.map(|meta| meta.size))
    }

    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError> {
        let path = match upload {
            Upload::Bytes(bytes) => return self.put_content(name, bytes.to_vec(), mode),
            Upload::File(path) => path,
        };
        let mut file = pipeline_files::open(path).map_err(RemoteError::Local)?;
        let bytes = file.metadata().map_err(RemoteError::Local)?.len();
        if bytes > PART_BYTES {
            return self.put_in_parts(name, &mut file, bytes).map(|()| true);
        }
        let mut content = Vec::with_capacity(bytes as usize);
        file.read_to_end(&mut content).map_err(RemoteError::Local)?;
        self.put_content(name, content, mode)
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        let deleted = wait(0, self.store.delete(&self.path(name)));
        self.found(deleted).map(drop)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError> {
        wait(PAGE_BYTES, async {
            let mut files = self.store.list(Some(&self.path(prefix)));
            while let Some(file) = files.next().await {
                self.found(file)?.and_then(|file| self.file(file)).into_iter().for_each(&mut *found);
            }
            Ok(())
        })
    }
}

/// Waits on this thread for an operation that transfers at most `bytes` bytes. Its requests block, and the runtime only
/// serves object_store's timers.
pub(crate) fn wait<T, E: From<NoRuntime>>(bytes: u64, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    exchange::begin(bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(NoRuntime)?.block_on(work)
}

/// The system gives no timer.
pub(crate) struct NoRuntime(io::Error);

impl From<NoRuntime> for RemoteError {
    fn from(NoRuntime(error): NoRuntime) -> Self {
        Self::Local(error)
    }
}

impl From<NoRuntime> for Error {
    fn from(NoRuntime(error): NoRuntime) -> Self {
        Self::Generic { store: "runtime", source: Box::new(error) }
    }
}

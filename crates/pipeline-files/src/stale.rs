//! Files that a network file system has lost: their server replaced or removed them, and a client still holds the old
//! one.

use std::io;

/// The reason why a file counts as missing.
#[derive(Debug, thiserror::Error)]
#[error("its server no longer has it (stale file handle)")]
struct Lost;

/// Does `work` on a file that it opens itself, and once more if the server of the file says that it was replaced
/// meanwhile (`ESTALE`).
///
/// # Errors
/// Those of `work`.
pub fn again_if_stale<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if is_stale(&error) => work(),
        done => done,
    }
}

/// The same where a file that is stale again counts as missing: only for those that can be made again.
///
/// # Errors
/// Those of `work`, with `NotFound` in place of `ESTALE`.
pub fn unless_stale<T>(work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    again_if_stale(work).map_err(|error| match is_stale(&error) {
        true => io::Error::new(io::ErrorKind::NotFound, Lost),
        false => error,
    })
}

/// Whether the server of a file says that it was replaced.
pub fn is_stale(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StaleNetworkFileHandle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_opened_once_more_and_then_counts_as_missing() {
        for (n_stale, expect, n_tries) in [(0, Ok(7), 1), (1, Ok(7), 2), (2, Err(io::ErrorKind::NotFound), 2)] {
            let mut tries = 0;
            let done = unless_stale(|| {
                tries += 1;
                if tries > n_stale { Ok(7) } else { Err(io::ErrorKind::StaleNetworkFileHandle.into()) }
            });
            assert_eq!((done.map_err(|error| error.kind()), tries), (expect, n_tries), "{n_stale} times stale");
        }
        let stale = again_if_stale(|| Err::<(), _>(io::ErrorKind::StaleNetworkFileHandle.into()));
        assert!(is_stale(&stale.unwrap_err()), "a source that is stale is not missing");
        let other = unless_stale(|| Err::<(), _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(other.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}

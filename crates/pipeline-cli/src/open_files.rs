//! The limit of open files: training keeps the files of its features open, and most systems begin with 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for the features of some million rows. Programs of stages inherit the limit, and a few of them visit every
/// number below it.
const WANTED: u64 = 65_536;

/// Raises the limit as far as this process may.
pub fn allow_more() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if current.is_some_and(|current| current < wanted) {
        // Without more of them, files are opened again and again.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

//! The commit of a project: asks the program `git`, which must neither execute what a repository configures nor write.
//!
//! A repository can name programs in its configuration: a file monitor, filters of files, helpers of remotes. The
//! monitor is switched off, no protocol is allowed, and where a repository has filters of its own git is not asked
//! whether files have changed.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pipeline_store::GitCommit;

/// The time that git has for all answers. A large repository on a slow disk may need more: then the state of its files
/// is unknown.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The most bytes of an answer that are read.
const MAX_BYTES: u64 = 64 << 10;

/// The commit that is checked out where `folder` is; `None` outside a repository, without git, or without a commit.
pub fn of(folder: &Path) -> Option<GitCommit> {
    // No process is started where there is no repository.
    let folder = folder.canonicalize().ok()?;
    folder.ancestors().find(|above| above.join(".git").exists())?;
    let git = Git { folder: &folder, until: Instant::now() + MAX_WAIT };
    let id = git.answer(&["rev-parse", "--verify", "HEAD"])?.trim().to_owned();
    let is_digest = id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| GitCommit { id, dirty: git.is_dirty() })
}

/// Questions to git about a folder, until a deadline.
struct Git<'a> {
    folder: &'a Path,
    until: Instant,
}

impl Git<'_> {
    /// True if a tracked file differs from the commit. Untracked files do not count, and of submodules their commits.
    fn is_dirty(&self) -> Option<bool> {
        if self.has_own_filters()? {
            return None;
        }
        let args = ["status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=dirty", "--no-renames"];
        self.answer(&args).map(|changes| !changes.is_empty())
    }

    /// True if the configuration of the repository, and not that of the user, has filters of files: programs.
    fn has_own_filters(&self) -> Option<bool> {
        let settings = self.answer(&["config", "--list", "--show-scope", "--name-only", "--includes", "-z"])?;
        let mut words = settings.split('\0');
        while let (Some(scope), Some(name)) = (words.next(), words.next()) {
            if name.to_ascii_lowercase().starts_with("filter.") && !matches!(scope, "system" | "global") {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The answer of git; `None` when it fails or takes too long.
    fn answer(&self, args: &[&str]) -> Option<String> {
        let mut child = self.command(args).spawn().ok()?;
        let answer = self.read(&mut child);
        if answer.is_none() {
            let _ = child.kill();
        }
        let status = child.wait().ok()?;
        let (answer, is_whole) = answer?;
        (status.success() || !is_whole).then_some(answer)
    }

    /// What git prints, and whether that is all of it. Closes the pipe, so that git ends.
    fn read(&self, child: &mut Child) -> Option<(String, bool)> {
        let stdout = child.stdout.take()?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.take(MAX_BYTES).read_to_end(&mut answer);
            // The receiver is gone once the time is over.
            let _ = sender.send(read.map(|_| answer));
        });
        let left = self.until.saturating_duration_since(Instant::now());
        let answer = receiver.recv_timeout(left).ok()?.ok()?;
        let is_whole = (answer.len() as u64) < MAX_BYTES;
        Some((String::from_utf8_lossy(&answer).into_owned(), is_whole))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        // The repository is that of the folder, even in a hook of another.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
            command.env_remove(name);
        }
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.arg("-C").arg(self.folder).args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

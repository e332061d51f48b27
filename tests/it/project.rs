//! A folder with a spec, and the program run in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A temporary folder in which the program runs.
pub struct Project {
    folder: TempDir,
}

/// The reply of a call of the program, with everything replaced that differs between runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A project whose `spec.yaml` is `spec`.
    pub fn with_spec(spec: &str) -> Self {
        let project = Self::new();
        project.write("spec.yaml", spec);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The text of a file; empty when it is missing.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// The program with these arguments, run in this folder without the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(args).current_dir(self.folder.path()).env_clear().env("USER", "tester");
        // Models on the machine of the tests must not be found.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Reply {
        let output = self.command(args).output().unwrap();
        self.reply(&output)
    }

    pub fn reply(&self, output: &Output) -> Reply {
        Reply {
            code: output.status.code(),
            stdout: self.redact(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.redact(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Starts the program and leaves it running, its stderr readable line by line.
    pub fn start(&self, args: &[&str]) -> Started {
        let mut command = with_default_signals(&self.command(args));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Started { child, stderr }
    }

    fn redact(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        text.replace(folder, "[FOLDER]").lines().map(redact_line).collect::<Vec<_>>().join("\n")
    }
}

/// The same command with default signals, which the caller of the tests may have set to be ignored, like `nohup`.
pub fn with_default_signals(command: &Command) -> Command {
    let mut wrapped = Command::new("env");
    wrapped.arg("--default-signal=HUP,INT,QUIT,TERM").arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap()).env_clear();
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

/// A program that is still running.
pub struct Started {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Started {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads stderr up to the line that holds `text`.
    pub fn until(&mut self, text: &str) -> String {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap() > 0 {
            if line.contains(text) {
                return line;
            }
            line.clear();
        }
        panic!("the program ended without a line with `{text}`");
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn code(mut self) -> Option<i32> {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut self.stderr, &mut rest).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// Copies a folder with all that is below it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Sends a signal by its name, such as `INT`.
pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Waits until a process is gone, for at most ten seconds; a zombie counts as gone.
pub fn wait_for_end(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_alive(process) {
        assert!(Instant::now() < deadline, "process {process} goes on");
        std::thread::yield_now();
    }
}

/// True if the process exists and has not ended.
pub fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Replaces times, digests and ids of runs.
fn redact_line(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(redact_word).collect();
    for idx in 1..words.len() {
        let (unit, punctuation) = words[idx].split_at(words[idx].trim_end_matches([',', ')', ';']).len());
        if matches!(unit, "ms" | "s") && words[idx - 1].parse::<f64>().is_ok() {
            words[idx] = format!("[TIME]{punctuation}");
            words[idx - 1].clear();
        }
    }
    // Columns are as wide as their original content.
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn redact_word(word: &str) -> String {
    let core = word.trim_matches([',', '"', ';', '.', '`', ')', '(']);
    let is_hex = core.chars().all(|c| c.is_ascii_hexdigit());
    let replaced = match core.len() {
        64 if is_hex => "[DIGEST]",
        12 if is_hex => "[SHORT]",
        21 if core.as_bytes()[8] == b'T' && core.as_bytes()[15] == b'Z' => "[RUN]",
        _ => return word.to_owned(),
    };
    word.replace(core, replaced)
}

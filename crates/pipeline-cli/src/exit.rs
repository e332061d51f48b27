//! The exit codes of `pipeline`: the only place that knows their numbers.

use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};

/// The exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// A check failed or could not be measured, `diff` could not test a difference, `status --check` found a stage to
    /// run, or files that the command needs are gone or damaged.
    CheckFailed,
    /// The command line, the spec or a file that it names is wrong, or the store or an output cannot be read or written
    /// outside of a stage, as on a full disk.
    Usage,
    /// A stage failed, for whatever reason: a disk that was full when it stored its files, too.
    StageFailed,
    /// The program has a bug.
    Bug,
    /// `check` or `diff` met results over other images or queries.
    NotComparable,
    /// Stopped by SIGINT.
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
    /// Stopped by SIGHUP: its terminal is gone.
    HungUp,
    /// Stopped by SIGQUIT.
    Quit,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::CheckFailed => 1,
            Self::Usage => 2,
            Self::StageFailed => 3,
            Self::Bug => 4,
            Self::NotComparable => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::HungUp => 129,
            Self::Quit => 131,
        }
    }

    /// The exit code after the signal with this number.
    pub fn of_signal(signal: i32) -> Self {
        match signal {
            SIGTERM => Self::Terminated,
            SIGHUP => Self::HungUp,
            SIGQUIT => Self::Quit,
            _ => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

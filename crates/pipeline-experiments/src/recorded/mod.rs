//! Recorded runs: found by name, and read by one reader for every purpose.

mod complete;
mod find;
mod log;
mod run;

pub use complete::{log_of, read_log};
pub use find::{RecordedError, find_run};
pub use log::{Cost, Engine, FailedStage, Fate, LoggedStage, Remark, RunLog};
pub use run::{RecordedRun, StageResult, split};

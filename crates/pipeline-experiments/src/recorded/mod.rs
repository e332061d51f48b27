//! Recorded runs: found by name, and read by one reader for every purpose.

mod complete;
mod find;
mod label;
mod log;
mod progress;
mod run;
mod titles;

pub(crate) use complete::recorded_spec;
pub use complete::{log_of, read_log};
pub use find::{RecordedError, find_run, named};
pub use label::{InvalidLabel, check_label};
pub use log::{Cost, Engine, FailedStage, Fate, LoggedStage, Remark, RunLog};
pub use progress::{LiveState, PointProgress, Progress, StageProgress};
pub use run::{RecordedRun, StageResult, split};
pub use titles::spec_titles;

//! The executor on a Slurm cluster: submits workers, follows their jobs, submits again, cancels.
//!
//! Results are never asked from Slurm: the store alone says what is done. Slurm's word decides only about notes to the
//! user, another submission, and what to cancel.

mod jobs;
mod programs;
mod queue;
mod slurm;
pub mod task;

pub use programs::words;
pub use slurm::{Plans, Slurm};

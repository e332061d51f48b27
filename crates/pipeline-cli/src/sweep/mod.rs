//! Sweeps: one graph of the stages of all points, each distinct stage once, and what the points came to.

mod grid;
mod names;
mod outcome;
mod record;
mod sameness;
mod table;
mod union;

pub use outcome::Results;
pub use record::{PointRecord, SweepRecord};
pub use table::{Rows, print};
pub use union::Sweep;

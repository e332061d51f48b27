//! Sweeps: one graph of the stages of all points, each distinct stage once, and what the points came to.

mod grid;
mod names;
mod outcome;
mod record;
mod sameness;
mod table;
mod union;

use std::path::{Path, PathBuf};

pub use outcome::{COMPARED, Group, PointResult, PointState, Results, Spread, compared, groups, seeds};
pub use record::{AxisRecord, PointRecord, SweepRecord, shown};
pub use table::{Column, Rows, columns, print};
pub use union::Sweep;

/// The name under which the store remembers what the stages of a spec's sweep had last: apart from what those of `run` had,
/// since they are others under the same names.
pub fn remembered_as(spec: &Path) -> PathBuf {
    let mut path = spec.as_os_str().to_owned();
    path.push("#sweep");
    path.into()
}

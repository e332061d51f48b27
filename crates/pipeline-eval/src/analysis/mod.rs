//! Insight into an evaluation: the queries and images to look at, the recall of slices, and the map.

mod duplicates;
mod gallery;
mod hubs;
mod interval;
mod map;
mod random;
mod ranks;
mod slices;

pub use duplicates::{Duplicates, duplicates};
pub use gallery::{Group, Shown, choose, n_hits};
pub use hubs::{Hub, Hubs, hubs};
pub use interval::wilson;
pub use map::{Map, Point, sample};
pub use ranks::{Recalls, n_within, recalls};
pub use slices::{Slice, by_length, by_relevant};

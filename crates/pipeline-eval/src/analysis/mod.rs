//! Insight into an evaluation: the queries and images to look at, the recall of slices, and the map.

mod chance;
mod changes;
mod duplicates;
mod evaluation;
mod gallery;
mod histogram;
mod hubs;
mod interval;
mod map;
mod random;
mod ranks;
mod slices;

pub use chance::Chance;
pub use changes::Changes;
pub use duplicates::{Duplicates, duplicates};
pub use evaluation::{Analysis, AnalysisOptions};
pub use gallery::{GalleryQuery, Group};
pub use histogram::{Histogram, RankBin};
pub use hubs::{Hub, Hubs};
pub use map::{Map, Point, sample};
pub use ranks::{RecallPoint, Recalls};
pub use slices::Slice;

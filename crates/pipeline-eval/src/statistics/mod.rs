//! Statistics that separate real differences from chance: bootstrap intervals, paired tests, means over seeds.
//!
//! Every number is reproducible: the seed is fixed and the thread count changes nothing.

mod bootstrap;
mod draws;
mod seeds;
mod sign_flip;
mod sign_test;

pub use bootstrap::{Interval, intervals};
pub use draws::Draws;
pub use seeds::mean_sd;
pub use sign_flip::drop_p;
pub use sign_test::{SignTest, sign_test};

//! The arguments of `pipeline sweep`.

use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use pipeline_spec::Draw;

use super::{ExecutionArgs, JsonArgs, SpecArgs};
use crate::completing;

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Add or replace an axis: STAGE.params.NAME=[VALUE, …] or vars.NAME=[VALUE, …], or a range to draw from, such as
    /// KEY={log_uniform: [1e-5, 1e-2]}.
    #[arg(long = "axis", value_name = "KEY=VALUES", add = completing::settings())]
    pub axes: Vec<String>,
    /// Take every combination, or draw points [default: as the spec says].
    #[arg(long, value_name = "DRAW")]
    pub draw: Option<DrawArg>,
    /// Draw so many points; more keep the earlier ones.
    #[arg(long, value_name = "N")]
    pub points: Option<NonZeroUsize>,
    /// The seed of the draws.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Take only the first N points.
    #[arg(long, value_name = "N")]
    pub max_points: Option<NonZeroUsize>,
    /// The execution.
    #[command(flatten)]
    pub execution: ExecutionArgs,
    /// Show every point, not only the groups of seeds.
    #[arg(long)]
    pub all: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// The way in which the points of a sweep are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DrawArg {
    /// Every combination of one value from each axis.
    Grid,
    /// At random.
    Random,
    /// At random and evenly spread.
    Sobol,
}

impl From<DrawArg> for Draw {
    fn from(draw: DrawArg) -> Self {
        match draw {
            DrawArg::Grid => Self::Grid,
            DrawArg::Random => Self::Random,
            DrawArg::Sobol => Self::Sobol,
        }
    }
}

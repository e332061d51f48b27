//! Arguments of runs on a cluster.

use clap::{Args, ValueEnum};
use pipeline_core::Lane;

/// The options of `--executor slurm`, and of its workers.
#[derive(Debug, Args)]
pub struct SlurmArgs {
    /// With `--executor slurm`: the most tasks that compute at once [default: 16].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub workers: Option<u16>,
    /// With `--executor slurm`: the most tasks for the stages of the lane `gpu` [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub gpu_workers: Option<u16>,
    /// With `--executor slurm`: arguments of `sbatch`, such as `--partition long --time 2:00:00`.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub sbatch: Option<String>,
    /// With `--executor slurm`: arguments of `sbatch` for the lane `gpu` [default: `--sbatch` and `--gres gpu:1`].
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub sbatch_gpu: Option<String>,
    /// With `--executor slurm`: submit the workers and do not wait for them.
    #[arg(long)]
    pub detach: bool,
    /// Start only the stages of this lane, and wait for the others.
    #[arg(long, value_name = "LANE")]
    pub pool: Option<PoolArg>,
    /// Compute for this run, which publishes the results and shows the events of this process.
    #[arg(long, value_name = "RUN", requires = "share")]
    pub join: Option<String>,
}

/// The lane whose stages a process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum PoolArg {
    /// The lane `cpu`.
    Cpu,
    /// The lane `gpu`.
    Gpu,
}

impl PoolArg {
    /// The lane.
    pub fn lane(self) -> Lane {
        match self {
            Self::Cpu => Lane::Cpu,
            Self::Gpu => Lane::Gpu,
        }
    }

    /// The name, as `--pool` takes it.
    pub fn name(self) -> &'static str {
        self.lane().name()
    }
}

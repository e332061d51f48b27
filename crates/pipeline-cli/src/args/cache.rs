//! The arguments of `pipeline cache`, with sizes and ages in the notation of users.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{JsonArgs, RemoteArgs, RemoteInsteadArgs, StoreArgs};
use crate::completing;

/// Arguments of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// The command.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// The commands of `cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show what the store holds.
    Stats(CacheStatsArgs),
    /// Read every stored file and compare it with its digest.
    Verify(CacheVerifyArgs),
    /// Delete what is not in use, within limits of size and age.
    ///
    /// In use are the results of the last run of each spec, of pinned runs (`pipeline runs RUN --pin`) and of running
    /// ones, and all that living processes read, write or have just found. A spec whose file is gone holds nothing. A
    /// spec that cannot be seen from here (another machine, a disk that is not mounted) holds its results for 30 days.
    /// Indexes of sources stay for 30 days after their last use. Without limits everything else goes. Keys stay
    /// remembered, so that no stage runs again only because its bytes are gone. The output lists the bytes that stay by
    /// their holders.
    Gc(CacheGcArgs),
    /// Upload results to the remote: those of a spec's last run or of a run, and what earlier runs have not uploaded.
    Push(CachePushArgs),
    /// Fetch the files of all results that a run would reuse, for work without the remote.
    Pull(CachePullArgs),
    /// Make a pair of keys: one signs the records that a job uploads, the other lets readers trust them.
    Keygen(CacheKeygenArgs),
}

/// Arguments of `cache keygen`.
#[derive(Debug, Args)]
pub struct CacheKeygenArgs {
    /// The name of the pair, such as the job that uploads.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The file to write the secret key to; it must not exist.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `cache push`.
#[derive(Debug, Args)]
pub struct CachePushArgs {
    /// A spec that has run here, or a run; without it, what earlier runs have not uploaded.
    #[arg(value_name = "SPEC|RUN", add = completing::reportable())]
    pub subject: Option<String>,
    /// Change a value of the spec, as for `run`; its last run with it counts.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "subject", add = completing::settings())]
    pub overrides: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `cache pull`.
#[derive(Debug, Args)]
pub struct CachePullArgs {
    /// A spec, or a run of this store.
    #[arg(value_name = "SPEC|RUN", add = completing::reportable())]
    pub subject: String,
    /// Change a value of the spec, as for `run`.
    #[arg(long = "set", value_name = "KEY=VALUE", add = completing::settings())]
    pub overrides: Vec<String>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `cache stats`.
#[derive(Debug, Args)]
pub struct CacheStatsArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote, if it is to be counted.
    #[command(flatten)]
    pub remote: RemoteInsteadArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `cache verify`.
#[derive(Debug, Args)]
pub struct CacheVerifyArgs {
    /// With --recompute: the spec whose results to compute again.
    #[arg(value_name = "SPEC", requires = "recompute", add = completing::specs())]
    pub spec: Option<PathBuf>,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote, if it is to be read.
    #[command(flatten)]
    pub remote: RemoteInsteadArgs,
    /// Move damaged files away, so that they are computed again once a stage that must run reads them.
    #[arg(long)]
    pub repair: bool,
    /// With --remote and a spec: compute so many results of it again, chosen by chance, and compare their files.
    #[arg(long, value_name = "N", requires = "remote", conflicts_with = "repair")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub recompute: Option<u32>,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Arguments of `cache gc`.
#[derive(Debug, Args)]
pub struct CacheGcArgs {
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// The remote, if it is to be collected.
    #[command(flatten)]
    pub remote: RemoteInsteadArgs,
    /// With --remote: delete results that were uploaded longer ago than this, such as `90d`, and what only they need.
    #[arg(long, value_name = "AGE", value_parser = parse_age, requires = "remote")]
    #[arg(conflicts_with_all = ["max_size", "max_age", "keep_missing"])]
    pub older_than: Option<Duration>,
    /// Delete the longest unused files until the rest takes at most this size, such as `20GiB`.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Delete files that were not used for longer than this, such as `30d` or `12h`.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub max_age: Option<Duration>,
    /// Keep the results of specs whose files are gone for this long after their last run, such as `14d`.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub keep_missing: Option<Duration>,
    /// Show the files that would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// Reads a size such as `500MB` (powers of 1000) or `20GiB` (powers of 1024).
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    parse_with_unit(text, &UNITS)
        .map(|bytes| bytes as u64)
        .ok_or_else(|| "write a size such as `20GiB` or `500MB`".into())
}

/// Reads an age such as `30d`, `12h`, `5m` or `10s`.
pub(super) fn parse_age(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let seconds = parse_with_unit(text, &UNITS).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "write an age such as `30d`, `12h`, `5m` or `10s`".into())
}

fn parse_with_unit(text: &str, units: &[(&str, u64)]) -> Option<f64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    Some(number.parse::<f64>().ok()? * *factor as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_have_units() {
        assert_eq!(parse_size("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_size("500mb"), Ok(500_000_000));
        assert_eq!(parse_age("2h"), Ok(Duration::from_secs(7200)));
        assert!(parse_size("much").is_err());
        assert!(parse_age("30").is_err());
    }
}

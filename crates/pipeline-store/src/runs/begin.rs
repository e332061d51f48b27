//! `run.json`: the beginning of a run, from which its id and its place in the history follow.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::seal::reason;
use crate::durable::read_if_there;
use crate::{StoreError, host_name};

pub(super) const BEGIN_FILE: &str = "run.json";

/// The version of the files of a run that this program writes. Version 0 had neither seals nor numbers.
pub(super) const RUN_FORMAT: u32 = 1;

/// `run.json`: the facts of a run before its first event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunBegin {
    /// The spec's name.
    pub(crate) spec: String,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub(crate) started_ms: u64,
    /// The machine.
    pub(crate) host: String,
    /// The process.
    pub(crate) pid: u32,
    /// Its place among the runs of the store, from 1; 0 where runs had no number yet.
    #[serde(default)]
    pub(crate) number: u64,
    /// The version of the files of the run.
    #[serde(default)]
    pub(crate) format: u32,
}

impl RunBegin {
    /// A run of this process that has got its number.
    pub(super) fn new(spec_name: &str, at_ms: u64, number: u64) -> Self {
        Self {
            spec: spec_name.to_owned(),
            started_ms: at_ms,
            host: host_name().to_owned(),
            pid: std::process::id(),
            number,
            format: RUN_FORMAT,
        }
    }

    /// Reads the beginning of the run in `folder`; none when the folder is not a run's.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, String> {
        let json = match read_if_there(&folder.join(BEGIN_FILE)) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            json => json.map_err(|error| reason(&error))?,
        };
        let Some(json) = json else { return Ok(None) };
        let begin: Self =
            serde_json::from_slice(&json).map_err(|error| format!("`{BEGIN_FILE}` is damaged: {error}"))?;
        if begin.format > RUN_FORMAT {
            return Err(format!("it was written by a newer version of `pipeline` (format {})", begin.format));
        }
        Ok(Some(begin))
    }
}

/// `20261124T082050Z` for a time in milliseconds since 1970-01-01 UTC.
pub(super) fn utc(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March, so that the leap day is the last of the year.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_the_time_in_utc() {
        for (at_ms, expect) in [
            (0, "19700101T000000Z"),
            (951_782_399_999, "20000228T235959Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_795_508_450_123, "20261124T082050Z"),
            (4_107_542_400_000, "21000301T000000Z"),
        ] {
            assert_eq!(utc(at_ms), expect);
        }
    }
}

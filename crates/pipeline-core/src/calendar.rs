//! Times as dates of the Gregorian calendar, in UTC. Knows no clock: a time is milliseconds since 1970-01-01 UTC.

use std::fmt;

/// A second of the calendar; written as `2026-11-24 08:20:50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl DateTime {
    /// The second in which a time falls.
    ///
    /// Counts eras of 400 years from 1 March of the year 0, so that leap days end a year. The algorithm is from Howard
    /// Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    pub fn of(at_ms: u64) -> Self {
        let seconds = at_ms / 1000;
        let days = seconds / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: seconds % 86_400,
        }
    }

    /// The RFC 3339 form: `2026-11-24T08:20:50Z`.
    pub fn rfc3339(self) -> String {
        self.to_string().replace(' ', "T") + "Z"
    }

    /// The form for file names: `20261124T082050Z`.
    pub fn compact(self) -> String {
        self.rfc3339().replace(['-', ':'], "")
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, second_of_day } = self;
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_calendar() {
        for (at_ms, expect, compact) in [
            (0, "1970-01-01T00:00:00Z", "19700101T000000Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z", "20000228T235959Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z", "20000229T000000Z"),
            (1_795_508_450_123, "2026-11-24T08:20:50Z", "20261124T082050Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z", "21000301T000000Z"),
        ] {
            assert_eq!(DateTime::of(at_ms).rfc3339(), expect);
            assert_eq!(DateTime::of(at_ms).compact(), compact);
        }
        assert_eq!(DateTime::of(1_795_508_450_123).to_string(), "2026-11-24 08:20:50");
    }
}

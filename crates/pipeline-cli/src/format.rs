//! Numbers as people read them: durations, sizes, counts, dates.

pub use pipeline_core::format::{bytes, count, duration};

/// A count and what is counted, such as `1 stage` or `7 stages`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        Some(stem) if n != 1 => format!("{stem}ies"),
        _ if n != 1 => format!("{noun}s"),
        _ => noun.to_owned(),
    };
    format!("{} {plural}", count(n))
}

/// A time given in milliseconds since 1970 as `2026-11-24 08:20:50` in UTC.
pub fn date_time(at_ms: u64) -> String {
    let (date, time) = calendar(at_ms);
    format!("{date} {time}")
}

/// A time given in milliseconds since 1970 as `2026-11-24T08:20:50Z`.
pub fn rfc3339(at_ms: u64) -> String {
    let (date, time) = calendar(at_ms);
    format!("{date}T{time}Z")
}

/// The date and the time of day in UTC.
///
/// Days become a date by counting 400-year eras from 1 March of the year 0, so that leap days end a year.
fn calendar(at_ms: u64) -> (String, String) {
    let seconds = at_ms / 1000;
    let days = seconds / 86_400 + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / 146_097 * 400 + year_of_era + u64::from(month <= 2);
    let second = seconds % 86_400;
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second % 3600 / 60, second % 60);
    (format!("{year:04}-{month:02}-{day:02}"), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(counted(1, "stage"), "1 stage");
        assert_eq!(counted(0, "query"), "0 queries");
    }

    #[test]
    fn times_follow_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(date_time(1_795_508_450_123), "2026-11-24 08:20:50");
    }
}

//! Numbers for people: durations, sizes, counts, dates.

use pipeline_core::calendar::DateTime;
pub use pipeline_core::format::{bytes, count, duration};

/// A count with its noun, such as `1 stage` or `7 stages`.
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
    DateTime::of(at_ms).to_string()
}

/// A time given in milliseconds since 1970 as `2026-11-24T08:20:50Z`.
pub fn rfc3339(at_ms: u64) -> String {
    DateTime::of(at_ms).rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(counted(1, "stage"), "1 stage");
        assert_eq!(counted(0, "query"), "0 queries");
    }
}

//! Numbers for people.

pub(super) use pipeline_core::format::{bytes, count, duration};

/// A share in percent, such as `16.46%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A difference of shares in percentage points, with its sign.
pub(super) fn points(difference: f64) -> String {
    let text = format!("{:+.2}", difference * 100.0);
    if text == "-0.00" { "+0.00".into() } else { text.replace('-', "−") }
}

/// A number of any size with a few significant digits.
pub(super) fn plain(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", count(value.abs() as u64));
    }
    if value.abs() >= 1e-3 { format!("{value:.4}") } else { format!("{value:.3e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            (percent(0.16456), points(-0.012), points(-0.000_001)),
            ("16.46%".into(), "−1.20".into(), "+0.00".into())
        );
        assert_eq!(
            (count(1_234_567), duration(0.004), duration(200.0)),
            ("1,234,567".into(), "4 ms".into(), "3 min 20 s".into())
        );
        assert_eq!((bytes(512), bytes(1_572_864)), ("512 B".into(), "1.5 MiB".into()));
        assert_eq!(
            (plain(871.0), plain(2.34567), plain(0.0001), plain(-3.0)),
            ("871".into(), "2.3457".into(), "1.000e-4".into(), "−3".into())
        );
    }
}

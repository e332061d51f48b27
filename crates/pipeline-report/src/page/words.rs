//! Numbers as people read them.

/// A share in percent, such as `16.46%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A difference of shares in points of a percent, with its sign.
pub(super) fn points(difference: f64) -> String {
    let text = format!("{:+.2}", difference * 100.0);
    if text == "-0.00" { "+0.00".into() } else { text.replace('-', "−") }
}

/// A count with a comma between thousands.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration, such as `4 ms`, `12.3 s` or `3 min 20 s`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.0995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        match whole / 3600 {
            0 => format!("{} min {:02} s", whole / 60, whole % 60),
            hours => format!("{hours} h {:02} min", whole % 3600 / 60),
        }
    }
}

/// A size in bytes, such as `1.5 MiB`.
pub(super) fn bytes(n_bytes: u64) -> String {
    let mut value = n_bytes as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = None;
    while value >= 1023.95 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, Some(next));
    }
    unit.map_or_else(|| format!("{n_bytes} B"), |unit| format!("{value:.1} {unit}"))
}

/// A number of any size with a few digits.
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

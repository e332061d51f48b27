//! Numbers of a JSON text as Python's `str` formats them, since the ids of a data set are compared as text.

/// A JSON number as `str(json.loads(number))` formats it; any other text is returned unchanged.
pub(crate) fn number_text(number: &str) -> String {
    let is_integer = number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<f64>() {
        _ if number == "-0" => "0".to_owned(),
        Ok(value) if !is_integer => float_text(value),
        _ => number.to_owned(),
    }
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_python() {
        let expected = [
            ("7", "7"),
            ("-0", "0"),
            ("007", "007"),
            ("8.0", "8.0"),
            ("-0.0", "-0.0"),
            ("0.1", "0.1"),
            ("1e3", "1000.0"),
            ("1E16", "1e+16"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("1.5e-5", "1.5e-05"),
            ("0.0001", "0.0001"),
            ("1e300", "1e+300"),
            ("-1e999", "-inf"),
        ];
        for (json, python) in expected {
            assert_eq!(number_text(json), python, "{json}");
        }
    }
}

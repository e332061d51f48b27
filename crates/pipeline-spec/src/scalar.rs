//! The core schema of YAML 1.2: the meaning of an unquoted word.

use crate::Value;

/// An integer that does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// The value of an unquoted word.
///
/// Follows YAML 1.2 only: `yes`, `on`, `1_000` and `12:30` are text.
///
/// # Errors
/// When it is an integer that does not fit into 64 bits.
pub(crate) fn resolve(word: &str) -> Result<Value, TooLarge> {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Ok(Value::Float(f64::NAN)),
        _ => {}
    }
    // Nearly all words are text, and the first character decides for most.
    if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Value::Str(word.to_owned()));
    }
    if let Some(number) = whole_number(word) {
        return number.map(Value::Int);
    }
    Ok(decimal(word).map_or_else(|| Value::Str(word.to_owned()), Value::Float))
}

/// A decimal, `0o` or `0x` number; `None` if `word` is not written as one.
fn whole_number(word: &str) -> Option<Result<i64, TooLarge>> {
    let (digits, radix) = match word.get(..2) {
        Some("0o") => (&word[2..], 8),
        Some("0x") => (&word[2..], 16),
        _ => (word.strip_prefix(['-', '+']).unwrap_or(word), 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let signed = if radix == 10 { word } else { digits };
    Some(i64::from_str_radix(signed, radix).map_err(|_| TooLarge))
}

/// A number with a decimal point or an exponent; `None` if `word` is not written as one.
fn decimal(word: &str) -> Option<f64> {
    let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(if word.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let valid = is_digits(whole)
        && is_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && is_digits(exponent));
    valid.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_the_core_schema_says() {
        let text = |word: &str| Value::Str(word.into());
        for (word, expected) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("True", Value::Bool(true)),
            ("yes", text("yes")),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+12", Value::Int(12)),
            ("007", Value::Int(7)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("-0x1F", text("-0x1F")),
            ("10_000", text("10_000")),
            ("0.07", Value::Float(0.07)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("1e-3", Value::Float(1e-3)),
            ("1.0E+3", Value::Float(1000.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("1e", text("1e")),
            (".", text(".")),
            ("-", text("-")),
            ("+e3", text("+e3")),
            ("1.2.3", text("1.2.3")),
            ("12:30", text("12:30")),
            ("../data", text("../data")),
            ("inf", text("inf")),
            ("NaN", text("NaN")),
            ("0x", text("0x")),
        ] {
            assert_eq!(resolve(word), Ok(expected), "{word}");
        }
        assert_eq!(resolve("9223372036854775808"), Err(TooLarge));
        assert_eq!(resolve("-9223372036854775808"), Ok(Value::Int(i64::MIN)));
    }
}

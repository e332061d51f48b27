//! Base64 as Python's `urlsafe_b64decode` reads it.

use crate::DecodeError;

/// Marks a byte that stands for no six bits.
const NONE: u8 = 64;
const VALUES: [u8; 256] = values();

/// The bytes that a base64 text stands for.
///
/// Both alphabets are read, other characters are dropped, and what follows the padding is ignored, as in Python.
/// Python refuses a text whose padding is missing; here it may be missing as long as the unused bits of the last
/// character are zero, as every encoder writes them.
///
/// # Errors
/// When the text ends inside a byte.
pub fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut group, mut n_in_group, mut n_pads) = (0_u32, 0, 0);
    for &character in text {
        let value = VALUES[usize::from(character)];
        if value != NONE {
            group = group << 6 | u32::from(value);
            n_in_group += 1;
            n_pads = 0;
            if n_in_group == 4 {
                bytes.extend_from_slice(&group.to_be_bytes()[1..]);
                (group, n_in_group) = (0, 0);
            }
        } else if character == b'=' && n_in_group >= 2 {
            n_pads += 1;
            if n_in_group + n_pads == 4 {
                break;
            }
        }
    }
    let n_unused_bits = n_in_group * 6 % 8;
    let is_padded = n_in_group + n_pads == 4;
    if n_in_group == 1 || (!is_padded && group & ((1 << n_unused_bits) - 1) != 0) {
        return Err(DecodeError::Base64);
    }
    if n_in_group > 0 {
        let last = (group >> n_unused_bits).to_be_bytes();
        bytes.extend_from_slice(&last[last.len() - n_in_group * 6 / 8..]);
    }
    Ok(bytes)
}

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 26 {
        values[b'A' as usize + value] = value as u8;
        values[b'a' as usize + value] = value as u8 + 26;
        value += 1;
    }
    let mut digit = 0;
    while digit < 10 {
        values[b'0' as usize + digit] = digit as u8 + 52;
        digit += 1;
    }
    values[b'+' as usize] = 62;
    values[b'-' as usize] = 62;
    values[b'/' as usize] = 63;
    values[b'_' as usize] = 63;
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_in_python() {
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(decode_base64(text.as_bytes()).ok().as_deref(), expected, "{text}");
        };
        check("", Some(b""));
        check("AAEC", Some(&[0, 1, 2]));
        check("+/-_", Some(&[0xfb, 0xff, 0xbf]));
        check("aGVsbG8=", Some(b"hello"));
        check("aGVs bG8=\n", Some(b"hello"));
        check("aGVsbG8=aGVs", Some(b"hello"));
        check("a=GVs", Some(b"hel"));
        check("aG=Vs", Some(b"hel"));
        check("aA==", Some(b"h"));
        check("aB==", Some(b"h"));
        check("a", None);
        check("aGVsb", None);
        check("aGVsb===", None);
    }

    #[test]
    fn padding_may_be_missing_but_not_half_a_byte() {
        assert_eq!(decode_base64(b"aGVsbG8").unwrap(), b"hello");
        assert_eq!(decode_base64(b"aA").unwrap(), b"h");
        assert!(decode_base64(b"aGVsbG9").is_err(), "the last two bits are set: a fourth character was cut off");
    }
}

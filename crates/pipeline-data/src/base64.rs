//! Base64 as Python's `urlsafe_b64decode` reads it.

use crate::DecodeError;

/// Marks a byte that is not a base64 character.
const NONE: u8 = 64;
/// The longest beginning of a data URL, in bytes.
const MAX_DATA_URL_BYTES: usize = 128;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES: [u8; 256] = values();
static PLACED_VALUES: [[u32; 256]; 4] = placed_values();

/// Decodes a base64 text.
///
/// Both alphabets are accepted, other characters are dropped, and text after the padding is ignored, as in Python.
/// Python refuses a text without padding. Here it is accepted if the unused bits of the last character are zero, as
/// every encoder writes them.
///
/// # Errors
/// When the text ends inside a byte.
pub fn decode_base64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = vec![0; text.len() / 4 * 3 + 3];
    let mut n_bytes = 0;
    let (mut group, mut n_in_group, mut n_pads) = (0_u32, 0, 0);
    let mut at = 0;
    while at < text.len() {
        if n_in_group == 0 {
            let n_groups = whole_groups(&text[at..], &mut bytes[n_bytes..]);
            at += n_groups * 4;
            n_bytes += n_groups * 3;
        }
        let Some(&character) = text.get(at) else { break };
        at += 1;
        let value = VALUES[usize::from(character)];
        if value != NONE {
            group = group << 6 | u32::from(value);
            n_in_group += 1;
            n_pads = 0;
            if n_in_group == 4 {
                bytes[n_bytes..n_bytes + 3].copy_from_slice(&group.to_be_bytes()[1..]);
                n_bytes += 3;
                (group, n_in_group) = (0, 0);
            }
        } else if character == b'=' && n_in_group >= 2 {
            n_pads += 1;
            if n_in_group + n_pads == 4 {
                break;
            }
        }
    }
    bytes.truncate(n_bytes);
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

/// Decodes groups of four until one has an invalid character; returns the number of decoded groups.
fn whole_groups(text: &[u8], bytes: &mut [u8]) -> usize {
    let groups = text.as_chunks::<4>().0.iter().zip(bytes.as_chunks_mut::<3>().0);
    let n_groups = groups.len();
    for (group_idx, (characters, bytes)) in groups.enumerate() {
        let parts: [u32; 4] = std::array::from_fn(|place| PLACED_VALUES[place][usize::from(characters[place])]);
        let group = parts[0] | parts[1] | parts[2] | parts[3];
        if group >= 1 << 24 {
            return group_idx;
        }
        bytes.copy_from_slice(&group.to_be_bytes()[1..]);
    }
    n_groups
}

/// [`VALUES`] by position in a group, shifted to that position; those of [`NONE`] set a bit above the group.
const fn placed_values() -> [[u32; 256]; 4] {
    let mut placed = [[1 << 24; 256]; 4];
    let mut character = 0;
    while character < 256 {
        let mut place = 0;
        while place < 4 && VALUES[character] != NONE {
            placed[place][character] = (VALUES[character] as u32) << (18 - 6 * place);
            place += 1;
        }
        character += 1;
    }
    placed
}

/// The base64 in a data URL, such as `data:image/png;base64,iVBO…`; any other text as it is.
pub(crate) fn without_data_url(text: &[u8]) -> &[u8] {
    let begin = &text[..text.len().min(MAX_DATA_URL_BYTES)];
    let Some(comma) = begin.iter().position(|byte| *byte == b',') else { return text };
    let (scheme, encoding) = (begin.get(..5).unwrap_or_default(), &begin[..comma]);
    let is_base64 = encoding.len() >= 7 && encoding[encoding.len() - 7..].eq_ignore_ascii_case(b";base64");
    if scheme.eq_ignore_ascii_case(b"data:") && is_base64 { &text[comma + 1..] } else { text }
}

/// Encodes bytes as base64, in the standard alphabet and padded.
pub fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let value = bits >> (18 - 6 * place) & 63;
            text.push(if place <= group.len() { char::from(ALPHABET[value as usize]) } else { '=' });
        }
    }
    text
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
        check("AAECAAEC\nAAEC!AAEC=AAE CAAEC====", Some(&[0, 1, 2].repeat(6)));
        check("AAECAAE=AAEC", Some(&[0, 1, 2, 0, 1]));
        check("AAECAAECA", None);
        check("a", None);
        check("aGVsb", None);
        check("aGVsb===", None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in 0..70_usize {
            let bytes: Vec<u8> = (0..length).map(|place| (place * 37) as u8).collect();
            assert_eq!(decode_base64(encode_base64(&bytes).as_bytes()).unwrap(), bytes);
        }
        assert_eq!(
            [encode_base64(b"h"), encode_base64(b"hello"), encode_base64(&[0xfb, 0xff])],
            ["aA==", "aGVsbG8=", "+/8="]
        );
    }

    #[test]
    fn a_data_url_is_its_base64_and_any_other_text_stays() {
        let check = |text: &str, expected: &str| assert_eq!(without_data_url(text.as_bytes()), expected.as_bytes());
        check("data:image/png;base64,aGVs", "aGVs");
        check("DATA:image/svg+xml;charset=utf-8;BASE64,aGVs", "aGVs");
        check("data:;base64,", "");
        let too_long = format!("data:{};base64,aGVs", "x".repeat(200));
        for text in ["", "aGVs", "data:image/png,aGVs", "data:aGVs", "x:;base64,aGVs", ";base64,aGVs", &too_long] {
            check(text, text);
        }
    }

    #[test]
    fn padding_may_be_missing_but_not_half_a_byte() {
        assert_eq!(decode_base64(b"aGVsbG8").unwrap(), b"hello");
        assert_eq!(decode_base64(b"aA").unwrap(), b"h");
        assert!(decode_base64(b"aGVsbG9").is_err(), "the last two bits are set: a fourth character was cut off");
    }
}

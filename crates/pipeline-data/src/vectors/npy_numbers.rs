//! The types of NumPy's numbers and texts: converts the bytes of a `.npy` to `f32`, or ids.

use half::f16;

/// Converts all whole numbers of one type; drops a remainder.
pub(super) type Converter = fn(&[u8], &mut Vec<f32>);

/// Converts the bytes of one number or text to an id; `None` where they are not text.
pub(super) type TextReader = fn(&[u8]) -> Option<String>;

/// The bytes of one number or text of a type such as `<f4` or `<U12`; `None` where it is zero or not in canonical form.
pub(super) fn width_of(descr: &str) -> Option<usize> {
    let number = descr.get(2..)?;
    let is_canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: usize = number.parse().ok().filter(|_| is_canonical)?;
    if descr.get(1..2)? == "U" { number.checked_mul(4) } else { Some(number) }
}

/// The converter of a type to `f32`: rounds to the nearest where values do not fit.
pub(super) fn converter(descr: &str) -> Option<Converter> {
    macro_rules! numbers {
        ($type:ty, $from:ident, $convert:expr) => {
            |bytes, out| out.extend(bytes.as_chunks().0.iter().map(|bytes| $convert(<$type>::$from(*bytes))))
        };
    }
    let converter: Converter = match descr {
        "<f2" => numbers!(f16, from_le_bytes, f16::to_f32),
        ">f2" => numbers!(f16, from_be_bytes, f16::to_f32),
        "<f4" => numbers!(f32, from_le_bytes, f32::from),
        ">f4" => numbers!(f32, from_be_bytes, f32::from),
        "<f8" => numbers!(f64, from_le_bytes, |value| value as f32),
        ">f8" => numbers!(f64, from_be_bytes, |value| value as f32),
        "|i1" => numbers!(i8, from_le_bytes, f32::from),
        "|u1" => numbers!(u8, from_le_bytes, f32::from),
        "<i2" => numbers!(i16, from_le_bytes, f32::from),
        ">i2" => numbers!(i16, from_be_bytes, f32::from),
        "<u2" => numbers!(u16, from_le_bytes, f32::from),
        ">u2" => numbers!(u16, from_be_bytes, f32::from),
        "<i4" => numbers!(i32, from_le_bytes, |value| value as f32),
        ">i4" => numbers!(i32, from_be_bytes, |value| value as f32),
        "<u4" => numbers!(u32, from_le_bytes, |value| value as f32),
        ">u4" => numbers!(u32, from_be_bytes, |value| value as f32),
        "<i8" => numbers!(i64, from_le_bytes, |value| value as f32),
        ">i8" => numbers!(i64, from_be_bytes, |value| value as f32),
        "<u8" => numbers!(u64, from_le_bytes, |value| value as f32),
        ">u8" => numbers!(u64, from_be_bytes, |value| value as f32),
        _ => return None,
    };
    Some(converter)
}

/// The reader of texts or integers of a type as ids; integers are formatted as by Python's `str`.
pub(super) fn text_reader(descr: &str) -> Option<TextReader> {
    macro_rules! integer {
        ($type:ty, $from:ident) => {
            |bytes| Some(<$type>::$from(bytes.try_into().ok()?).to_string())
        };
    }
    let reader: TextReader = match descr {
        "|i1" => integer!(i8, from_le_bytes),
        "|u1" => integer!(u8, from_le_bytes),
        "<i2" => integer!(i16, from_le_bytes),
        ">i2" => integer!(i16, from_be_bytes),
        "<u2" => integer!(u16, from_le_bytes),
        ">u2" => integer!(u16, from_be_bytes),
        "<i4" => integer!(i32, from_le_bytes),
        ">i4" => integer!(i32, from_be_bytes),
        "<u4" => integer!(u32, from_le_bytes),
        ">u4" => integer!(u32, from_be_bytes),
        "<i8" => integer!(i64, from_le_bytes),
        ">i8" => integer!(i64, from_be_bytes),
        "<u8" => integer!(u64, from_le_bytes),
        ">u8" => integer!(u64, from_be_bytes),
        text if text.starts_with("<U") => |bytes| wide_text(bytes, u32::from_le_bytes),
        text if text.starts_with(">U") => |bytes| wide_text(bytes, u32::from_be_bytes),
        text if text.starts_with("|S") => |bytes| Some(str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned()),
        _ => return None,
    };
    Some(reader)
}

fn wide_text(bytes: &[u8], code_point: fn([u8; 4]) -> u32) -> Option<String> {
    let chars = bytes.as_chunks().0.iter().map(|bytes| char::from_u32(code_point(*bytes)));
    Some(chars.collect::<Option<String>>()?.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_numpy_writes_have_a_width_and_others_none() {
        for (descr, width) in [("<f4", 4), ("|S3", 3), ("<U12", 48), (">i8", 8)] {
            assert_eq!(width_of(descr), Some(width), "{descr}");
        }
        for descr in ["", "<", "<f", "<f04", "<U0", "|S0", "<f+4", "<f 4", "<f4x", "<U99999999999999999999"] {
            assert_eq!(width_of(descr), None, "{descr}");
        }
    }

    #[test]
    fn numbers_and_ids_of_one_type_agree() {
        for descr in ["|i1", "|u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8"]
        {
            let width = width_of(descr).unwrap();
            let mut bytes = vec![0; width];
            bytes[if descr.starts_with('>') { width - 1 } else { 0 }] = 101;
            let mut values = Vec::new();
            converter(descr).unwrap()(&bytes, &mut values);
            assert_eq!(
                (values, text_reader(descr).unwrap()(&bytes).unwrap().as_str()),
                (vec![101.0], "101"),
                "{descr}"
            );
        }
    }
}

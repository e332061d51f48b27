//! Half-precision numbers of IEEE 754, as their bits.

/// The number with these bits.
pub fn half_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude {
        // Subnormal numbers are integer multiples of the smallest one.
        0..0x0400 => (magnitude as f32 * 2f32.powi(-24)).to_bits(),
        // The exponent's bias is 127 instead of 15.
        0x0400..0x7c00 => (magnitude << 13) + ((127 - 15) << 23),
        0x7c00 => f32::INFINITY.to_bits(),
        // A NaN keeps its payload and becomes a quiet one, as in processors' conversions.
        _ => (magnitude << 13) | 0x7fc0_0000,
    };
    f32::from_bits(sign | value)
}

/// The bits of the nearest half-precision number; of two equally near, the even one.
///
/// Numbers from 65,520 on become infinite.
pub fn f32_to_half(value: f32) -> u16 {
    /// 2^-14, the smallest half that is not subnormal.
    const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
    /// 2^16, which is beyond every half.
    const TOO_LARGE: u32 = (127 + 16) << 23;
    const INFINITE: u32 = 0x7f80_0000;
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let half = match magnitude {
        // A half and a number below 2^-14 have a sum whose last bit is 2^-24, the smallest subnormal half.
        0..SMALLEST_NORMAL => (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits(),
        SMALLEST_NORMAL..TOO_LARGE => {
            let is_odd = (magnitude >> 13) & 1;
            // A carry moves on into the exponent, at the end to infinity.
            (magnitude - ((127 - 15) << 23) + 0xfff + is_odd) >> 13
        }
        TOO_LARGE..=INFINITE => 0x7c00,
        _ => 0x7e00 | ((magnitude >> 13) & 0x03ff),
    };
    (half | ((bits >> 16) & 0x8000)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_exactly() {
        let cases =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x3555, 0.333_251_95)];
        for (bits, expected) in cases {
            assert_eq!(half_to_f32(bits), expected, "{bits:#x}");
        }
        assert_eq!(half_to_f32(0xfc00), f32::NEG_INFINITY);
        assert_eq!(half_to_f32(0x8000).to_bits(), (-0f32).to_bits());
        assert_eq!(half_to_f32(0x03ff), 1023.0 * 2f32.powi(-24));
        assert_eq!(half_to_f32(0x0400), 2f32.powi(-14));
        assert_eq!([0x7e00, 0x7c01].map(|bits| half_to_f32(bits).to_bits()), [0x7fc0_0000, 0x7fc0_2000]);
    }

    #[test]
    fn every_half_comes_back_and_numbers_between_two_go_to_the_nearer_or_even_one() {
        for bits in (0..0x7c00).chain(0x8000..0xfc00) {
            let value = half_to_f32(bits);
            assert_eq!(f32_to_half(value), bits, "{bits:#x}");
            let next = half_to_f32(bits + 1);
            if !next.is_finite() {
                continue;
            }
            let middle = ((f64::from(value) + f64::from(next)) / 2.0) as f32;
            assert_eq!(f32_to_half(middle), bits + bits % 2, "between {bits:#x} and the next");
            assert_eq!(f32_to_half(f32::from_bits(middle.to_bits() - 1)), bits, "just below the middle");
            assert_eq!(f32_to_half(f32::from_bits(middle.to_bits() + 1)), bits + 1, "just above the middle");
        }
    }

    #[test]
    fn numbers_beyond_the_largest_half_are_infinite() {
        let largest_that_fits = f32::from_bits(65520f32.to_bits() - 1);
        assert_eq!([f32_to_half(largest_that_fits), f32_to_half(65520.0)], [0x7bff, 0x7c00]);
        assert_eq!([f32_to_half(-1e9), f32_to_half(f32::INFINITY)], [0xfc00, 0x7c00]);
        assert!(half_to_f32(f32_to_half(f32::NAN)).is_nan());
        assert_eq!([f32_to_half(1e-30), f32_to_half(-1e-30)], [0, 0x8000]);
    }
}

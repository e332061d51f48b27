//! The inverse cosine transform and the colour conversion of JPEG by AVX2.

use std::arch::x86_64::*;

use super::{CONST_BITS, PASS1_BITS};

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn inverse(coefficients: &[i16; 64], quantization: &[u16; 64]) -> [[u8; 8]; 8] {
    let (coefficients, quantization) = (coefficients.as_chunks::<8>().0, quantization.as_chunks::<8>().0);
    let mut inputs = [_mm_setzero_si128(); 8];
    for row in 0..8 {
        // SAFETY: both hold eight numbers of 16 bits.
        let (coefficients, factors) = unsafe {
            (_mm_loadu_si128(coefficients[row].as_ptr().cast()), _mm_loadu_si128(quantization[row].as_ptr().cast()))
        };
        inputs[row] = _mm_mullo_epi16(coefficients, factors);
    }
    let columns = transpose(transform::<{ (CONST_BITS - PASS1_BITS) as i32 }>(inputs));
    let [p01, p23, p45, p67] = transform::<{ (CONST_BITS + PASS1_BITS + 3) as i32 }>(columns);
    let bytes = [_mm256_packs_epi16(p01, p23), _mm256_packs_epi16(p45, p67)];
    // Four by four: transposes columns of samples to rows.
    let order = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    );
    let [left, right] = bytes.map(|bytes| _mm256_shuffle_epi8(bytes, order));
    let bias = _mm256_set1_epi8(-128);
    let rows_01_45 = _mm256_xor_si256(_mm256_unpacklo_epi32(left, right), bias);
    let rows_23_67 = _mm256_xor_si256(_mm256_unpackhi_epi32(left, right), bias);
    let mut rows = [[0; 8]; 8];
    let (upper, lower) = rows.as_flattened_mut().split_at_mut(32);
    // SAFETY: each half holds 32 bytes.
    unsafe {
        _mm256_storeu_si256(upper.as_mut_ptr().cast(), _mm256_permute2x128_si256::<0x20>(rows_01_45, rows_23_67));
        _mm256_storeu_si256(lower.as_mut_ptr().cast(), _mm256_permute2x128_si256::<0x31>(rows_01_45, rows_23_67));
    }
    rows
}

/// One dimension of the transform, with `N_BITS` fewer fraction bits at the end.
///
/// Takes eight vectors of eight numbers and returns them in pairs. Each half of a vector holds four numbers of the
/// first and four of the second.
#[target_feature(enable = "avx2")]
#[inline]
fn transform<const N_BITS: i32>(input: [__m128i; 8]) -> [__m256i; 4] {
    let widened = |sum: __m128i| {
        let zero = _mm_setzero_si128();
        let high = _mm256_set_m128i(_mm_unpackhi_epi16(zero, sum), _mm_unpacklo_epi16(zero, sum));
        _mm256_add_epi32(_mm256_srai_epi32::<{ 16 - CONST_BITS as i32 }>(high), _mm256_set1_epi32(1 << (N_BITS - 1)))
    };
    let evens_26 = pairs(input[2], input[6]);
    let (even_2, even_3) = (dot(evens_26, 4433, 4433 - 15137), dot(evens_26, 4433 + 6270, 4433));
    let even_0 = widened(_mm_add_epi16(input[0], input[4]));
    let even_1 = widened(_mm_sub_epi16(input[0], input[4]));
    let evens = [
        _mm256_add_epi32(even_0, even_3),
        _mm256_add_epi32(even_1, even_2),
        _mm256_sub_epi32(even_1, even_2),
        _mm256_sub_epi32(even_0, even_3),
    ];
    let z = pairs(_mm_add_epi16(input[7], input[3]), _mm_add_epi16(input[5], input[1]));
    let (z3, z4) = (dot(z, 9633 - 16069, 9633), dot(z, 9633, 9633 - 3196));
    let (odds_17, odds_35) = (pairs(input[1], input[7]), pairs(input[3], input[5]));
    let odds = [
        _mm256_add_epi32(dot(odds_17, 12299 - 7373, -7373), z4),
        _mm256_add_epi32(dot(odds_35, 25172 - 20995, -20995), z3),
        _mm256_add_epi32(dot(odds_35, -20995, 16819 - 20995), z4),
        _mm256_add_epi32(dot(odds_17, -7373, 2446 - 7373), z3),
    ];
    let sum = |at: usize| _mm256_srai_epi32::<N_BITS>(_mm256_add_epi32(evens[at], odds[at]));
    let difference = |at: usize| _mm256_srai_epi32::<N_BITS>(_mm256_sub_epi32(evens[at], odds[at]));
    [
        _mm256_packs_epi32(sum(0), sum(1)),
        _mm256_packs_epi32(sum(2), sum(3)),
        _mm256_packs_epi32(difference(3), difference(2)),
        _mm256_packs_epi32(difference(1), difference(0)),
    ]
}

/// The interleaved numbers of two vectors.
#[target_feature(enable = "avx2")]
#[inline]
fn pairs(first: __m128i, second: __m128i) -> __m256i {
    _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second))
}

/// The sum of each pair's numbers times two factors, of 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn dot(pairs: __m256i, first: i32, second: i32) -> __m256i {
    _mm256_madd_epi16(pairs, _mm256_set1_epi32(second << 16 | first & 0xffff))
}

/// Transposes a result of [`transform`] into its input.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose([r01, r23, r45, r67]: [__m256i; 4]) -> [__m128i; 8] {
    let (even, odd) = (_mm256_unpacklo_epi16(r01, r23), _mm256_unpackhi_epi16(r01, r23));
    let (first_01, first_23) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
    let (even, odd) = (_mm256_unpacklo_epi16(r45, r67), _mm256_unpackhi_epi16(r45, r67));
    let (last_01, last_23) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
    let columns = [
        _mm256_unpacklo_epi64(first_01, last_01),
        _mm256_unpackhi_epi64(first_01, last_01),
        _mm256_unpacklo_epi64(first_23, last_23),
        _mm256_unpackhi_epi64(first_23, last_23),
    ];
    let half = |at: usize| match at {
        0..4 => _mm256_castsi256_si128(columns[at]),
        _ => _mm256_extracti128_si256::<1>(columns[at - 4]),
    };
    std::array::from_fn(half)
}

/// Computes in 16 bits: half of a product's high half, rounded, equals a shift of the whole product.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn rgb([y, cb, cr]: [&[[u8; 16]]; 3], pixels: &mut [[[u8; 3]; 16]]) -> usize {
    let one = _mm256_set1_epi16(1);
    let center = _mm256_set1_epi16(128);
    let rounded = |twice: __m256i, factor: i16| {
        let high = _mm256_mulhi_epi16(twice, _mm256_set1_epi16(factor));
        _mm256_srai_epi16::<1>(_mm256_add_epi16(high, one))
    };
    let groups = pixels.iter_mut().zip(y).zip(cb).zip(cr);
    let n_done = groups.len() * 16;
    for (((pixels, y), cb), cr) in groups {
        let (y, cb, cr) = (widened(y), _mm256_sub_epi16(widened(cb), center), _mm256_sub_epi16(widened(cr), center));
        let (twice_cb, twice_cr) = (_mm256_add_epi16(cb, cb), _mm256_add_epi16(cr, cr));
        // 91881 = 2^16 + 26345, 116130 = 2^17 - 14942, -46802 = 18734 - 2^16
        let r = _mm256_add_epi16(_mm256_add_epi16(y, cr), rounded(twice_cr, 26_345));
        let b = _mm256_add_epi16(_mm256_add_epi16(y, twice_cb), rounded(twice_cb, -14_942));
        let sum = |pairs: __m256i| {
            let sum = _mm256_madd_epi16(pairs, _mm256_set1_epi32(18_734 << 16 | -22_554 & 0xffff));
            _mm256_srai_epi32::<16>(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 15)))
        };
        let (low, high) = (sum(_mm256_unpacklo_epi16(cb, cr)), sum(_mm256_unpackhi_epi16(cb, cr)));
        let g = _mm256_add_epi16(_mm256_sub_epi16(y, cr), _mm256_packs_epi32(low, high));
        interleave(_mm256_packus_epi16(r, g), _mm256_packus_epi16(b, b), pixels.as_flattened_mut());
    }
    n_done
}

#[target_feature(enable = "avx2")]
#[inline]
fn widened(samples: &[u8; 16]) -> __m256i {
    // SAFETY: there are sixteen bytes.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
}

/// Writes sixteen pixels. Each half of the vectors holds eight levels of red, eight of green and eight of blue.
#[target_feature(enable = "avx2")]
#[inline]
fn interleave(red_green: __m256i, blue: __m256i, pixels: &mut [u8]) {
    const NONE: i8 = -1;
    let both = |order: __m128i, vector: __m256i| _mm256_shuffle_epi8(vector, _mm256_broadcastsi128_si256(order));
    let head_red_green = _mm_setr_epi8(0, 8, NONE, 1, 9, NONE, 2, 10, NONE, 3, 11, NONE, 4, 12, NONE, 5);
    let head_blue = _mm_setr_epi8(NONE, NONE, 0, NONE, NONE, 1, NONE, NONE, 2, NONE, NONE, 3, NONE, NONE, 4, NONE);
    let tail_red_green = _mm_setr_epi8(13, NONE, 6, 14, NONE, 7, 15, NONE, 0, 0, 0, 0, 0, 0, 0, 0);
    let tail_blue = _mm_setr_epi8(NONE, 5, NONE, NONE, 6, NONE, NONE, 7, 0, 0, 0, 0, 0, 0, 0, 0);
    let head = _mm256_or_si256(both(head_red_green, red_green), both(head_blue, blue));
    let tail = _mm256_or_si256(both(tail_red_green, red_green), both(tail_blue, blue));
    assert!(pixels.len() >= 48, "BUG: no room for sixteen pixels");
    let start = pixels.as_mut_ptr();
    // SAFETY: each half writes 16 and 8 bytes, 48 in all, as many as there are.
    unsafe {
        _mm_storeu_si128(start.cast(), _mm256_castsi256_si128(head));
        _mm_storel_epi64(start.add(16).cast(), _mm256_castsi256_si128(tail));
        _mm_storeu_si128(start.add(24).cast(), _mm256_extracti128_si256::<1>(head));
        _mm_storel_epi64(start.add(40).cast(), _mm256_extracti128_si256::<1>(tail));
    }
}

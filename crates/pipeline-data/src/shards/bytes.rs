//! Numbers as the bytes of a file, without a copy. Unsafe code: no safe API views a slice of numbers as bytes or
//! requests large pages, and copying all vectors takes longer than writing them.

#![allow(unsafe_code)]

use std::borrow::Cow;
use std::slice;

/// Numbers as little-endian bytes.
pub(crate) fn of(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "big") {
        return values.iter().flat_map(|value| value.to_le_bytes()).collect();
    }
    // SAFETY: every byte of an f32 is initialised, a byte needs no alignment, and the view borrows the slice.
    Cow::Borrowed(unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) })
}

/// Lets `fill` write the little-endian bytes of all numbers.
pub(crate) fn fill<R>(values: &mut [f32], fill: impl FnOnce(&mut [u8]) -> R) -> R {
    // SAFETY: any four bytes are an f32, a byte needs no alignment, and the view borrows the slice.
    let bytes = unsafe { slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) };
    let result = fill(bytes);
    if cfg!(target_endian = "big") {
        values.iter_mut().for_each(|value| *value = f32::from_bits(u32::from_le(value.to_bits())));
    }
    result
}

/// Below this, large pages do not pay off.
const LARGE_BYTES: usize = 8 << 20;

/// `n` zeros to be overwritten, in large pages where the system has them: first touching small pages takes longer than
/// filling them.
pub(crate) fn zeros(n: usize) -> Vec<f32> {
    let mut values = vec![0.0f32; n];
    let whole = values.as_mut_ptr_range();
    let n_skipped = whole.start.align_offset(PAGE_BYTES);
    let n_bytes = size_of_val(values.as_slice());
    if n_bytes >= LARGE_BYTES && n_skipped < n {
        // A hint: without it, or where it is refused, everything still works. SAFETY: the range lies within the vector
        // and holds whole numbers; the advice changes no content.
        let _ = unsafe {
            rustix::mm::madvise(
                whole.start.add(n_skipped).cast(),
                n_bytes - n_skipped * size_of::<f32>(),
                rustix::mm::Advice::LinuxHugepage,
            )
        };
    }
    values
}

/// The alignment of the advice.
const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian_on_both_ways() {
        let values = [1.0, -2.5, f32::MIN_POSITIVE];
        let expected: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(of(&values), expected);
        let mut back = [0.0; 3];
        fill(&mut back, |bytes| bytes.copy_from_slice(&expected));
        assert_eq!(back, values);
    }

    #[test]
    fn zeros_are_zeros_in_pages_of_any_size() {
        for n in [0, 1, LARGE_BYTES / 4, LARGE_BYTES / 4 + 1_000_001] {
            let zeros = zeros(n);
            assert!(zeros.len() == n && zeros.iter().all(|zero| *zero == 0.0));
        }
    }
}

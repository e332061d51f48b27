//! Numbers for tests, and the comparison of instruction sets; the tests of other crates include this file.

use pipeline_kernels::InstructionSet;

/// `len` reproducible numbers in `-size..size`, seeded by `name`.
pub(crate) fn noise(name: &str, len: usize, size: f32) -> Vec<f32> {
    let mut state = name.bytes().fold(1, |state: u64, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    // Knuth's MMIX constants; the high bits are the most random.
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next() * size).collect()
}

/// The bits of the numbers, for comparisons to the last bit.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Computes with every instruction set. All sets that fuse products and sums must agree to the last bit, and so must
/// all others.
pub(crate) fn assert_same_bits(what: &str, compute: impl Fn(InstructionSet) -> Vec<f32>) {
    for fuses in [true, false] {
        let mut sets = InstructionSet::available().into_iter().filter(|instructions| instructions.fuses() == fuses);
        let Some(first) = sets.next() else { continue };
        let expected = bits(&compute(first));
        for other in sets {
            let found = bits(&compute(other));
            assert_eq!(found.len(), expected.len(), "{what}");
            let n_other = found.iter().zip(&expected).filter(|(left, right)| left != right).count();
            assert_eq!(n_other, 0, "{what}: numbers of {} that differ by {first:?} and {other:?}", found.len());
        }
    }
}

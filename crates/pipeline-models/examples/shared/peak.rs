//! Measures the processor's peak performance.

use std::time::Instant;

/// Fused multiply-adds per round of the probe, in each of its vectors.
const N_PROBE_STEPS: usize = 8_000_000;

/// Vectors of the probe: enough to keep two units busy at a latency of up to six cycles.
const N_VECTORS: usize = 12;

/// Floating-point operations per second of `n_threads` threads that do nothing but fused multiply-adds.
pub fn operations_per_second(n_threads: usize) -> f64 {
    let start = Instant::now();
    let n_operations: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(probe)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the probe does not panic")).sum()
    });
    n_operations as f64 / start.elapsed().as_secs_f64()
}

/// Returns the number of operations.
fn probe() -> usize {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions.
        return unsafe { fused_avx512() };
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the same.
        return unsafe { fused_avx2() };
    }
    fused::<4>()
}

/// The probe written in vector instructions. Compilers translate a loop over lanes differently on each machine, perhaps
/// a hundred times slower.
#[cfg(target_arch = "x86_64")]
macro_rules! fused_by {
    ($name:ident, $features:literal, $lanes:literal, $splat:ident, $fmadd:ident) => {
        #[target_feature(enable = $features)]
        fn $name() -> usize {
            use std::arch::x86_64::{$fmadd, $splat};
            let (factor, term) = std::hint::black_box(($splat(0.999), $splat(0.001)));
            let mut sums = [$splat(1.0); N_VECTORS];
            for _ in 0..N_PROBE_STEPS {
                for sum in &mut sums {
                    *sum = $fmadd(*sum, factor, term);
                }
            }
            std::hint::black_box(sums);
            N_PROBE_STEPS * N_VECTORS * $lanes * 2
        }
    };
}

#[cfg(target_arch = "x86_64")]
fused_by!(fused_avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
fused_by!(fused_avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps);

/// The probe in plain code.
fn fused<const LANES: usize>() -> usize {
    let (factor, term) = std::hint::black_box(([0.999f32; LANES], [0.001f32; LANES]));
    let mut sums = [[1.0f32; LANES]; N_VECTORS];
    for _ in 0..N_PROBE_STEPS {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane].mul_add(factor[lane], term[lane]);
            }
        }
    }
    std::hint::black_box(sums);
    N_PROBE_STEPS * N_VECTORS * LANES * 2
}

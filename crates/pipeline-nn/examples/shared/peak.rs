//! What the processor's cores can do at most.

use std::time::Instant;

/// Fused multiply-adds that a round of the probe makes in each of its vectors.
const N_PROBE_STEPS: usize = 8_000_000;

/// Floating-point operations per second of `n_threads` threads that do nothing but fused multiply-adds.
pub fn operations_per_second(n_threads: usize) -> f64 {
    let start = Instant::now();
    let n_operations: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(probe)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the probe does not panic")).sum()
    });
    n_operations as f64 / start.elapsed().as_secs_f64()
}

/// Returns the number of operations that were made.
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fused_avx512() -> usize {
    fused::<16>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_avx2() -> usize {
    fused::<8>()
}

/// Twelve vectors are enough to keep two units busy at a latency of up to six cycles.
#[inline(always)]
fn fused<const LANES: usize>() -> usize {
    let (factor, term) = std::hint::black_box(([0.999f32; LANES], [0.001f32; LANES]));
    let mut sums = [[1.0f32; LANES]; 12];
    for _ in 0..N_PROBE_STEPS {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane].mul_add(factor[lane], term[lane]);
            }
        }
    }
    std::hint::black_box(sums);
    N_PROBE_STEPS * 12 * LANES * 2
}

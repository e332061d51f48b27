//! Ranks images for queries where that is fastest, with the same bits everywhere.

use pipeline_eval::{RankError, Ranking, SearchError, Searcher, Similarity};
use pipeline_kernels::RowReader;

use crate::device::{Device, DeviceError};
use crate::gpu;

/// The least products of two numbers for which a card is asked: 1.4 seconds of two threads with AVX-512. For fewer, its
/// start and the copies to it are no gain beside many threads.
const LEAST_PRODUCTS: usize = 1 << 38;

/// The most images of a ranking that a card looks for: it finds one after the other.
const MOST_WANTED: usize = 256;

/// As [`pipeline_eval::rank`], and with the same bits, on the card of CUDA where that pays.
///
/// The sizes alone decide: a card searches if queries × images × numbers of an embedding are 2³⁸ or more, such as
/// 18,013 queries, 29,806 images and 512 numbers. The processor searches for fewer, where more than 256 images of each
/// ranking are wanted, without FMA, beside a GPU of Vulkan or Metal, which need not fuse products and sums, and where
/// this process has not opened the card.
///
/// # Errors
/// As [`pipeline_eval::rank`], and when the card fails ([`RankError::Search`] of a [`DeviceError`]).
///
/// # Panics
/// As [`pipeline_eval::rank`].
pub fn rank(
    queries: &dyn RowReader,
    images: &dyn RowReader,
    relevant: &[Vec<usize>],
    top_k: usize,
    similarity: Similarity,
    device: Device,
    n_threads: usize,
) -> Result<Vec<Ranking>, RankError> {
    if pays(queries.n_rows(), images.n_rows(), queries.n_cols(), top_k)
        && let Some(mut searcher) = searcher(device).map_err(|error| RankError::Search(error.into()))?
    {
        return pipeline_eval::rank_by(&mut *searcher, queries, images, relevant, top_k, similarity, n_threads);
    }
    pipeline_eval::rank(queries, images, relevant, top_k, similarity, n_threads)
}

/// A search on the card, whatever the sizes; `None` where the processor searches.
///
/// # Errors
/// When the card fails.
pub fn searcher(device: Device) -> Result<Option<Box<dyn Searcher>>, DeviceError> {
    match device {
        Device::Cpu => Ok(None),
        Device::Gpu(gpu) => gpu::searcher(gpu),
    }
}

/// Advice on a ranking that failed, where a card did.
pub fn help(error: &RankError) -> Option<String> {
    let of_device = |cause: &SearchError| cause.downcast_ref::<DeviceError>().map(DeviceError::help);
    if let RankError::Search(cause) = error { of_device(cause) } else { None }
}

fn pays(n_queries: usize, n_images: usize, dim: usize, top_k: usize) -> bool {
    top_k <= MOST_WANTED && n_queries.saturating_mul(n_images).saturating_mul(dim) >= LEAST_PRODUCTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Fault, Gpu, Interface};
    use pipeline_kernels::Matrix;

    #[test]
    fn sizes_alone_decide_where_images_are_searched() {
        assert!(pays(129_380, 29_806, 512, 10) && pays(18_013, 29_806, 512, 10) && pays(usize::MAX, 2, 2, 10));
        assert!(!pays(18_012, 29_806, 512, 10) && !pays(5_008, 29_806, 512, 10) && !pays(usize::MAX, 0, 512, 10));
        assert!(pays(129_380, 29_806, 512, 256) && !pays(129_380, 29_806, 512, 257));
    }

    #[test]
    fn the_processor_searches_where_no_card_was_opened() {
        let gpu = |interface| Device::Gpu(Gpu { interface, number: None });
        for device in [Device::Cpu, gpu(Interface::Cuda), gpu(Interface::Wgpu)] {
            assert!(searcher(device).unwrap().is_none());
            let rows = Matrix::new(1, 2, vec![1.0, 0.0]);
            let rankings = rank(&rows, &rows, &[vec![0]], 1, Similarity::Dot, device, 1).unwrap();
            assert_eq!(rankings[0].top, [(0, 1.0)]);
        }
    }

    #[test]
    fn a_card_that_fails_comes_with_advice() {
        let gpu = Gpu { interface: Interface::Cuda, number: Some(0) };
        let failed = DeviceError::Failed { gpu, fault: Fault::MemoryIsFull };
        let error = RankError::Search(failed.into());
        assert!(help(&error).unwrap().contains("nvidia-smi"));
        assert_eq!(help(&RankError::Widths { d_queries: 1, d_images: 2 }), None);
    }
}

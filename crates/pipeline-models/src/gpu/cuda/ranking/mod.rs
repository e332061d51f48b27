//! The search of images on the card of CUDA, with the bits of the processor.
//!
//! GPUs of Vulkan and Metal need not fuse products and sums, so that the processor searches beside them.

mod kernels;

use std::ops::Range;

use burn::tensor::backend::BackendTypes;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Int, Tensor, TensorData, TensorPrimitive};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use pipeline_eval::{Pass, SearchError, Searcher, Seen};

use super::{device, opened};
use crate::device::Gpu;
use crate::gpu::present::OnDevice;
use crate::gpu::{DeviceError, Fault};
use kernels::{Found, Relevant, RowsOnCard};

type Cuda = burn_cuda::Cuda;
type Runtime = cubecl::cuda::CudaRuntime;

/// The scores that are on the card at once: 128 MiB.
const MAX_SCORES: usize = 32 << 20;

/// A search on the card of CUDA if this process has opened it; a worker that computes on the processor has not.
///
/// It has at most 320 MiB of numbers on the card: 64 each of queries, images and the best images, and 128 of scores.
/// Each relevant image of a pass adds 12 bytes. The framework takes more, in pages.
///
/// # Errors
/// When the card fails.
pub(crate) fn searcher(gpu: Gpu) -> Result<Option<Box<dyn Searcher>>, DeviceError> {
    let Some(gpu) = opened(gpu) else { return Ok(None) };
    let device = device(gpu);
    let search = OnDevice::<_, Cuda>::new(gpu, device.clone(), || BlockSearch { gpu, device, pass: None })?;
    Ok(Some(Box::new(search)))
}

impl Searcher for OnDevice<BlockSearch, Cuda> {
    fn begin(&mut self, pass: &Pass<'_>) -> Result<(), SearchError> {
        Ok(self.run_mut(|search| search.begin(pass))?)
    }

    fn see(&mut self, images: &[f32], rows: Range<u32>) -> Result<Seen, SearchError> {
        let (seen, gpu) = self.run_mut(|search| (search.see(images, rows), search.gpu))?;
        if seen.n_before.contains(&kernels::DIFFERS) {
            let line = "a score of a search differs from the processor's".to_owned();
            return Err(DeviceError::Failed { gpu, fault: Fault::Other { line } }.into());
        }
        Ok(seen)
    }
}

/// The search of one block of images after the other.
struct BlockSearch {
    gpu: Gpu,
    device: <Cuda as BackendTypes>::Device,
    pass: Option<PassOnCard>,
}

/// The queries of a pass and what they look for.
struct PassOnCard {
    queries: FloatTensor<Cuda>,
    dim: usize,
    n_queries: usize,
    relevant: Relevant<Runtime>,
    n_relevant: usize,
    top_k: usize,
}

impl BlockSearch {
    fn begin(&mut self, pass: &Pass<'_>) {
        // The memory of the last pass serves this one.
        self.pass = None;
        self.pass = Some(PassOnCard {
            queries: self.numbers(pass.queries.to_vec()),
            dim: pass.dim,
            n_queries: pass.n_queries(),
            relevant: Relevant {
                starts: self.rows(pass.starts.clone()),
                rows: self.rows(pass.rows.clone()),
                scores: self.numbers(pass.scores.clone()),
            },
            n_relevant: pass.rows.len(),
            top_k: pass.top_k,
        });
    }

    fn see(&self, images: &[f32], rows: Range<u32>) -> Seen {
        let pass = self.pass.as_ref().expect("BUG: a pass has begun");
        let n_images = rows.len();
        let images = RowsOnCard { values: self.numbers(images.to_vec()), first: 0, n_rows: n_images };
        let found = Found {
            n_before: self.empty(pass.n_relevant, DType::U32),
            top_rows: self.empty(pass.n_queries * pass.top_k, DType::U32),
            top_scores: self.empty(pass.n_queries * pass.top_k, DType::F32),
        };
        let n_at_once = (MAX_SCORES / n_images.max(1)).clamp(1, pass.n_queries.max(1));
        let scores = self.empty(n_at_once * n_images, DType::F32);
        for first in (0..pass.n_queries).step_by(n_at_once) {
            let n_rows = n_at_once.min(pass.n_queries - first);
            let queries = RowsOnCard { values: pass.queries.clone(), first, n_rows };
            kernels::scores(&queries, &images, pass.dim, &scores);
            kernels::look(&scores, &queries, &pass.relevant, &rows, pass.top_k, &found);
        }
        let Found { n_before, top_rows, top_scores } = found;
        Seen {
            n_before: first_of(to_rows(n_before), pass.n_relevant),
            top_rows: first_of(to_rows(top_rows), pass.n_queries * pass.top_k),
            top_scores: first_of(to_numbers(top_scores), pass.n_queries * pass.top_k),
        }
    }

    /// Numbers on the card, at least one.
    fn numbers(&self, mut values: Vec<f32>) -> FloatTensor<Cuda> {
        values.resize(values.len().max(1), 0.0);
        let shape = [values.len()];
        Tensor::<Cuda, 1>::from_data(TensorData::new(values, shape), &self.device).into_primitive().tensor()
    }

    /// Row numbers on the card, at least one.
    fn rows(&self, mut values: Vec<u32>) -> IntTensor<Cuda> {
        values.resize(values.len().max(1), 0);
        let shape = [values.len()];
        Tensor::<Cuda, 1, Int>::from_data(TensorData::new(values, shape), (&self.device, DType::U32)).into_primitive()
    }

    /// Room for so many numbers or rows, at least one.
    fn empty(&self, n: usize, dtype: DType) -> FloatTensor<Cuda> {
        let client = <Runtime as cubecl::Runtime>::client(&self.device);
        empty_device_contiguous_dtype(client, self.device.clone(), [n.max(1)].into(), dtype)
    }
}

fn to_rows(rows: IntTensor<Cuda>) -> Vec<u32> {
    Tensor::<Cuda, 1, Int>::from_primitive(rows).into_data().into_vec().expect("rows are of type u32")
}

fn to_numbers(numbers: FloatTensor<Cuda>) -> Vec<f32> {
    let numbers = Tensor::<Cuda, 1>::from_primitive(TensorPrimitive::Float(numbers));
    numbers.into_data().into_vec().expect("scores are of type f32")
}

fn first_of<T>(mut values: Vec<T>, n: usize) -> Vec<T> {
    values.truncate(n);
    values
}

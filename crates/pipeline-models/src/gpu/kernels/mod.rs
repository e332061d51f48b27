//! Kernels of products and convolutions on GPUs: precision and shapes alone choose them, so that equal work has equal
//! bits.
//!
//! No tuning: a kernel chosen by its speed would differ from run to run, and with it the bits.

mod attention;
mod convolution;
mod fused;
pub(super) mod heads;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Int, Tensor, TensorData};
use burn_cubecl::kernel::cast;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::ir::{ElemType, FloatKind};
use cubek::convolution::components::ConvSetupError;
use cubek::convolution::{
    AcceleratedTileKind, ConvAlgorithm, ConvolutionArgs, ConvolutionInputs, Strategy as ConvolutionStrategy,
    launch_ref as launch_convolution,
};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems, MatmulSetupError};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::std::InputBinding;

use super::backend::arithmetic::{After, Arithmetic, Then, Window, followed_by, plain};
use crate::device::Precision;

impl<R: CubeRuntime, BT: BoolElement> Arithmetic for CubeBackend<R, f32, i32, BT> {
    /// On the framework's own thread of the device: any other waits in a loop for each of its calls to be taken.
    fn in_turn<T: Send + 'static>(device: &Self::Device, work: impl FnOnce() -> T + Send) -> T {
        // A panic of ours goes on here: there it would be one of the device.
        let done = R::client(device).exclusive(|| catch_unwind(AssertUnwindSafe(work)));
        let done = done.unwrap_or_else(|error| panic!("ServerError: the work on the device did not end: {error:?}"));
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn factor(tensor: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        let precision = on_device(&tensor, precision);
        rounded(tensor, precision)
    }

    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        product(lhs, rhs, precision)
    }

    fn convolution(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
        after: After<FloatTensor<Self>>,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let precision = on_device(&maps, precision);
        if precision != Precision::F32 {
            let (lhs, rhs) = (rounded(maps.clone(), precision), rounded(weight.clone(), precision));
            // Odd shapes may not suit them.
            if let Ok(sums) = on_tensor_cores(lhs, rhs, window) {
                return followed_by::<Self>(sums, after);
            }
        }
        convolution::convolution(maps, cast(weight, DType::F32), window, after)
    }

    fn depthwise(maps: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        convolution::depthwise(maps, weight, bias)
    }

    fn numbers_of_levels(levels: TensorData, numbers: FloatTensor<Self>, device: &Self::Device) -> FloatTensor<Self> {
        if !fused::are_known(&numbers) {
            return plain::numbers_of_levels::<Self>(levels, numbers, device);
        }
        // One run of bytes: with other shapes each pixel is a copy of its own.
        let (shape, n_levels) = (levels.shape.clone(), levels.num_elements());
        let levels = TensorData::from_bytes(levels.bytes, [n_levels], DType::U8);
        let levels = Tensor::<Self, 1, Int>::from_data(levels, (device, DType::U8));
        fused::numbers_of_levels(levels.into_primitive(), numbers, shape)
    }

    fn heads<const N: usize>(
        sums: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        [n_tokens, n_heads]: [usize; 2],
        precision: Precision,
    ) -> [FloatTensor<Self>; N] {
        if fused::are_known(&sums) {
            let dtype = factor_type(on_device(&sums, precision));
            attention::heads(sums, bias, [n_tokens, n_heads], dtype)
        } else {
            plain::heads::<Self, N>(sums, bias, [n_tokens, n_heads])
        }
    }

    fn attention_shares(
        scores: FloatTensor<Self>,
        scale: f64,
        lengths: Option<IntTensor<Self>>,
        is_causal: bool,
    ) -> FloatTensor<Self> {
        if fused::are_known(&scores) {
            fused::attention_shares(scores, scale, lengths, is_causal)
        } else {
            plain::attention_shares::<Self>(scores, scale, lengths, is_causal)
        }
    }

    fn biased(
        sums: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        others: Option<FloatTensor<Self>>,
        then: Then,
    ) -> FloatTensor<Self> {
        if fused::are_known(&sums) {
            fused::biased(sums, bias, others, then)
        } else {
            plain::biased::<Self>(sums, bias, others, then)
        }
    }

    fn norm(
        rows: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if fused::are_known(&rows) {
            fused::norm(rows, scale, shift, epsilon)
        } else {
            plain::norm::<Self>(rows, scale, shift, epsilon)
        }
    }

    fn biased_norm(
        sums: [FloatTensor<Self>; 3],
        norm: [FloatTensor<Self>; 2],
        epsilon: f64,
        keeps_totals: bool,
    ) -> (Option<FloatTensor<Self>>, FloatTensor<Self>) {
        if fused::are_known(&sums[0]) {
            attention::biased_norm(sums, norm, epsilon, keeps_totals)
        } else {
            plain::biased_norm::<Self>(sums, norm, epsilon, keeps_totals)
        }
    }
}

fn product<R: CubeRuntime>(lhs: CubeTensor<R>, rhs: CubeTensor<R>, precision: Precision) -> CubeTensor<R> {
    let precision = on_device(&lhs, precision);
    let (lhs, rhs) = (rounded(lhs, precision), rounded(rhs, precision));
    // Contiguous, unlike the framework's own, whose rows may be padded.
    let mut shape = lhs.meta.shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = rhs.meta.shape()[last];
    let output = fused::empty_like(&lhs, shape);
    multiply_rounded(&lhs, &rhs, &output, precision);
    output
}

/// Writes the product of two matrices into a third.
fn multiply<R: CubeRuntime>(lhs: &CubeTensor<R>, rhs: &CubeTensor<R>, output: &CubeTensor<R>, precision: Precision) {
    let precision = on_device(lhs, precision);
    let (lhs, rhs) = (rounded(lhs.clone(), precision), rounded(rhs.clone(), precision));
    multiply_rounded(&lhs, &rhs, output, precision);
}

fn multiply_rounded<R: CubeRuntime>(
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    output: &CubeTensor<R>,
    precision: Precision,
) {
    let mut launched = strategies(precision).into_iter().map(|strategy| launch(&strategy, lhs, rhs, output));
    if launched.any(|launched| launched.is_ok()) {
        return;
    }
    // Its only need is a thread for each number.
    launch(&Strategy::Naive, lhs, rhs, output)
        .unwrap_or_else(|error| panic!("BUG: no kernel multiplies these matrices: {error:?}"));
}

/// The rounding that a device makes use of: without tensor cores for `tf32` and `bf16`, which came together, none.
///
/// The framework names tensor cores of older cards for `bf16`, too, whose compiler refuses them.
fn on_device<R: CubeRuntime>(tensor: &CubeTensor<R>, precision: Precision) -> Precision {
    let tf32 = ElemType::Float(FloatKind::TF32).into();
    let products = &tensor.client.properties().features.matmul.cmma;
    if products.iter().any(|product| product.a_type == tf32) { precision } else { Precision::F32 }
}

/// The kernels for a precision, the best one first; small or odd shapes may not suit the first one.
fn strategies(precision: Precision) -> Vec<Strategy> {
    let unit = Strategy::SimpleUnit(Default::default());
    match precision {
        Precision::F32 => vec![unit],
        // On tensor cores its factors of single precision are taken as `tf32`.
        Precision::Tf32 | Precision::Bf16 => vec![Strategy::SimpleCyclicCmma(Default::default()), unit],
    }
}

/// Convolutions as products of patches that are never written; their sums are in single precision.
fn on_tensor_cores<R: CubeRuntime>(
    maps: CubeTensor<R>,
    weight: CubeTensor<R>,
    window: Window,
) -> Result<CubeTensor<R>, ConvSetupError> {
    let ([n_images, height, width, _], [n_out, kernel, _, _]) = (shape(&maps), shape(&weight));
    let [height_out, width_out] = [height, width].map(|side| side_out(side, kernel, window));
    let output = fused::empty_like(&maps, [n_images, height_out, width_out, n_out].into());
    let types = types(&maps, &weight, &output);
    let strategy = ConvolutionStrategy::Inferred {
        algorithm: ConvAlgorithm::SimpleSyncCyclic,
        tile_kind: AcceleratedTileKind::Cmma,
    };
    let inputs = ConvolutionInputs::Forward {
        input: input(&maps),
        weight: input(&weight),
        bias: None,
        out: output.clone().binding(),
    };
    let arguments = ConvolutionArgs { stride: [window.stride; 2], padding: [window.padding; 2], dilation: [1, 1] };
    launch_convolution(&strategy, &output.client, inputs, arguments, types)?;
    Ok(output)
}

/// The height or width of maps after convolutions with a kernel.
fn side_out(side: usize, kernel: usize, window: Window) -> usize {
    (side + 2 * window.padding - kernel) / window.stride + 1
}

/// The factor as `bf16` where that is asked for.
fn rounded<R: CubeRuntime>(tensor: CubeTensor<R>, precision: Precision) -> CubeTensor<R> {
    cast(tensor, factor_type(precision))
}

fn factor_type(precision: Precision) -> DType {
    if precision == Precision::Bf16 { DType::BF16 } else { DType::F32 }
}

fn launch<R: CubeRuntime>(
    strategy: &Strategy,
    lhs: &CubeTensor<R>,
    rhs: &CubeTensor<R>,
    output: &CubeTensor<R>,
) -> Result<(), MatmulSetupError> {
    let mut types = types(lhs, rhs, output);
    launch_ref(strategy, &output.client, input(lhs), input(rhs), output.clone().binding(), &mut types)
}

fn types<R: CubeRuntime>(lhs: &CubeTensor<R>, rhs: &CubeTensor<R>, output: &CubeTensor<R>) -> MatmulElems {
    let (lhs, rhs, out) = (lhs.dtype.into(), rhs.dtype.into(), output.dtype.into());
    MatmulElems::from_globals(&MatmulGlobalElems { lhs, rhs, out })
}

fn input<R: CubeRuntime>(tensor: &CubeTensor<R>) -> InputBinding<R> {
    InputBinding::new(tensor.clone().binding(), tensor.dtype.into())
}

fn shape<R: CubeRuntime>(tensor: &CubeTensor<R>) -> [usize; 4] {
    std::array::from_fn(|axis| tensor.meta.shape()[axis])
}

#[cfg(test)]
pub(super) mod tests;

//! The arithmetic whose kernels are chosen here and not by the framework: products, at the precision that is asked for.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, binary};
use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Bool, Int, Tensor, TensorData, TensorPrimitive, activation};

use crate::device::Precision;
use crate::tower::Activation;

/// A backend whose products say which rounding they take.
///
/// The framework's own products choose by themselves: on tensor cores they round factors of `f32` to `tf32`.
pub(crate) trait Arithmetic: Backend {
    /// Puts work on a device, all of it before that of another thread.
    ///
    /// # Panics
    /// When the work panics.
    fn in_turn<T: Send + 'static>(_: &Self::Device, work: impl FnOnce() -> T + Send) -> T {
        work()
    }

    /// A factor of many products in the form in which they take it.
    fn factor(tensor: FloatTensor<Self>, _: Precision) -> FloatTensor<Self> {
        tensor
    }

    /// The products of the matrices in the last two axes; the others are equal, or absent.
    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self>;

    /// Convolutions over maps with their channels last, and what follows them.
    ///
    /// # Shapes
    /// `maps`: `[n, height, width, n_in]` · `weight`: `[n_out, kernel, kernel, n_in]` · `after`: `[n_out]`, and the
    /// shape that is returned, `[n, height, width, n_out]`
    fn convolution(
        maps: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        window: Window,
        after: After<FloatTensor<Self>>,
        precision: Precision,
    ) -> FloatTensor<Self>;

    /// Convolutions of every channel by itself, with a bias, in single precision; the maps keep their size.
    ///
    /// # Shapes
    /// `maps`, returned: `[n, height, width, n_channels]` · `weight`: `[kernel, kernel, n_channels]` · `bias`:
    /// `[n_channels]`
    fn depthwise(maps: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The numbers of the levels of pixels: for each channel those of its 256 levels.
    ///
    /// # Shapes
    /// `levels`: `[n, height, width, 3]`, bytes · `numbers`: `[3 · 256]` · returns the shape of `levels`
    fn numbers_of_levels(levels: TensorData, numbers: FloatTensor<Self>, device: &Self::Device) -> FloatTensor<Self> {
        plain::numbers_of_levels::<Self>(levels, numbers, device)
    }
    /// `N` equal parts of the columns of sums, with their bias, as the heads of attention: factors of products.
    ///
    /// # Shapes
    /// `sums`: `[n_rows · n_tokens, N · width]` · `bias`: `[N · width]` · returns `[n_rows, n_heads, n_tokens, width /
    /// n_heads]` each
    fn heads<const N: usize>(
        sums: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        [n_tokens, n_heads]: [usize; 2],
        _: Precision,
    ) -> [FloatTensor<Self>; N] {
        plain::heads::<Self, N>(sums, bias, [n_tokens, n_heads])
    }
    /// The softmax of scaled scores over the last axis, of which each row of `lengths` has so many; causal ones leave
    /// out the tokens after the asking one.
    ///
    /// # Shapes
    /// `scores`, returned: `[n_rows, n_heads, n_asking, n_tokens]` · `lengths`: `[n_rows]`
    fn attention_shares(
        scores: FloatTensor<Self>,
        scale: f64,
        lengths: Option<IntTensor<Self>>,
        is_causal: bool,
    ) -> FloatTensor<Self> {
        plain::attention_shares::<Self>(scores, scale, lengths, is_causal)
    }
    /// Sums with a bias over the last axis, `others` added if there are any, and a function of them.
    ///
    /// # Shapes
    /// `sums`, `others`, returned: `[n_rows, width]` · `bias`: `[width]`
    fn biased(
        sums: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        others: Option<FloatTensor<Self>>,
        then: Then,
    ) -> FloatTensor<Self> {
        plain::biased::<Self>(sums, bias, others, then)
    }
    /// The layer norm of each row.
    ///
    /// # Shapes
    /// `rows`, returned: `[n_rows, width]` · `scale`, `shift`: `[width]`
    fn norm(
        rows: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        plain::norm::<Self>(rows, scale, shift, epsilon)
    }
    /// Sums with a bias over the last axis and others, where they are kept, and their layer norm.
    ///
    /// # Shapes
    /// of the sums: `[n_rows, width]`, `[width]`, `[n_rows, width]` · of the norm's scale and shift: `[width]` ·
    /// returns `[n_rows, width]` each
    fn biased_norm(
        sums: [FloatTensor<Self>; 3],
        norm: [FloatTensor<Self>; 2],
        epsilon: f64,
        keeps_totals: bool,
    ) -> (Option<FloatTensor<Self>>, FloatTensor<Self>) {
        plain::biased_norm::<Self>(sums, norm, epsilon, keeps_totals)
    }
}

/// The same by the framework's operations, for backends without kernels of our own.
pub(crate) mod plain {
    use super::*;

    pub(crate) fn numbers_of_levels<B: Backend>(
        levels: TensorData,
        numbers: FloatTensor<B>,
        device: &B::Device,
    ) -> FloatTensor<B> {
        let shape: [usize; 4] = std::array::from_fn(|axis| levels.shape[axis]);
        let levels = levels.into_vec::<u8>().expect("levels are bytes");
        let places = levels.iter().enumerate().map(|(idx, level)| (idx % 3 * 256) as i32 + i32::from(*level));
        let places = Tensor::from_data(TensorData::new(places.collect::<Vec<_>>(), [levels.len()]), device);
        primitive(of_primitive::<B, 1>(numbers).select(0, places).reshape(shape))
    }

    pub(crate) fn heads<B: Backend, const N: usize>(
        sums: FloatTensor<B>,
        bias: FloatTensor<B>,
        [n_tokens, n_heads]: [usize; 2],
    ) -> [FloatTensor<B>; N] {
        let sums = of_primitive::<B, 2>(biased::<B>(sums, bias, None, Then::Nothing));
        let [n_lines, n_columns] = sums.dims();
        let width = n_columns / N;
        std::array::from_fn(|part_idx| {
            let part = sums.clone().slice([0..n_lines, part_idx * width..(part_idx + 1) * width]);
            primitive(part.reshape([n_lines / n_tokens, n_tokens, n_heads, width / n_heads]).swap_dims(1, 2))
        })
    }

    pub(crate) fn attention_shares<B: Backend>(
        scores: FloatTensor<B>,
        scale: f64,
        lengths: Option<IntTensor<B>>,
        is_causal: bool,
    ) -> FloatTensor<B> {
        let mut scores = of_primitive::<B, 4>(scores) * scale;
        let (device, [n_rows, _, n_asking, n_tokens]) = (scores.device(), scores.dims());
        if is_causal {
            let is_later = Tensor::<B, 2, Bool>::tril_mask([n_asking, n_tokens], 0, &device);
            scores = scores.clone().mask_fill(is_later.unsqueeze::<4>().expand(scores.dims()), f32::NEG_INFINITY);
        }
        if let Some(lengths) = lengths {
            let tokens = Tensor::<B, 1, Int>::arange(0..n_tokens as i64, &device).reshape([1, 1, 1, n_tokens]);
            let lengths = Tensor::<B, 1, Int>::from_primitive(lengths).reshape([n_rows, 1, 1, 1]);
            let shape = [n_rows, 1, 1, n_tokens];
            let is_padding = tokens.expand(shape).greater_equal(lengths.expand(shape));
            scores = scores.clone().mask_fill(is_padding.expand(scores.dims()), f32::NEG_INFINITY);
        }
        primitive(activation::softmax(scores, 3))
    }

    pub(crate) fn biased<B: Backend>(
        sums: FloatTensor<B>,
        bias: FloatTensor<B>,
        others: Option<FloatTensor<B>>,
        then: Then,
    ) -> FloatTensor<B> {
        let mut sums = of_primitive::<B, 2>(sums) + of_primitive::<B, 1>(bias).unsqueeze();
        if let Some(others) = others {
            sums = sums + of_primitive(others);
        }
        primitive(match then {
            Then::Nothing => sums,
            Then::Relu => activation::relu(sums),
            Then::Gelu => activation::gelu(sums),
            Then::GeluTanh => activation::gelu_approximate(sums),
            Then::QuickGelu => sums.clone() * activation::sigmoid(sums * 1.702),
        })
    }

    pub(crate) fn norm<B: Backend>(
        rows: FloatTensor<B>,
        scale: FloatTensor<B>,
        shift: FloatTensor<B>,
        epsilon: f64,
    ) -> FloatTensor<B> {
        B::layer_norm(rows, scale, Some(shift), epsilon)
    }

    pub(crate) fn biased_norm<B: Arithmetic>(
        [sums, bias, others]: [FloatTensor<B>; 3],
        [scale, shift]: [FloatTensor<B>; 2],
        epsilon: f64,
        keeps_totals: bool,
    ) -> (Option<FloatTensor<B>>, FloatTensor<B>) {
        let totals = B::biased(sums, bias, Some(others), Then::Nothing);
        (keeps_totals.then(|| totals.clone()), B::norm(totals, scale, shift, epsilon))
    }
}

/// The function after a sum with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Then {
    /// The sum itself.
    Nothing,
    /// The larger of it and 0.
    Relu,
    /// The exact GELU.
    Gelu,
    /// GELU by the hyperbolic tangent.
    GeluTanh,
    /// `x · sigmoid(1.702 · x)`
    QuickGelu,
}

impl From<Activation> for Then {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Gelu => Self::Gelu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::QuickGelu => Self::QuickGelu,
            Activation::Relu => Self::Relu,
        }
    }
}

/// The steps of a convolution over maps, and the places of zeros around them, in height and width alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// The distance of neighbouring patches.
    pub(crate) stride: usize,
    /// The zeros before and after a line or column.
    pub(crate) padding: usize,
}

/// What follows sums: their bias over the last axis, others that are added, and a function.
#[derive(Debug)]
pub(crate) struct After<T> {
    /// The bias.
    pub(crate) bias: T,
    /// What is added, of the shape of the sums.
    pub(crate) others: Option<T>,
    /// The function.
    pub(crate) then: Then,
}

/// Maps and what follows them, place by place.
pub(crate) fn followed_by<B: Arithmetic>(sums: FloatTensor<B>, after: After<FloatTensor<B>>) -> FloatTensor<B> {
    let sums = of_primitive::<B, 4>(sums);
    let shape = sums.dims();
    let places = |maps: Tensor<B, 4>| primitive(maps.reshape([shape[0] * shape[1] * shape[2], shape[3]]));
    let others = after.others.map(|others| places(of_primitive(others)));
    let biased = B::biased(places(sums), after.bias, others, after.then);
    primitive(of_primitive::<B, 2>(biased).reshape(shape))
}

/// A device, and the rounding of products on it.
#[derive(Debug)]
pub(crate) struct Site<B: Backend> {
    /// The device.
    pub(crate) device: B::Device,
    /// The rounding that products may take.
    pub(crate) precision: Precision,
}

impl<B: Backend> Clone for Site<B> {
    fn clone(&self) -> Self {
        Self { device: self.device.clone(), precision: self.precision }
    }
}

/// The products of the matrices in the last two axes; the others are equal, or absent.
pub(super) fn product<B: Arithmetic, const D: usize>(
    lhs: Tensor<B, D>,
    rhs: Tensor<B, D>,
    precision: Precision,
) -> Tensor<B, D> {
    of_primitive(B::product(primitive(lhs), primitive(rhs), precision))
}

/// Sums with a bias, others and a function of them, as [`Arithmetic::biased`].
pub(super) fn biased<B: Arithmetic>(
    sums: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    others: Option<Tensor<B, 2>>,
    then: Then,
) -> Tensor<B, 2> {
    of_primitive(B::biased(primitive(sums), primitive(bias), others.map(primitive), then))
}

pub(crate) fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

pub(crate) fn of_primitive<B: Backend, const D: usize>(tensor: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

impl<B: Arithmetic, C: CheckpointStrategy> Arithmetic for Autodiff<B, C> {
    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Product;

        impl<B: Arithmetic> Backward<B, 2> for Product {
            type State = (Option<NodeId>, Option<NodeId>, Precision);

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let (lhs, rhs, precision) = ops.state;
                let lhs = lhs.map(|lhs| checkpointer.retrieve_node_output(lhs));
                let rhs = rhs.map(|rhs| checkpointer.retrieve_node_output(rhs));
                binary::<B, _, _>(
                    ops.parents,
                    ops.node,
                    gradients,
                    |gradient| {
                        let rhs = rhs.expect("the other factor of a tracked one is kept");
                        B::product(gradient, B::float_transpose(rhs), precision)
                    },
                    |gradient| {
                        let lhs = lhs.expect("the other factor of a tracked one is kept");
                        B::product(B::float_transpose(lhs), gradient, precision)
                    },
                );
            }
        }

        let (is_lhs_tracked, is_rhs_tracked) = (lhs.is_tracked(), rhs.is_tracked());
        let nodes = [lhs.node.clone(), rhs.node.clone()];
        match Product.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let kept_lhs = is_rhs_tracked.then(|| prepared.checkpoint(&lhs));
                let kept_rhs = is_lhs_tracked.then(|| prepared.checkpoint(&rhs));
                let output = B::product(lhs.primitive, rhs.primitive, precision);
                prepared.finish((kept_lhs, kept_rhs, precision), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::product(lhs.primitive, rhs.primitive, precision)),
        }
    }

    fn convolution(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Window,
        _: After<FloatTensor<Self>>,
        _: Precision,
    ) -> FloatTensor<Self> {
        panic!("BUG: no training goes through a convolution")
    }

    fn depthwise(_: FloatTensor<Self>, _: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("BUG: no training goes through a convolution")
    }
}

#[cfg(test)]
pub(crate) mod on_processor {
    //! The same by burn's operations, on its backend for processors, which rounds no factor.

    use burn::tensor::module::conv2d;
    use burn::tensor::ops::{ConvOptions, FloatTensorOps as _};
    use burn_flex::Flex;

    use super::*;

    impl Site<Flex> {
        /// The processor, in single precision.
        pub(crate) fn on_processor() -> Self {
            Self { device: Default::default(), precision: Precision::F32 }
        }
    }

    impl Arithmetic for Flex {
        fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, _: Precision) -> FloatTensor<Self> {
            Self::float_matmul(lhs, rhs)
        }

        fn convolution(
            maps: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            window: Window,
            after: After<FloatTensor<Self>>,
            _: Precision,
        ) -> FloatTensor<Self> {
            let options = ConvOptions::new([window.stride; 2], [window.padding; 2], [1, 1], 1);
            let channels_first = |maps| of_primitive::<Self, 4>(maps).permute([0, 3, 1, 2]);
            let (maps, weight) = (channels_first(maps), channels_first(weight));
            let sums = primitive(conv2d(maps, weight, None, options).permute([0, 2, 3, 1]));
            followed_by::<Self>(sums, after)
        }

        fn depthwise(maps: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            let (maps, weight) = (of_primitive::<Self, 4>(maps), of_primitive::<Self, 3>(weight));
            let [kernel, _, n_channels] = weight.dims();
            let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], n_channels);
            let weight = weight.permute([2, 0, 1]).unsqueeze_dim(1);
            let bias = Some(of_primitive(bias));
            primitive(conv2d(maps.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1]))
        }
    }
}

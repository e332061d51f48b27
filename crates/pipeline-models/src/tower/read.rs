//! Reads towers from checkpoints, given the names that a library has for their tensors.

use super::{DenseWeights, HeadStep, ImagePool, ImageTower, LayerShape, LayerWeights, NormWeights, PatchPositions};
use crate::weights::Checklist;

/// The names of the tensors of a layer, after what all names of the layer begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerNames {
    /// Precedes the layer's number.
    pub(crate) start: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) projections: Projections,
    pub(crate) attention_output: &'static str,
    pub(crate) output_norm: &'static str,
    pub(crate) intermediate: &'static str,
    pub(crate) output: &'static str,
    /// Factors of the attention's and of the feed-forward part's output, where a family has them.
    pub(crate) scales: Option<[&'static str; 2]>,
}

/// The names of the maps of queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Projections {
    /// Three maps.
    Apart([&'static str; 3]),
    /// One matrix and one bias that hold all three in this order.
    Fused {
        /// `[3 · width, width]`
        weight: &'static str,
        /// `[3 · width]`
        bias: &'static str,
    },
}

/// The sizes of a tower's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerSizes {
    pub(crate) n_layers: usize,
    /// Width inside the feed-forward part.
    pub(crate) inner: usize,
    /// Whether queries, keys and values have biases.
    pub(crate) has_projection_bias: bool,
}

/// The layers of a tower whose names begin with `prefix`.
pub(crate) fn layers(
    list: &mut Checklist,
    prefix: &str,
    names: &LayerNames,
    shape: &LayerShape,
    sizes: &LayerSizes,
) -> Vec<LayerWeights> {
    (0..sizes.n_layers)
        .map(|layer_idx| layer(list, &format!("{prefix}{}{layer_idx}.", names.start), names, shape.width, sizes))
        .collect()
}

fn layer(list: &mut Checklist, start: &str, names: &LayerNames, width: usize, sizes: &LayerSizes) -> LayerWeights {
    let name = |part: &str| format!("{start}{part}");
    let [query, key, value] = projections(list, start, &names.projections, width, sizes.has_projection_bias);
    let mut layer = LayerWeights {
        query,
        key,
        value,
        attention_output: dense(list, &name(names.attention_output), width, width),
        attention_norm: norm(list, &name(names.attention_norm), width),
        intermediate: dense(list, &name(names.intermediate), width, sizes.inner),
        output: dense(list, &name(names.output), sizes.inner, width),
        output_norm: norm(list, &name(names.output_norm), width),
    };
    if let Some([attention, output]) = names.scales {
        scale_outputs(&mut layer.attention_output, &list.take(&name(attention), &[width]));
        scale_outputs(&mut layer.output, &list.take(&name(output), &[width]));
    }
    layer
}

/// The maps of queries, keys and values.
pub(crate) fn projections(
    list: &mut Checklist,
    start: &str,
    names: &Projections,
    width: usize,
    has_bias: bool,
) -> [DenseWeights; 3] {
    match names {
        Projections::Apart(names) => names.map(|name| match has_bias {
            true => dense(list, &format!("{start}{name}"), width, width),
            false => without_bias(list.take(&format!("{start}{name}.weight"), &[width, width]), width, width),
        }),
        Projections::Fused { weight, bias } => {
            let weight = list.take(&format!("{start}{weight}"), &[3 * width, width]);
            let bias = has_bias.then(|| list.take(&format!("{start}{bias}"), &[3 * width]));
            let part = |numbers: &[f32], part_idx: usize| {
                let len = numbers.len() / 3;
                numbers[part_idx * len..][..len].to_vec()
            };
            [0, 1, 2].map(|part_idx| DenseWeights {
                n_in: width,
                n_out: width,
                weight: part(&weight, part_idx),
                bias: bias.as_ref().map_or(vec![0.0; width], |bias| part(bias, part_idx)),
            })
        }
    }
}

/// A map `NAME.weight` with its `NAME.bias`.
pub(crate) fn dense(list: &mut Checklist, name: &str, n_in: usize, n_out: usize) -> DenseWeights {
    let weight = list.take(&format!("{name}.weight"), &[n_out, n_in]);
    DenseWeights { n_in, n_out, weight, bias: list.take(&format!("{name}.bias"), &[n_out]) }
}

/// A map without a bias.
///
/// # Shapes
/// `weight`: `[n_out, n_in]`
pub(crate) fn without_bias(weight: Vec<f32>, n_in: usize, n_out: usize) -> DenseWeights {
    DenseWeights { n_in, n_out, weight, bias: vec![0.0; n_out] }
}

/// A map without a bias whose matrix is stored as `[n_in, n_out]`, as OpenAI's projections are.
pub(crate) fn transposed(list: &mut Checklist, name: &str, n_in: usize, n_out: usize) -> DenseWeights {
    let stored = list.take(name, &[n_in, n_out]);
    // A tensor that is wrong is empty.
    let weight = match stored.is_empty() {
        true => stored,
        false => (0..n_out).flat_map(|out| stored[out..].iter().step_by(n_out).copied()).collect(),
    };
    without_bias(weight, n_in, n_out)
}

/// A norm `NAME.weight`, `NAME.bias`.
pub(crate) fn norm(list: &mut Checklist, name: &str, width: usize) -> NormWeights {
    let scale = list.take(&format!("{name}.weight"), &[width]);
    NormWeights { scale, shift: list.take(&format!("{name}.bias"), &[width]) }
}

/// A convolution whose stride is its kernel, as a map of patches: line by line, place by place, channel by channel, as
/// pixels are stored.
///
/// # Shapes
/// stored: `[n_out, n_in, side, side]`
pub(crate) fn patches(
    list: &mut Checklist,
    name: &str,
    [n_in, n_out]: [usize; 2],
    side: usize,
    has_bias: bool,
) -> DenseWeights {
    let stored = list.take(&format!("{name}.weight"), &[n_out, n_in, side, side]);
    let n_places = side * side;
    let of_map = |map: &[f32]| {
        let mut moved = vec![0.0; map.len()];
        for (channel, values) in map.chunks_exact(n_places).enumerate() {
            moved[channel..].iter_mut().step_by(n_in).zip(values).for_each(|(out, value)| *out = *value);
        }
        moved
    };
    let weight = stored.chunks_exact(n_in * n_places).flat_map(of_map).collect();
    let bias = has_bias.then(|| list.take(&format!("{name}.bias"), &[n_out]));
    DenseWeights { n_in: n_in * n_places, n_out, weight, bias: bias.unwrap_or_else(|| vec![0.0; n_out]) }
}

/// Multiplies each output of a map by its factor.
pub(crate) fn scale_outputs(dense: &mut DenseWeights, factors: &[f32]) {
    let rows = dense.weight.chunks_exact_mut(dense.n_in.max(1));
    for ((row, bias), factor) in rows.zip(&mut dense.bias).zip(factors) {
        row.iter_mut().for_each(|weight| *weight *= factor);
        *bias *= factor;
    }
}

/// The names of the tensors of an image tower but for its pooling and head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageNames {
    /// Precedes all names.
    pub(crate) prefix: &'static str,
    pub(crate) patches: &'static str,
    pub(crate) has_patch_bias: bool,
    /// The class token, where there is one.
    pub(crate) class: Option<&'static str>,
    pub(crate) positions: &'static str,
    /// Whether class token and positions have an axis of length 1 before the others.
    pub(crate) has_first_axis: bool,
    pub(crate) first_norm: Option<&'static str>,
    pub(crate) layers: LayerNames,
    /// Of the last layer's vectors; `None` where a family has it in its head.
    pub(crate) final_norm: Option<&'static str>,
}

/// The sizes of an image tower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageSizes {
    pub(crate) layers: LayerSizes,
    /// Pixels of the side of the model's own images.
    pub(crate) image: usize,
    /// Pixels of a patch's side.
    pub(crate) patch: usize,
}

/// An image tower, with the pooling and the head that the family has read.
pub(crate) fn image_tower(
    list: &mut Checklist,
    names: &ImageNames,
    shape: LayerShape,
    sizes: &ImageSizes,
    (pool, head): (ImagePool, Vec<HeadStep>),
) -> ImageTower {
    let (width, patch, side) = (shape.width, sizes.patch, sizes.image / sizes.patch);
    let name = |part: &str| format!("{}{part}", names.prefix);
    let with_first_axis = |mut axes: Vec<usize>| {
        if names.has_first_axis {
            axes.insert(0, 1);
        }
        axes
    };
    let patches = patches(list, &name(names.patches), [3, width], patch, names.has_patch_bias);
    let class_axes = match names.has_first_axis {
        true => vec![1, 1, width],
        false => vec![width],
    };
    let prefix = names.class.map_or(Vec::new(), |class| list.take(&name(class), &class_axes));
    let n_prefix = usize::from(names.class.is_some());
    let positions = list.take(&name(names.positions), &with_first_axis(vec![n_prefix + side * side, width]));
    ImageTower {
        shape,
        patch,
        patches,
        prefix,
        positions: PatchPositions { n_prefix, side, values: positions },
        first_norm: names.first_norm.map(|part| norm(list, &name(part), width)),
        layers: layers(list, names.prefix, &names.layers, &shape, &sizes.layers),
        final_norm: names.final_norm.map(|part| norm(list, &name(part), width)),
        pool,
        head,
    }
}

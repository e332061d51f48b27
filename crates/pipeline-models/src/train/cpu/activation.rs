//! Activations of a batch and their slopes.

use pipeline_kernels::{
    InstructionSet, gelu, gelu_slope, gelu_tanh, gelu_tanh_slope, quick_gelu, quick_gelu_slope, relu, relu_slope,
};

use crate::tower::Activation;

/// `values = activation(sums)`
pub(super) fn activate(activation: Activation, values: &mut [f32], sums: &[f32], instructions: InstructionSet) {
    match activation {
        Activation::Gelu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |_, sum| gelu(sum),
        ),
        Activation::GeluTanh => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |_, sum| gelu_tanh(sum),
        ),
        Activation::QuickGelu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |_, sum| quick_gelu(sum),
        ),
        Activation::Relu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |_, sum| relu(sum),
        ),
    }
}

/// `values = values · slope of the activation(sums)`
pub(super) fn multiply_slopes(activation: Activation, values: &mut [f32], sums: &[f32], instructions: InstructionSet) {
    match activation {
        Activation::Gelu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |value, sum| value * gelu_slope(sum),
        ),
        Activation::GeluTanh => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |value, sum| value * gelu_tanh_slope(sum),
        ),
        Activation::QuickGelu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |value, sum| value * quick_gelu_slope(sum),
        ),
        Activation::Relu => map(
            values,
            sums,
            instructions,
            #[inline(always)]
            |value, sum| value * relu_slope(sum),
        ),
    }
}

#[inline(always)]
fn map(values: &mut [f32], sums: &[f32], instructions: InstructionSet, new: impl Fn(f32, f32) -> f32) {
    instructions.run(
        #[inline(always)]
        || {
            // A loop, since a closure of an iterator would not be compiled for the instructions.
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = new(*value, *sum);
            }
        },
    );
}

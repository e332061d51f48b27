//! Affine maps with their weights laid out.

use pipeline_kernels::{Affine, After, InstructionSet, PackedMatrix, Rows, gelu, gelu_tanh, quick_gelu, relu};

use crate::tower::{Activation, DenseWeights};

/// `y = x·W + b`
pub(crate) struct Dense {
    weight: PackedMatrix,
    bias: Vec<f32>,
    /// As many ones as there are outputs.
    ones: Vec<f32>,
    n_in: usize,
}

impl Dense {
    /// A single map.
    pub(crate) fn new(weights: DenseWeights, instructions: InstructionSet) -> Self {
        Self::side_by_side(&[weights], instructions)
    }

    /// Maps of one input side by side.
    pub(crate) fn side_by_side(parts: &[DenseWeights], instructions: InstructionSet) -> Self {
        let (n_in, n_out) = (parts[0].n_in, parts[0].n_out);
        let mut weight = PackedMatrix::new(instructions);
        weight.pack(n_in, parts.len() * n_out, |k, col| parts[col / n_out].weight[col % n_out * n_in + k]);
        let bias: Vec<f32> = parts.iter().flat_map(|part| &part.bias).copied().collect();
        Self { weight, ones: vec![1.0; bias.len()], bias, n_in }
    }

    /// The numbers that it reads.
    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    /// The numbers that it gives.
    pub(crate) fn n_out(&self) -> usize {
        self.bias.len()
    }

    /// Maps rows.
    ///
    /// # Shapes
    /// `rows`: `[n, n_in]` · `out`: `[n, n_out]`
    pub(crate) fn forward(&self, rows: &[f32], out: &mut [f32]) {
        self.map(rows, out, |value| value);
    }

    /// Maps rows and applies an activation to every number.
    pub(crate) fn forward_and(&self, rows: &[f32], out: &mut [f32], activation: Activation) {
        match activation {
            Activation::Gelu => self.map(rows, out, gelu),
            Activation::GeluTanh => self.map(rows, out, gelu_tanh),
            Activation::QuickGelu => self.map(rows, out, quick_gelu),
            Activation::Relu => self.map(rows, out, relu),
        }
    }

    /// Adds the mapped rows to `out`.
    pub(crate) fn add_to(&self, rows: &[f32], out: &mut [f32]) {
        let affine = Affine { scale: &self.ones, bias: Some(&self.bias), relu: false };
        self.weight.multiply_and(self.rows(rows), out, After { affine: Some(affine), adds: true });
    }

    fn map(&self, rows: &[f32], out: &mut [f32], activation: impl Fn(f32) -> f32 + Copy) {
        self.weight.multiply(
            self.rows(rows),
            out,
            self.n_out(),
            #[inline(always)]
            |out: &mut [f32], first_col: usize| {
                let bias = &self.bias[first_col..][..out.len()];
                out.iter_mut().zip(bias).for_each(|(out, bias)| *out = activation(*out + bias));
            },
        );
    }

    fn rows<'a>(&self, rows: &'a [f32]) -> Rows<'a> {
        Rows { values: rows, stride: self.n_in, n_rows: rows.len() / self.n_in }
    }
}

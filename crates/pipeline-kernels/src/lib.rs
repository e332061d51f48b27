//! Arithmetic on plain slices: the hot loops of encoders, heads, rankings and decoders, for every processor.
//!
//! One program serves every processor: [`InstructionSet`] is chosen at run time. All unsafe code of arithmetic is in
//! this crate. Knows no file, no model and no image format.
//!
//! ```
//! use pipeline_kernels::{InstructionSet, PackedMatrix, Rows};
//!
//! let mut identity = PackedMatrix::new(InstructionSet::best());
//! identity.pack(2, 2, |depth, col| if depth == col { 1.0 } else { 0.0 });
//! let mut out = [0.0; 2];
//! identity.multiply(Rows { values: &[3.0, 4.0], stride: 2, n_rows: 1 }, &mut out, 2, |_, _| ());
//! assert_eq!(out, [3.0, 4.0]);
//! ```

mod activation;
mod buffer;
pub mod convolution;
mod depthwise;
mod exponential;
mod half;
mod instructions;
pub mod jpeg;
mod lengths;
mod matrix;
mod norm;
mod packed;
mod pages;
mod row_reader;
mod softmax;
mod threads;
mod token_reader;
mod tokens;

pub use activation::{gelu, gelu_slope, gelu_tanh, gelu_tanh_slope, quick_gelu, quick_gelu_slope, relu, relu_slope};
pub use buffer::{Buffer, Buffers};
pub use depthwise::Depthwise;
pub use exponential::exp;
pub use half::{f32_to_half, half_to_f32};
pub use instructions::{Affine, InstructionSet};
pub use lengths::{length, normalize_rows};
pub use matrix::Matrix;
pub use norm::Norm;
pub use packed::{After, BLOCK_DEPTH, PackedMatrix, Rows};
pub use row_reader::{BLOCK_BYTES, RowReader, SelectedRows, consecutive_rows, each_block, read_rows};
pub use softmax::{SOFTMAX_RUN, softmax};
pub use threads::{map_batches, on_threads};
pub use token_reader::TokenReader;
pub use tokens::{TokenMatrix, TokenNumbers};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
extern crate self as pipeline_kernels;

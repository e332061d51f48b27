//! `pooling: tokens`: the vectors of all tokens of a row instead of one; and the precision of encoders.

use pipeline_core::StageError;
use pipeline_kernels::TokenMatrix;
use pipeline_models::Precision;
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::span_of;

/// The value of `pooling` that pools nothing.
pub(crate) const POOLING: &str = "tokens";

/// The param and the property of a feature space with the precision; the property is absent where it is single.
pub(crate) const PRECISION: &str = "precision";

/// The param of a text encoder's stage that leaves its last layers out.
pub(crate) const LAYERS: &str = "layers";

/// The precision of an encoder: the rounding that its products may take, or that of stored token vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionParam {
    /// Single precision, on every device.
    #[default]
    F32,
    /// Products may round their factors to 11 bits, as tensor cores of GPUs do for speed; processors round none.
    Tf32,
    /// Products may round their factors to 8 bits: bfloat16.
    Bf16,
    /// With `pooling: tokens`: stored vectors in half precision, each number rounded to the nearest; products as for
    /// `f32`.
    F16,
}

impl PrecisionParam {
    /// The type of the numbers in files.
    pub(crate) const fn dtype(self) -> &'static str {
        match self {
            Self::F32 | Self::Tf32 | Self::Bf16 => "f32",
            Self::F16 => "f16",
        }
    }

    /// The bytes of a number.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::Tf32 | Self::Bf16 => 4,
            Self::F16 => 2,
        }
    }

    /// The rounding that products may take.
    pub(crate) const fn of_products(self) -> Precision {
        match self {
            Self::F32 | Self::F16 => Precision::F32,
            Self::Tf32 => Precision::Tf32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// Its property of a feature space.
    pub(crate) fn property(self) -> Option<(&'static str, String)> {
        let name = if self == Self::F16 { self.dtype() } else { self.of_products().name() };
        (self != Self::F32).then(|| (PRECISION, name.to_owned()))
    }

    /// Whether it stays out of manifests.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(crate) fn is_single(&self) -> bool {
        *self == Self::F32
    }

    /// Refuses half precision of vectors that a pooling has made one.
    ///
    /// # Errors
    /// At the place of the param.
    pub(crate) fn check(self, params: &Node) -> Result<(), SpecError> {
        if self != Self::F16 || is_unpooled(params) {
            return Ok(());
        }
        let message = "`precision: f16` needs `pooling: tokens`; pooled vectors are always stored in single precision";
        Err(SpecError::at(span_of(params, PRECISION), message))
    }

    /// Token vectors in this precision.
    ///
    /// # Errors
    /// When a number is too large for it.
    pub(crate) fn of(self, tokens: TokenMatrix) -> Result<TokenMatrix, StageError> {
        match self {
            Self::F32 | Self::Tf32 | Self::Bf16 => Ok(tokens),
            Self::F16 => tokens.in_halves().map_err(|row_idx| {
                let message = format!(
                    "the tokens of row {row_idx} of a shard have a number beyond 65504, which half precision does not \
                    reach"
                );
                StageError::new(message).with_help("`precision: f32` takes all numbers")
            }),
        }
    }
}

/// Whether the params of an encoder's stage ask for the vectors of all tokens.
pub(crate) fn is_unpooled(params: &Node) -> bool {
    params.get("pooling").and_then(Node::as_str) == Some(POOLING) || params.get(LAYERS).is_some()
}

//! `pooling: tokens`: the vectors of all tokens of a row instead of one, and their precision.

use pipeline_core::StageError;
use pipeline_kernels::TokenMatrix;
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::span_of;

/// The value of `pooling` that pools nothing.
pub(crate) const POOLING: &str = "tokens";

/// The property of a feature space with the precision; absent where it is single.
pub(crate) const PRECISION: &str = "precision";

/// The param of a text encoder's stage that leaves its last layers out.
pub(crate) const LAYERS: &str = "layers";

/// The precision of stored token vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision: half of the space, each number rounded to the nearest.
    F16,
}

impl Precision {
    /// The type of the numbers in files.
    pub(crate) const fn dtype(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// The bytes of a number.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Its property of a feature space.
    pub(crate) fn property(self) -> Option<(&'static str, String)> {
        (self != Self::F32).then(|| (PRECISION, self.dtype().to_owned()))
    }

    /// Whether it stays out of manifests.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(crate) fn is_single(&self) -> bool {
        *self == Self::F32
    }

    /// Refuses a precision of vectors that a pooling has made one.
    ///
    /// # Errors
    /// At the place of the param.
    pub(crate) fn check(params: &Node) -> Result<(), SpecError> {
        if params.get(PRECISION).is_none() || is_unpooled(params) {
            return Ok(());
        }
        let message = "`precision` needs `pooling: tokens`; pooled vectors are always in single precision";
        Err(SpecError::at(span_of(params, PRECISION), message))
    }

    /// Token vectors in this precision.
    ///
    /// # Errors
    /// When a number is too large for it.
    pub(crate) fn of(self, tokens: TokenMatrix) -> Result<TokenMatrix, StageError> {
        match self {
            Self::F32 => Ok(tokens),
            Self::F16 => tokens.in_halves().map_err(|row_idx| {
                let message = format!(
                    "the tokens of row {row_idx} of a shard have a number beyond 65504, which half precision does not reach"
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

//! The widths of both sides' features, which must be one without heads, and with heads that begin as unit matrices.

use std::fmt;

use pipeline_core::StageError;
use pipeline_spec::{Node, SpecError};

use super::params::{Fusion, TrainProjectionParams};
use crate::feature_spaces::Width;
use crate::kind::{BuildContext, span_of};

/// The widths of the features of both sides.
pub(super) struct Widths {
    pub(super) text: Width,
    pub(super) images: Width,
}

/// The reason why features do not have the one width that a param needs.
pub(super) struct Unequal {
    /// The param.
    param: &'static str,
    message: String,
    help: &'static str,
}

impl Widths {
    /// The widths that the models of a spec show before anything has run; `None` where one of them shows none.
    pub(super) fn declared(context: &BuildContext<'_>) -> Option<Self> {
        let width = |slot: &str| Width::declared(context, crate::search::input(context.spec, context.stage, slot)?);
        Some(Self { text: width("text")?, images: width("images")? })
    }

    /// The one width of both sides.
    ///
    /// # Errors
    /// When they differ, or `projection_dim` asks for another one.
    pub(super) fn one(&self, params: &TrainProjectionParams) -> Result<usize, Unequal> {
        let width = self.text.dim;
        let is_passthrough = params.fusion == Fusion::Passthrough;
        if width != self.images.dim {
            let (param, needs, help) = if is_passthrough {
                ("fusion", "fusion: passthrough", "use `fusion: projection`, or encoders and poolings of one width")
            } else {
                ("start", "start: identity", "use `start: random`, or encoders and poolings of one width")
            };
            let message = format!("`{needs}` needs features of one width, but {self}");
            return Err(Unequal { param, message, help });
        }
        match params.projection_dim {
            Some(dim) if dim != width && !is_passthrough => {
                let message = format!("`start: identity` needs `projection_dim: {width}` and not {dim}: {self}");
                let help = "without `projection_dim` it is the width of the features";
                Err(Unequal { param: "projection_dim", message, help })
            }
            _ => Ok(width),
        }
    }
}

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pooling = |width: &Width| width.pooling.as_ref().map(|pooling| format!(" (pooling `{pooling}`)"));
        let Self { text, images } = self;
        let (of_text, of_images) = (pooling(text).unwrap_or_default(), pooling(images).unwrap_or_default());
        write!(f, "the text's have {} numbers{of_text} and the images' {}{of_images}", text.dim, images.dim)
    }
}

impl Unequal {
    /// The error at the place of the param in a spec.
    pub(super) fn in_spec(self, params: &Node) -> SpecError {
        SpecError::at(span_of(params, self.param), self.message).with_help(self.help)
    }
}

impl From<Unequal> for StageError {
    fn from(Unequal { message, help, .. }: Unequal) -> Self {
        Self::new(message).with_help(help)
    }
}

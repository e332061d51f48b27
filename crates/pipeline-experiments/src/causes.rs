//! The messages of an error and its causes.

use std::error::Error;

/// The messages of an error and its causes, outermost first; omits a cause that only repeats its effect.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut messages = pipeline_core::error_chain(error);
    messages.dedup();
    messages
}

/// An error and its causes on one line.
pub fn in_one_line(error: &dyn Error) -> String {
    causes(error).join(": ")
}

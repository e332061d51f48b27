//! An error together with its causes.

use std::error::Error;
use std::iter::successors;

/// The messages of an error and its causes, outermost first.
pub fn error_chain(error: &dyn Error) -> Vec<String> {
    successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Because(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn the_root_cause_comes_last() {
        let error = Because("no features", Some(Box::new(Because("no file", None))));
        assert_eq!(error_chain(&error), ["no features", "no file"]);
    }
}

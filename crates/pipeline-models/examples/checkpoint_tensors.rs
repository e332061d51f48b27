//! Prints the tensors of checkpoints, for `tests/parity/checkpoints.py` to compare with PyTorch.
//!
//! `checkpoint_tensors FILE...` prints one JSON object for each file: its tensors by name, or the error. A tensor has
//! its shape and the bits of its numbers as `f32`.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use pipeline_models::checkpoint::read_tensors;
use serde_json::{Map, Value, json};

fn main() {
    for file in std::env::args().skip(1) {
        let line = match read_tensors(Path::new(&file)) {
            Ok(tensors) => {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                let tensors: Map<String, Value> = tensors
                    .into_iter()
                    .map(|(name, tensor)| (name, json!({ "shape": tensor.shape, "bits": bits(&tensor.values) })))
                    .collect();
                json!({ "file": file, "tensors": tensors })
            }
            Err(error) => json!({ "file": file, "error": whole(&error) }),
        };
        println!("{line}");
    }
}

/// An error with its causes.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

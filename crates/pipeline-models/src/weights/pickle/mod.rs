//! Reads Python's pickles as data: executes nothing in them, and bounds their cost.
//!
//! Knows PyTorch's tensors and storages; every other object is reduced to the name of its class.

mod call;
mod error;
mod input;
mod machine;
mod opcodes;
mod operations;
mod value;

pub(super) use error::PickleError;
pub(super) use machine::{Pickle, parse};
pub(super) use value::{Storage, Tensor, Unreadable, Value, ValueId, Values};

#[cfg(test)]
mod tests;

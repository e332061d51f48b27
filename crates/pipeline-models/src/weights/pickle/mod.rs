//! Reads Python's pickles as data: executes nothing in them, and bounds their cost.
//!
//! Knows PyTorch's tensors and storages; every other object is reduced to the name of its class.

mod call;
mod input;
mod machine;
mod opcodes;
mod operations;
mod value;

pub(super) use machine::{Pickle, PickleError, parse};
pub(super) use value::{Storage, Tensor, Unreadable, Value, ValueId, Values};

#[cfg(test)]
mod tests;

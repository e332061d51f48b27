//! Reads Python's pickles as data: nothing in them is executed, and what they may cost is bounded.
//!
//! Knows PyTorch's tensors and storages; every other object is kept as the name of its class at most.

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

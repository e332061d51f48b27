//! All of burn and of CUDA.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod backend;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod probe;

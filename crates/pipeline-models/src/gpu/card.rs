//! A card that computes, and the compiler of its kernels.

use std::path::PathBuf;

/// A card that can be used, and what compiles for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its number among the cards that the driver shows, from 0.
    pub number: u16,
    /// Its name, as its driver gives it.
    pub name: String,
    /// Its compute capability, such as 9 and 0.
    pub capability: [u32; 2],
    /// Its memory in bytes: what is free, and all.
    pub memory: [usize; 2],
    /// The version of CUDA that the driver is made for, such as 13 and 0.
    pub driver: [u32; 2],
    /// The compiler and its headers.
    pub toolkit: Toolkit,
}

/// What compiles kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolkit {
    /// The library of the run-time compiler (NVRTC).
    pub compiler: PathBuf,
    /// The folder that has the headers in `include`.
    pub headers: PathBuf,
}

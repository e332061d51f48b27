//! Guards: small processes of this very program that start other programs and leave none of their processes alive.
//!
//! A guard leads a session of its own, which has no terminal. It adopts everything that its program leaves behind, even
//! processes outside the program's group or session. It ends them all before it reports the program's end, and at once
//! when its client is gone for any reason. It cannot find processes that others have started: a container's or a
//! system's daemon, or the far side of `ssh`.
//!
//! A guard serves one program after the other, so that a program needs no second process.

mod client;
mod descendants;
mod process;
mod wire;

pub use client::{GUARD_ARGUMENT, Guards};
pub(crate) use client::{Guard, News};
pub use process::guard_programs;
pub(crate) use wire::{End, Program};

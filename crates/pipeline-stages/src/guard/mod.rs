//! Guards: small processes of this very program that start other programs and let nothing of them live on.
//!
//! A guard leads a session of its own, which has no terminal, and adopts whatever its program leaves behind, also what
//! has left the program's group or session. It ends all of that before it reports the program's end, and at once when
//! the process that it works for is gone, however that ended. Not found is what others have started: a container's
//! or a system's daemon, or the far side of `ssh`.
//!
//! A guard serves one program after the other, so that a program costs no second process.

mod client;
mod descendants;
mod process;
mod wire;

pub use client::{GUARD_ARGUMENT, Guards};
pub(crate) use client::{Guard, News};
pub use process::guard_programs;
pub(crate) use wire::{End, Program};

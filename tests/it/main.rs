//! Whole-command tests: the built program, its exit codes, stdout and stderr.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod exits;
mod explain;
mod gate;
mod house;
mod mistakes;
mod notebook;
mod probes;
mod project;
mod signals;
mod unchanged;

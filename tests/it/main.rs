//! Whole-command tests: the built program, its exit codes, stdout and stderr.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod adopting;
mod comparing;
mod damage;
mod documents;
mod exits;
mod explain;
mod faults;
mod flips;
mod gate;
mod helping;
mod history;
mod house;
mod interop;
mod keeping;
mod kills;
mod mistakes;
mod model;
mod mutations;
mod notebook;
mod outputs;
mod pins;
mod probes;
mod programs;
mod project;
mod races;
mod random;
mod recorded;
mod recovery;
mod reference;
mod report;
mod rows;
mod searching;
mod secrets;
mod serving;
mod sharded;
mod signals;
mod soak;
mod sources;
mod sweep_report;
mod sweeps;
mod tutorial;
mod unchanged;
mod words;
mod zero_shot;

//! Whole-command tests: the built program, its exit codes, stdout and stderr.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod adopting;
mod apart;
mod at_home;
mod attentive;
mod beginning;
mod comparing;
mod completing;
mod damage;
mod demo;
mod documents;
mod drawn_sweeps;
mod exits;
mod experiments;
mod explain;
mod faults;
mod flips;
mod following;
mod forms;
mod gate;
#[cfg(feature = "remote")]
mod google;
mod helping;
mod history;
mod house;
mod ids;
mod interop;
mod keeping;
mod kills;
mod mistakes;
mod model;
mod mutations;
#[cfg(feature = "remote")]
mod network;
mod notebook;
mod opening;
#[cfg(feature = "remote")]
mod outages;
mod outputs;
mod own_encoder;
mod own_project;
mod packaging;
mod pins;
mod probes;
mod programs;
mod project;
mod races;
mod random;
mod recorded;
mod recovery;
mod reference;
mod remote;
mod report;
mod rows;
mod searching;
mod secrets;
mod seeds;
#[cfg(feature = "remote")]
#[allow(dead_code, reason = "two programs of tests share it, and each needs its own part")]
#[path = "../../crates/pipeline-remote/tests/it/server.rs"]
mod server;
mod serving;
mod sharded;
mod shared_disk;
mod signals;
mod slurm;
mod soak;
mod sources;
mod streamed;
mod sweep_report;
mod sweeps;
mod terminal;
mod tutorial;
mod unchanged;
mod words;
mod zero_shot;

//! The commands, one file each: arguments in, text on stdout and an exit code out.

mod adopt;
pub mod cache;
pub mod check;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod graph;
pub mod init;
mod outcome;
pub mod path;
mod planned;
pub mod predict;
pub mod replay;
pub mod report;
pub mod run;
pub mod runs;
pub mod schema;
pub mod search;
pub mod serve;
pub mod specs;
pub mod stages;
pub mod status;
pub mod sweep;
pub mod validate;
pub mod why;

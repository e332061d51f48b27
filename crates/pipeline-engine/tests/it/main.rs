//! User stories of the engine, with small stages that write bytes and keep a log of their runs.

// clippy's own exception for tests does not reach the functions beside them.
#![allow(clippy::unwrap_used)]

mod cache;
mod cards;
mod concurrency;
mod derived;
mod failure;
mod faulty;
mod inputs;
mod numerics;
mod opening;
mod probes;
mod publish;
mod remote;
mod retain;
mod scale;
mod shards;
mod test_stage;
mod unchanged;
mod watching;
mod why;
mod world;

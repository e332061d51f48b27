//! Stories of a store, through its public interface.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod collect;
mod commit;
mod derived;
mod divided;
mod fixture;
mod kept;
mod locks;
mod overrides;
mod processes;
mod published;
mod remote;
mod runs;
mod sources;
mod trees;
mod verify;

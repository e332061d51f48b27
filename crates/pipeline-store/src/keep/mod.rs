//! What stays and what goes: holders, pins, garbage collection, and looks at the whole store.

pub(crate) mod collect;
pub(crate) mod inventory;
pub(crate) mod pins;
pub(crate) mod roots;
pub(crate) mod verify;

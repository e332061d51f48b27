//! The files of artifacts, each stored once under its digest, and artifacts as folders of links to them.

pub(crate) mod lend;
pub(crate) mod links;
pub(crate) mod listing;
pub(crate) mod objects;
pub(crate) mod trees;

//! The role of a process for a stage, and the origin of the stage's shards.

/// The role of a process for a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It makes the artifact.
    Lead,
    /// Another process makes the artifact.
    Help,
}

/// The origin of a stage's shards.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Found in the store at first, or computed meanwhile by another stage of this process.
    pub n_reused: u64,
    /// Computed by this process.
    pub n_computed: u64,
    /// Computed by other processes meanwhile.
    pub n_by_others: u64,
    /// Rows in those that this process computed.
    pub n_rows_computed: u64,
}

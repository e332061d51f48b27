//! The share of a process in the shards of a stage.

/// What a process is to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It makes the artifact.
    Lead,
    /// Another process does.
    Help,
}

/// How the shards of a stage came to be there.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Found in the store at first, or computed by another stage of this process meanwhile.
    pub n_reused: u64,
    /// Computed by this process.
    pub n_computed: u64,
    /// Computed by other processes meanwhile.
    pub n_by_others: u64,
    /// Rows in those that this process computed.
    pub n_rows_computed: u64,
}

//! The arguments about the remote.

use clap::Args;

/// The remote of the store.
#[derive(Debug, Clone, Default, Args)]
pub struct RemoteArgs {
    /// Look results up in this shared cache, too; `PIPELINE_REMOTE_ACCESS=write` also uploads those of runs.
    // An empty text counts as not given, as for the store.
    #[arg(long, value_name = "URL", env = "PIPELINE_REMOTE", hide_env_values = true)]
    pub remote: Option<String>,
}

/// Whether to look after the remote instead of the store.
#[derive(Debug, Clone, Default, Args)]
pub struct RemoteInsteadArgs {
    /// Look after the remote instead: this one, or that of the variable PIPELINE_REMOTE.
    // No value is read from the environment here: a variable must not turn the command to the remote.
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    pub remote: Option<String>,
}

impl RemoteInsteadArgs {
    /// The URL, if the command is for the remote; an empty one where nothing names it.
    pub fn url(&self) -> Option<String> {
        let named = self.remote.as_ref()?;
        let configured = || std::env::var(crate::remotes::URL).unwrap_or_default();
        Some(if named.is_empty() { configured() } else { named.clone() })
    }
}

//! Reads the JSON files that lie beside weights.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::ModelError;

/// Reads a JSON file into `T`.
///
/// # Errors
/// When the file cannot be read or does not fit `T`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = pipeline_files::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Config { path: path.to_owned(), source })
}

/// Reads a configuration that must be an object: a map of settings.
///
/// # Errors
/// When the file cannot be read, is not JSON, or holds something else.
pub(crate) fn read_config(path: &Path) -> Result<serde_json::Map<String, serde_json::Value>, ModelError> {
    read_json(path)
}

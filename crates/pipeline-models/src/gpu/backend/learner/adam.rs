//! The settings of Adam that PyTorch has.

use burn::optim::AdamConfig;

/// PyTorch's defaults; burn's epsilon is 1e-5.
pub(super) fn config() -> AdamConfig {
    AdamConfig::new().with_epsilon(1e-8)
}

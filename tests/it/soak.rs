//! The intensity of the tests of the store's promises: low in CI, high in `make soak`.

/// True in `make soak`.
pub fn is_soak() -> bool {
    std::env::var_os("PIPELINE_SOAK").is_some()
}

/// The number of rounds: the first in CI, the second in `make soak`.
pub fn rounds(in_ci: usize, in_soak: usize) -> usize {
    if is_soak() { in_soak } else { in_ci }
}

/// Prints the figures of a test, for people with `--nocapture`.
#[allow(clippy::print_stderr, reason = "figures are for people")]
pub fn show(figures: &str) {
    eprintln!("figures: {figures}");
}

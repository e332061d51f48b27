//! Rounds that another program can alternate with its own.

use std::error::Error;

/// Runs `n_rounds` rounds; without a number, one for each line of the standard input.
pub fn run(
    n_rounds: Option<usize>,
    mut round: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    if let Some(n_rounds) = n_rounds {
        return (0..n_rounds).try_for_each(|_| round());
    }
    std::io::stdin().lines().try_for_each(|line| line.map_err(Into::into).and_then(|_| round()))
}

//! Times heads that are computed: `closed_form_speed ridge|cca N_PAIRS D_TEXT D_IMAGE [N_THREADS] [N_ROUNDS]`.
//!
//! Features are random numbers. Prints one JSON object for each round; `check` is a digest of the heads' bits.

#![allow(clippy::print_stdout)]

#[path = "shared/numbers.rs"]
mod numbers;

use std::error::Error;
use std::time::Instant;

use pipeline_models::train::{ClosedForm, fit};

const USAGE: &str = "closed_form_speed ridge|cca N_PAIRS D_TEXT D_IMAGE [N_THREADS] [N_ROUNDS]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let method = match args.next().as_deref() {
        Some("ridge") => ClosedForm::Ridge,
        Some("cca") => ClosedForm::Cca,
        _ => return Err(USAGE.into()),
    };
    let sizes = args.map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [n_pairs, d_text, d_image, rest @ ..] = sizes.as_slice() else { return Err(USAGE.into()) };
    let (text, images) = (numbers::numbers(*n_pairs, *d_text, 1), numbers::numbers(*n_pairs, *d_image, 2));
    let pairs: Vec<_> = (0..*n_pairs).map(|row| (row, row)).collect();
    let n_threads = rest.first().copied().unwrap_or(2);
    for _ in 0..rest.get(1).copied().unwrap_or(1) {
        let start = Instant::now();
        let heads = fit(&text, &images, &pairs, method, 1e-2, 512, n_threads)?;
        let seconds = start.elapsed().as_secs_f64();
        let linears = [&heads.text.output, &heads.image.output];
        let values = linears.into_iter().flat_map(|linear| linear.weight.values.iter().chain(&linear.bias));
        let check = values.fold(0u64, |sum, value| sum.wrapping_mul(31).wrapping_add(u64::from(value.to_bits())));
        println!("{}", serde_json::json!({"seconds": seconds, "check": check}));
    }
    Ok(())
}

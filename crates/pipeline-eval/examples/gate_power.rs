//! Simulates the paired check: how often it finds a real drop of MeanRecall, and how often it mistakes chance for one.
//!
//! `cargo run --release --locked --package pipeline-eval --example gate_power [BASELINE BASELINE]`
//!
//! The pairs of queries come from two accepted baselines of the same pipeline with two seeds (`pipeline check SPEC
//! --accept` writes them). Without arguments they come from the seeds 0 and 1 of `pipelines/demo.yaml`. Prints the
//! table of docs/guide/statistics.md.

#![allow(clippy::print_stdout, reason = "a program for people prints")]

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pipeline_eval::statistics::{Draws, drop_p, intervals};
use serde_json::Value;

/// The number of queries in MUGE's valid split.
const N_QUERIES: usize = 5_008;
const N_SIMULATIONS: usize = 2_000;
const MAX_DROPS: [f64; 3] = [0.0, 0.002, 0.005];
const ALPHA: f64 = 0.05;

/// Counts of query pairs, by the number of hits before and after. Hits are counted at the `k` of 1, 5 and 10.
type Pairs = [[u32; 4]; 4];

/// Between the seeds 0 and 1 of the demo.
const DEMO: Pairs = [[620, 10, 0, 0], [14, 70, 10, 0], [0, 12, 89, 4], [0, 0, 2, 40]];

/// The shares of pairs that are split and recombined, for changes that alter more than a seed does.
const SHARES_TORN: [f64; 2] = [0.0, 0.5];

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let pairs = match files.as_slice() {
        [before, after] => count_pairs(&hits(before)?, &hits(after)?),
        _ => DEMO,
    };
    let pool = symmetric(&pairs);
    println!("pairs: {pairs:?}");
    println!("MeanRecall {:.4}", mean(&pool));
    println!("N = {N_QUERIES}, alpha = {ALPHA}, {N_SIMULATIONS} simulations\n");
    let max_drops = MAX_DROPS.map(|max_drop| format!("`max_drop: {max_drop}`"));
    println!("| correlation | true drop | {} |", max_drops.join(" | "));
    println!("|---|---|{}", "---|".repeat(MAX_DROPS.len()));
    for share_torn in SHARES_TORN {
        let correlation = correlation(&pool) * (1.0 - share_torn);
        for true_drop in [0.0, 0.005, 0.01, 0.015] {
            let failed = simulate(&pool, share_torn, true_drop).map(|share| format!("{:.1}%", share * 100.0));
            println!("| {correlation:.2} | {true_drop} | {} |", failed.join(" | "));
        }
    }
    let columns = vec![(0..N_QUERIES).map(|row| row as f64).collect::<Vec<_>>(); 7];
    for n_threads in [1, 2] {
        let start = Instant::now();
        intervals(&columns, n_threads);
        println!("intervals of 7 metrics, {n_threads} threads: {:.3} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The number of `k` at which each query hits, from the best ranks in a baseline.
fn hits(path: &str) -> Result<Vec<usize>, Box<dyn Error>> {
    let baseline: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let stage = baseline["stages"].as_object().and_then(|stages| stages.values().next()).ok_or("no stage")?;
    let ranks = stage["per_query"]["ranks"].as_array().ok_or("no ranks")?.iter().filter_map(Value::as_u64);
    Ok(ranks.map(|rank| [1, 5, 10].iter().filter(|k| (1..=**k).contains(&rank)).count()).collect())
}

fn count_pairs(before: &[usize], after: &[usize]) -> Pairs {
    let mut pairs = Pairs::default();
    before.iter().zip(after).for_each(|(before, after)| pairs[*before][*after] += 1);
    pairs
}

/// All pairs, each once as it was and once reversed: neither side is better.
fn symmetric(pairs: &Pairs) -> Vec<(u8, u8)> {
    let mut pool = Vec::new();
    for (before, row) in pairs.iter().enumerate() {
        for (after, count) in row.iter().enumerate() {
            let (before, after) = (before as u8, after as u8);
            (0..*count).for_each(|_| pool.extend([(before, after), (after, before)]));
        }
    }
    pool
}

/// The share of simulated checks that fail, for each `max_drop`.
///
/// Pairs are drawn with replacement; a share of `share_torn` takes the later outcome of another pair. Then enough of
/// the later outcomes lose one of their hits that MeanRecall falls by `true_drop` on average.
fn simulate(pool: &[(u8, u8)], share_torn: f64, true_drop: f64) -> [f64; 3] {
    let share_hitting = pool.iter().filter(|(_, after)| *after > 0).count() as f64 / pool.len() as f64;
    let share_losing = true_drop * 3.0 / share_hitting;
    let n_failed = MAX_DROPS.map(|_| AtomicUsize::new(0));
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let simulation = next.fetch_add(1, Ordering::Relaxed);
            if simulation >= N_SIMULATIONS {
                return;
            }
            let mut draws = Draws::new(7, simulation as u64);
            let mut drop_of_one = |_| draw_drop(pool, share_torn, share_losing, &mut draws);
            let drops: Vec<f64> = (0..N_QUERIES).map(&mut drop_of_one).collect();
            let (drop, p) = (drops.iter().sum::<f64>() / N_QUERIES as f64, drop_p(&drops));
            for (max_drop, n_failed) in MAX_DROPS.iter().zip(&n_failed) {
                n_failed.fetch_add(usize::from(drop > max_drop + 1e-9 && p <= ALPHA), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work)));
    });
    n_failed.map(|n_failed| n_failed.into_inner() as f64 / N_SIMULATIONS as f64)
}

/// The drop of one query.
fn draw_drop(pool: &[(u8, u8)], share_torn: f64, share_losing: f64, draws: &mut Draws) -> f64 {
    let draw = |draws: &mut Draws| pool[(draws.fraction() * pool.len() as f64) as usize];
    let (before, mut after) = draw(draws);
    if draws.fraction() < share_torn {
        after = draw(draws).1;
    }
    let loses = after > 0 && draws.fraction() < share_losing;
    (f64::from(before) - f64::from(after - u8::from(loses))) / 3.0
}

fn mean(pool: &[(u8, u8)]) -> f64 {
    pool.iter().map(|(before, _)| f64::from(*before) / 3.0).sum::<f64>() / pool.len() as f64
}

fn correlation(pool: &[(u8, u8)]) -> f64 {
    let mean = mean(pool);
    let moment = |product: fn(f64, f64) -> f64| -> f64 {
        let centred = |hits: u8| f64::from(hits) / 3.0 - mean;
        pool.iter().map(|(before, after)| product(centred(*before), centred(*after))).sum()
    };
    moment(|before, after| before * after) / moment(|before, _| before * before)
}

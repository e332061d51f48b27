//! Size and time of a report that compares two runs over a validation set as large as MUGE's, with made-up features and
//! images.
//!
//! `cargo run --release --package pipeline-report --example report_size [FILE.html]`

use std::time::Instant;

use pipeline_data::{Picture, RgbImage, resize, thumbnail};
use pipeline_eval::RankingRow;
use pipeline_eval::analysis::{Analysis, AnalysisOptions, Changes, Map, duplicates, sample};
use pipeline_kernels::Matrix;
use pipeline_report::facts::{Comparison, Evaluation, OtherEvaluation, Report, RunFacts};
use pipeline_report::{pictures, render};

/// The queries of MUGE's validation set.
const N_QUERIES: usize = 5_008;
const N_IMAGES: usize = 29_806;
const N_RELEVANT: usize = 6;
/// The queries of the gallery, and those that were won and lost, of which `pipeline report --compare` shows so many.
const N_GALLERY: usize = 72;
const N_CHANGES: usize = 24;
/// The side that it gives to so many pictures.
const SIDE: u32 = 36;
/// Numbers per image feature, and per embedding.
const D_IMAGE: usize = 2_048;
const DIM: usize = 512;

/// Reproducible numbers that look random.
fn scrambled(number: usize) -> usize {
    ((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) as usize
}

fn query(idx: usize) -> RankingRow {
    let image = |place: usize| (scrambled(idx * 64 + place) % N_IMAGES).to_string();
    RankingRow {
        query_id: Some(idx.to_string()),
        query_text: format!("纯棉 长袖 女装 {idx}"),
        relevant: (0..N_RELEVANT).map(image).collect(),
        rank: Some(1 + (scrambled(idx) % 2_000) as u32),
        top_ids: (3..13).map(image).collect(),
        top_scores: (0..10).map(|place| 0.9 - place as f32 * 0.01).collect(),
    }
}

fn features(n_rows: usize, n_cols: usize) -> Matrix {
    let values = (0..n_rows * n_cols).map(|idx| (scrambled(idx) % 1_000) as f32 / 1_000.0).collect();
    Matrix::new(n_rows, n_cols, values)
}

/// 224 × 224 pixels with about as much detail as a photograph.
fn picture(id: &str) -> RgbImage {
    let seed = id.parse().unwrap_or(0);
    let pixels = (0..24 * 24 * 3).map(|idx| (scrambled(idx * 31 + seed * 7_919) % 256) as u8).collect();
    resize(&RgbImage { width: 24, height: 24, pixels }, 224, 224, pipeline_data::Filter::Bicubic)
}

#[allow(clippy::print_stdout, reason = "an example prints what it measured")]
fn main() -> std::io::Result<()> {
    let images = features(N_IMAGES, D_IMAGE);
    let ids: Vec<_> = (0..N_IMAGES).map(|id| Some(id.to_string())).collect();
    let metrics = [("mean_recall", 0.3), ("recall_at_1", 0.1), ("recall_at_5", 0.3), ("recall_at_10", 0.5)];
    let metrics = metrics.into_iter().chain([("pool_size", N_IMAGES as f64), ("n_queries", N_QUERIES as f64)]);
    let queries: Vec<_> = (0..N_QUERIES).map(query).collect();
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let labels = |rows: Vec<usize>| rows.into_iter().map(|row| row.to_string()).collect::<Vec<_>>();
    let (query_labels, image_labels) = (labels(sample(N_QUERIES, 0)), labels(sample(N_IMAGES, 0)));
    let (query_points, image_points) = (features(query_labels.len(), DIM), features(image_labels.len(), DIM));
    let mut evaluation = Evaluation {
        stage: "evaluate".into(),
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).collect(),
        queries,
        image_ranks: Some((0..N_IMAGES).map(|idx| Some(1 + (scrambled(idx) % 900) as u32)).collect()),
        map: Some(Map::new(&query_points, query_labels, &image_points, image_labels)),
        duplicates: Some(duplicates(&ids, &images)?),
        ..Evaluation::default()
    };
    let options = AnalysisOptions { n_threads, n_queries: N_GALLERY, ..AnalysisOptions::default() };
    let image_ranks = evaluation.image_ranks.as_deref();
    evaluation.analysis = Analysis::new(&evaluation.queries, image_ranks, &evaluation.metrics, &options);
    let earlier: Vec<_> =
        (0..N_QUERIES).map(|idx| RankingRow { query_text: String::new(), ..query(idx + 7) }).collect();
    let changes = Changes::new(&earlier, &evaluation.queries, &[1, 5, 10], N_CHANGES);
    let other = OtherEvaluation { queries: earlier, changes, ..OtherEvaluation::default() };
    let comparison = Comparison { evaluations: [("evaluate".into(), Ok(other))].into(), ..Comparison::default() };
    let run = RunFacts { id: "20261124T082050Z-ab12".into(), spec: "muge".into(), ..RunFacts::default() };
    let mut report = Report { run, evaluations: vec![evaluation], comparison: Some(comparison), ..Report::default() };
    let wanted = pictures(&report).remove(0);
    let n_pictures = wanted.len();
    let shown = |id: String| (id.clone(), Picture { own: thumbnail(&picture(&id), SIDE), fed: None });
    report.evaluations[0].pictures = wanted.into_iter().map(shown).collect();
    let html = render(&report).html;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{N_QUERIES} queries, {N_IMAGES} images: {:.2} MB with {n_pictures} thumbnails, {seconds:.2} s",
        html.len() as f64 / 1e6
    );
    std::env::args().nth(1).map_or(Ok(()), |path| std::fs::write(path, html))
}

//! The images of the pool: hubs and duplicates.

use maud::{Markup, html};

use super::thumbnails::Thumbnails;
use super::words::{count, percent};
use crate::facts::Evaluation;
use pipeline_eval::Quantity;
use pipeline_eval::analysis::{Duplicates, Hub};

/// The most groups of duplicates that are shown, and images of each.
const N_GROUPS: usize = 12;
const N_OF_GROUP: usize = 6;

/// The images of this section.
pub(super) fn pictures(evaluation: &Evaluation) -> Vec<String> {
    let mut images: Vec<_> = evaluation.analysis.hubs.most.iter().map(|hub| hub.image.clone()).collect();
    images.extend(evaluation.duplicates.iter().flat_map(shown).flatten().cloned());
    images
}

pub(super) fn draw(evaluation: &Evaluation, thumbnails: &Thumbnails<'_>) -> Markup {
    html! {
        h3 { "Most returned" }
        (most_returned(evaluation, thumbnails))
        @if let Some(duplicates) = &evaluation.duplicates {
            h3 { "Duplicates" }
            (same(evaluation, duplicates, thumbnails))
        }
    }
}

fn most_returned(evaluation: &Evaluation, thumbnails: &Thumbnails<'_>) -> Markup {
    let (analysis, n_queries) = (&evaluation.analysis, evaluation.queries.len());
    let hubs = &analysis.hubs;
    let pool_size = Quantity::PoolSize.value_in(&evaluation.metrics).map(|size| size as u64);
    let n_never = pool_size.map(|size| size.saturating_sub(hubs.n_returned as u64));
    html! {
        p.sub {
            (count(hubs.n_returned as u64)) " images are among the first " (analysis.n_top) " of some query"
            @if let (Some(n_never), Some(pool_size)) = (n_never, pool_size) {
                "; " (count(n_never)) " of " (count(pool_size)) " never are"
            }
            "."
        }
        ol.row.hubs { @for hub in &hubs.most {
            li {
                @let Hub { image, n_returned, n_relevant } = hub;
                @let words = format!("returned for {n_returned} queries, relevant to {n_relevant} of them");
                @let tip = format!("image {image}\n{words}");
                (thumbnails.draw(evaluation, image, &tip))
                small {
                    b { (count(*n_returned as u64)) "×" } " " (percent(*n_returned as f64 / n_queries.max(1) as f64))
                }
            }
        } }
    }
}

fn same(evaluation: &Evaluation, duplicates: &Duplicates, thumbnails: &Thumbnails<'_>) -> Markup {
    html! {
        p.sub {
            @match duplicates.groups.len() {
                0 => "No two images of the pool are the same picture.",
                n => {
                    (count(n as u64)) " pictures are in the pool more than once, " (count(duplicates.n_spare() as u64))
                    " images too many: they share every score, and the lower row ranks first."
                },
            }
        }
        div.groups { @for group in shown(duplicates) {
            div.row {
                @for image in group { (thumbnails.draw(evaluation, image, &format!("image {image}"))) }
            }
        } }
    }
}

fn shown(duplicates: &Duplicates) -> impl Iterator<Item = &[String]> {
    duplicates.groups.iter().take(N_GROUPS).map(|group| &group[..group.len().min(N_OF_GROUP)])
}

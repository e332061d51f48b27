//! The gallery: queries, their relevant images and the first ten, with filters and a search box.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::thumbnails::{Thumbnails, fed_box};
use super::words::count;
use crate::facts::Evaluation;
use pipeline_eval::RankingRow;
use pipeline_eval::analysis::{GalleryQuery, Group};

/// The most relevant images that a query shows.
pub(super) const MAX_RELEVANT: usize = 6;

/// The images of the gallery.
pub(super) fn pictures(evaluation: &Evaluation) -> BTreeSet<String> {
    let images = evaluation.analysis.gallery.iter().flat_map(|shown| {
        let query = &evaluation.queries[shown.query_idx];
        query.relevant.iter().take(MAX_RELEVANT).chain(query.top_ids.iter().take(evaluation.analysis.n_top))
    });
    images.cloned().collect()
}

pub(super) fn draw(evaluation: &Evaluation, thumbnails: &Thumbnails<'_>) -> Markup {
    let shown = &evaluation.analysis.gallery;
    html! {
        @if let Some(note) = &evaluation.picture_note { p.note { (note) } }
        div.gallery.pictures {
            div.filters {
                div.choices role="group" aria-label="which queries" {
                    @for group in Group::ALL {
                        button type="button" data-group=(group.name()) aria-pressed=(group == Group::Worst) {
                            (title(group)) " " small { (n_in(shown, group)) }
                        }
                    }
                    button type="button" data-group="all" aria-pressed="false" { "All " small { (shown.len()) } }
                }
                label {
                    span.hidden { "search the queries" }
                    input type="search" placeholder="search the listed queries" autocomplete="off";
                }
            }
            (fed_box(evaluation))
            p.sub.shown role="status" {}
            @for shown in shown { (card(evaluation, shown, thumbnails)) }
            p.sub.nothing hidden { "No listed query matches." }
        }
    }
}

fn n_in(shown: &[GalleryQuery], group: Group) -> usize {
    shown.iter().filter(|shown| shown.groups.iter().any(|(other, _)| *other == group)).count()
}

const fn title(group: Group) -> &'static str {
    match group {
        Group::Worst => "Worst misses",
        Group::Near => "Near misses",
        Group::Best => "Best",
        Group::Random => "Random",
    }
}

fn card(evaluation: &Evaluation, shown: &GalleryQuery, thumbnails: &Thumbnails<'_>) -> Markup {
    let (query, n_top) = (&evaluation.queries[shown.query_idx], evaluation.analysis.n_top);
    let id = query.query_id.as_deref().unwrap_or_default();
    let groups: Vec<_> = shown.groups.iter().map(|(group, place)| format!("{}:{place}", group.name())).collect();
    html! {
        article.card data-groups=(groups.join(" ")) data-text=(format!("{} {id}", query.query_text.to_lowercase())) {
            div.ask {
                h4 dir="auto" { (query.query_text) }
                p.sub {
                    "query " (id) " · " (rank(query.rank)) " · "
                    (shown.n_hits) " of " (query.relevant.len()) " relevant in the top " (n_top)
                }
                (relevant(evaluation, query, thumbnails))
            }
            ol.row.top { @for (idx, image) in query.top_ids.iter().take(n_top).enumerate() {
                @let is_hit = query.relevant.contains(image);
                @let score = query.top_scores.get(idx).copied().unwrap_or(f32::NAN);
                @let remark = if is_hit { "\nrelevant" } else { "" };
                @let tip = format!("rank {}: image {image}\nscore {score:.4}{remark}", idx + 1);
                li.hit[is_hit] {
                    (thumbnails.draw(evaluation, image, &tip))
                    small { b { (idx + 1) @if is_hit { " ✓" } } " " (format!("{score:.3}")) }
                }
            } }
        }
    }
}

/// The relevant images of a query.
pub(super) fn relevant(evaluation: &Evaluation, query: &RankingRow, thumbnails: &Thumbnails<'_>) -> Markup {
    let n_more = query.relevant.len().saturating_sub(MAX_RELEVANT);
    html! {
        div.row.relevant {
            @for image in query.relevant.iter().take(MAX_RELEVANT) {
                (thumbnails.draw(evaluation, image, &format!("relevant image {image}")))
            }
            @if n_more > 0 { span.more { "+" (n_more) } }
        }
    }
}

fn rank(rank: Option<u32>) -> String {
    match rank {
        Some(rank) => format!("best relevant image at rank {}", count(rank.into())),
        None => "no relevant image in the pool".to_owned(),
    }
}

//! The queries that were won and lost against another run, with the first images of both.

use std::collections::BTreeSet;

use maud::{Markup, html};
use pipeline_eval::RankingRow;

use super::gallery::{MAX_RELEVANT, relevant};
use super::thumbnails::Thumbnails;
use super::words::count;
use crate::facts::{Evaluation, OtherEvaluation};

/// The first images of each ranking that are shown; the best relevant one stands behind them where it ranks lower.
const N_TOP: usize = 5;

/// The images of this section.
pub(super) fn pictures(evaluation: &Evaluation, other: &OtherEvaluation) -> BTreeSet<String> {
    let shown = other.changes.won.iter().chain(&other.changes.lost);
    let images = shown.flat_map(|idx| {
        let (ours, theirs) = (&evaluation.queries[*idx], &other.queries[*idx]);
        let top = [ours, theirs].into_iter().flat_map(|row| row.top_ids.iter().take(N_TOP).chain(later(row)));
        ours.relevant.iter().take(MAX_RELEVANT).chain(top)
    });
    images.cloned().collect()
}

/// The best relevant image, if it ranks lower than the shown ones and its id is known.
fn later(row: &RankingRow) -> Option<&String> {
    let rank = row.rank.map(|rank| rank as usize).filter(|rank| *rank > N_TOP)?;
    row.top_ids.get(rank - 1)
}

/// The section; `None` where the other run's rankings are gone.
pub(super) fn draw(evaluation: &Evaluation, other: &OtherEvaluation, thumbnails: &Thumbnails<'_>) -> Option<Markup> {
    if other.queries.is_empty() {
        return None;
    }
    let changes = &other.changes;
    let sides = [("won", &changes.won), ("lost", &changes.lost)];
    Some(html! {
        p.sub { (summary(evaluation, other)) }
        @if !changes.won.is_empty() || !changes.lost.is_empty() {
            div.gallery.pictures.changes-list {
                div.filters {
                    div.choices role="group" aria-label="which queries" {
                        @for (name, listed) in sides {
                            button type="button" data-group=(name) aria-pressed=(name == "won") {
                                @if name == "won" { "Won " } @else { "Lost " } small { (listed.len()) }
                            }
                        }
                        button type="button" data-group="all" aria-pressed="false" {
                            "All " small { (changes.won.len() + changes.lost.len()) }
                        }
                    }
                    label {
                        span.hidden { "search the won and lost queries" }
                        input type="search" placeholder="search the listed queries" autocomplete="off";
                    }
                }
                p.sub.shown role="status" {}
                @for (name, listed) in sides { @for (place, idx) in listed.iter().enumerate() {
                    @let sides = (&other.queries[*idx], &evaluation.queries[*idx]);
                    (card(evaluation, sides, &format!("{name}:{place}"), thumbnails))
                } }
                p.sub.nothing hidden { "No listed query matches." }
            }
        }
    })
}

fn summary(evaluation: &Evaluation, other: &OtherEvaluation) -> String {
    let changes = &other.changes;
    let [n_won, n_lost, n_same] = [changes.n_won, changes.n_lost, changes.n_same].map(|n| count(n as u64));
    let ks: Vec<_> = evaluation.analysis.ks.iter().map(ToString::to_string).collect();
    let listed = match changes.won.len() < changes.n_won || changes.lost.len() < changes.n_lost {
        true => " The clearest are listed.",
        false => "",
    };
    format!(
        "{n_won} won, {n_lost} lost and {n_same} unchanged queries. A query is won when its best relevant image is now \
         within more of the ranks {}, lost when within fewer.{listed}",
        ks.join(", ")
    )
}

fn card(
    evaluation: &Evaluation,
    (theirs, ours): (&RankingRow, &RankingRow),
    group: &str,
    thumbnails: &Thumbnails<'_>,
) -> Markup {
    let id = ours.query_id.as_deref().unwrap_or_default();
    let class = if group.starts_with("won") { "up" } else { "down" };
    html! {
        article.card data-groups=(group) data-text=(format!("{} {id}", ours.query_text.to_lowercase())) {
            div.ask {
                h4 dir="auto" { (ours.query_text) }
                p.moved { "rank " (rank(theirs.rank)) " → " b class=(class) { (rank(ours.rank)) } }
                p.sub { "query " (id) }
                (relevant(evaluation, ours, thumbnails))
            }
            div.sides {
                @for (title, row) in [("other run", theirs), ("this run", ours)] {
                    div.side {
                        h5 { (title) }
                        ol.row.top {
                            @for (idx, image) in row.top_ids.iter().take(N_TOP).enumerate() {
                                @let is_hit = ours.relevant.contains(image);
                                @let remark = if is_hit { "\nrelevant" } else { "" };
                                li.hit[is_hit] {
                                    @let tip = format!("{title}, rank {}: image {image}{remark}", idx + 1);
                                    (thumbnails.draw(evaluation, image, &tip))
                                    small { b { (idx + 1) @if is_hit { " ✓" } } }
                                }
                            }
                            @if let Some(rank) = row.rank.filter(|rank| *rank as usize > N_TOP) {
                                @match later(row) {
                                    Some(image) => li.hit {
                                        @let tip = format!("{title}, rank {rank}: image {image}\nrelevant");
                                        (thumbnails.draw(evaluation, image, &tip))
                                        small { b { (rank) " ✓" } }
                                    },
                                    None => li.later { "… " (count(rank.into())) },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rank(rank: Option<u32>) -> String {
    rank.map_or_else(|| "–".to_owned(), |rank| count(rank.into()))
}

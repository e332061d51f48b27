//! Pages of search results, in the style of reports: plain HTML, light and dark, safe for any ids and texts.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline_report::{Page, STYLE, source_of};

use crate::searching::{OwnQuery, RankedQuery, RelevantImage, Results};

const SEARCH_STYLE: &str = include_str!("assets/search.css");
const SCRIPT: &str = include_str!("assets/search.js");

/// The most ranks that a sentence names.
const MAX_RANKS: usize = 10;

/// A page without its frame.
pub struct Content<'a> {
    /// The title of the browser's window.
    pub title: &'a str,
    /// The heading.
    pub heading: &'a str,
    /// The addresses and texts of links to other pages.
    pub links: &'a [(&'a str, &'a str)],
    /// The sections.
    pub body: Markup,
}

impl Content<'_> {
    /// The page of a server: it may run its own script, load pictures and events from its server, and send its forms
    /// there.
    pub fn served(&self) -> Page {
        let (style, script) = (style(), SCRIPT);
        let html = html! {
            header {
                div.bar {
                    h1 { (self.heading) }
                    button #theme type="button" aria-label="light or dark" title="light or dark" { "◐" }
                }
            }
            nav aria-label="pages" { @for (address, text) in self.links { a href=(address) { (text) } } }
            main { (self.body) }
            script { (PreEscaped(script)) }
        };
        let content_security_policy = format!(
            "default-src 'none'; img-src 'self' data:; style-src {}; script-src {}; connect-src 'self'; form-action \
             'self'; base-uri 'none'; frame-ancestors 'none'",
            source_of(&style),
            source_of(script)
        );
        Page { html: framed(self.title, &style, &html), content_security_policy }
    }

    /// The page as a file, without scripts and links.
    pub fn file(&self) -> String {
        framed(self.title, &style(), &html! { main { (self.body) } })
    }
}

fn style() -> String {
    format!("{STYLE}{SEARCH_STYLE}")
}

fn framed(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The way to other pages and pictures from results.
pub struct Ways<'a> {
    /// The address of an image by its id, if it has a thumbnail.
    pub thumbnail: &'a dyn Fn(&str) -> Option<String>,
    /// The address of the thumbnail of the image that was searched for.
    pub asked: Option<&'a str>,
    /// Whether images and queries lead to further searches.
    pub is_linked: bool,
}

/// The results of a search.
pub fn results(results: &Results, ways: &Ways<'_>) -> Markup {
    html! {
        section {
            div.asked {
                @if let Some(asked) = ways.asked { img src=(asked) alt="the image that was searched for"; }
                div {
                    @if ways.is_linked { h2 { (results.what()) } } @else { h1 { (results.what()) } }
                    p.sub {
                        (results.results.len()) " of " (results.pool().replace('`', ""))
                        @if let Some(relevant) = &results.relevant { "; " (relevant_ranks(relevant)) }
                    }
                }
            }
            (texts(results, ways))
            ol.finds {
                @for found in &results.results {
                    @let (rank, score) = (Some(found.rank), Some(found.score));
                    (image(found.id.as_deref(), rank, score, found.relevant == Some(true), ways))
                }
            }
            (missed(results, ways))
        }
    }
}

/// An image, with its rank and its mark.
fn image(id: Option<&str>, rank: Option<usize>, score: Option<f32>, is_relevant: bool, ways: &Ways<'_>) -> Markup {
    let shown = id.unwrap_or("without id");
    let picture = html! {
        @match id.and_then(ways.thumbnail) {
            Some(source) => img loading="lazy" alt={ "image " (shown) } src=(source);,
            None => span.thumb.none { (shown) },
        }
    };
    html! {
        li {
            figure class=[is_relevant.then_some("hit")] {
                @match id.filter(|_| ways.is_linked) {
                    Some(id) => a href=(similar(id)) title="more like this" { (picture) },
                    None => (picture),
                }
                figcaption {
                    @if let Some(rank) = rank { strong { (rank) "." } }
                    span { (shown) }
                    @if let Some(score) = score { span { (format!("{score:.4}")) } }
                    @if is_relevant { span.mark { "✓ relevant" } }
                }
            }
        }
    }
}

/// The relevant images that are not among the results.
fn missed(results: &Results, ways: &Ways<'_>) -> Markup {
    let is_shown = |id: &str| results.results.iter().any(|found| found.id.as_deref() == Some(id));
    let missed = results.relevant.iter().flatten().filter(|image| image.rank.is_some() && !is_shown(&image.id));
    let missed: Vec<&RelevantImage> = missed.take(MAX_RANKS).collect();
    html! {
        @if !missed.is_empty() {
            h3 { "Relevant, but further down" }
            ol.finds { @for one in missed { (image(Some(&one.id), one.rank, None, true, ways)) } }
        }
    }
}

/// The queries beside the images that an image finds.
fn texts(results: &Results, ways: &Ways<'_>) -> Markup {
    let own = results.own_queries.as_deref().unwrap_or_default();
    let queries = results.queries.as_deref().unwrap_or_default();
    html! {
        @if !own.is_empty() || !queries.is_empty() {
            div.pair {
                @if !own.is_empty() {
                    div {
                        h3 { "Queries that name this image" } ul.texts { @for one in own { (own_query(one, ways)) } }
                    }
                }
                @if !queries.is_empty() {
                    div { h3 { "Nearest queries" } ol.texts { @for one in queries { (query(one, ways)) } } }
                }
            }
        }
    }
}

fn own_query(own: &OwnQuery, ways: &Ways<'_>) -> Markup {
    html! {
        li { (text(&own.text, ways)) span.soft { @if let Some(rank) = own.rank { "finds it at rank " (rank) } } }
    }
}

fn query(found: &RankedQuery, ways: &Ways<'_>) -> Markup {
    html! {
        li {
            strong { (found.rank) "." }
            (text(&found.text, ways))
            @if found.relevant == Some(true) { span.mark { "✓ names it" } }
            span.soft { (format!("{:.4}", found.score)) }
        }
    }
}

fn text(text: &str, ways: &Ways<'_>) -> Markup {
    html! { @if ways.is_linked { a href=(search(text)) { (text) } } @else { span { (text) } } }
}

/// The address of the search for a text.
pub fn search(text: &str) -> String {
    format!("/search?q={}", utf8_percent_encode(text, NON_ALPHANUMERIC))
}

/// The address of the images that are like another.
pub fn similar(id: &str) -> String {
    format!("/similar/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

/// The ranks of relevant images in words.
pub fn relevant_ranks(relevant: &[RelevantImage]) -> String {
    let ranks: Vec<String> =
        relevant.iter().filter_map(|image| image.rank).take(MAX_RANKS).map(|rank| rank.to_string()).collect();
    let n_ranked = relevant.iter().filter(|image| image.rank.is_some()).count();
    let more = if n_ranked > ranks.len() { ", …" } else { "" };
    let n_outside = relevant.len() - n_ranked;
    let found = match ranks.as_slice() {
        [] => "no relevant image in the pool".to_owned(),
        [rank] => format!("the relevant image has rank {rank}"),
        ranks => format!("the relevant images have ranks {}{more}", ranks.join(", ")),
    };
    match n_outside {
        0 => found,
        _ if ranks.is_empty() => found,
        n_outside => format!("{found}; {n_outside} not in the pool"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_tag() {
        let body = html! { p title="<'\"" { "<img src=x onerror='alert(\"1\")'> & 图" } };
        let page = Content { title: "<script>", heading: "<b>", links: &[("/", "<i>")], body }.served().html;
        assert!(page.contains("<title>&lt;script&gt;</title>"), "{page}");
        assert!(page.contains("<h1>&lt;b&gt;</h1>") && page.contains("&lt;i&gt;</a>"), "{page}");
        assert!(page.contains("<p title=\"&lt;'&quot;\">&lt;img src=x onerror='alert("), "{page}");
        assert!(page.contains("&gt; &amp; 图</p>"), "{page}");
    }

    #[test]
    fn ranks_are_a_sentence() {
        let words = |ranks: &[Option<usize>]| {
            let image = |rank: &Option<usize>| RelevantImage { id: "7".to_owned(), rank: *rank };
            relevant_ranks(&ranks.iter().map(image).collect::<Vec<_>>())
        };
        assert_eq!(words(&[Some(3)]), "the relevant image has rank 3");
        assert_eq!(words(&[Some(1), Some(12), None]), "the relevant images have ranks 1, 12; 1 not in the pool");
        assert_eq!(words(&[None, None]), "no relevant image in the pool");
        assert!(words(&[Some(1); 11]).ends_with("1, …"));
    }
}

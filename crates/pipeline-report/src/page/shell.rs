//! The frame of all pages, with its style and its script.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::words::duration;
use crate::facts::RunFacts;

/// The style of all pages, also of those beside reports: colours of light and dark, sections, tables, buttons.
pub const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");

/// A self-contained page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The whole page, in HTML.
    pub html: String,
    /// The value of the `Content-Security-Policy` header under which the page works.
    pub content_security_policy: String,
}

/// A section of the page.
pub(super) struct Section {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) content: Markup,
}

pub(super) fn section(id: &str, title: &str, content: Markup) -> Section {
    Section { id: id.to_owned(), title: title.to_owned(), content }
}

/// The content of the frame.
pub(super) struct Content<'a> {
    pub(super) run: &'a RunFacts,
    pub(super) notes: &'a [String],
    pub(super) sections: &'a [Section],
    /// The address of a search box over the same pool.
    pub(super) search: Option<&'a str>,
    /// Style and script beside those of all pages.
    pub(super) style: &'a str,
    pub(super) script: &'a str,
}

impl Content<'_> {
    pub(super) fn page(&self) -> Page {
        let style = format!("{STYLE}{}", self.style);
        let script = format!("{SCRIPT}{}", self.script);
        let title = format!("{} · {}", self.run.spec, self.run.id);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // An empty icon, so that browsers do not request one.
                    link rel="icon" href="data:,";
                    title { (title) }
                    style { (PreEscaped(&style)) }
                }
                body {
                    (self.head())
                    main {
                        @for note in self.notes { p.note { (note) } }
                        @for section in self.sections {
                            section id=(section.id) { h2 { (section.title) } (section.content) }
                        }
                    }
                    footer { "pipeline " (self.run.version) " · run " (self.run.id) }
                    div #tip role="status" hidden {}
                    script { (PreEscaped(&script)) }
                }
            }
        };
        Page { html: page.into_string(), content_security_policy: policy(&style, &script) }
    }

    /// What people say about the run, and where it comes from.
    fn origin(&self) -> Markup {
        let run = self.run;
        html! {
            @if run.name.is_some() || run.note.is_some() || !run.tags.is_empty() {
                p.facts {
                    @if let Some(name) = &run.name { b { (name) } }
                    @for tag in &run.tags { span { "#" (tag) } }
                    @if let Some(note) = &run.note { span { (note) } }
                }
            }
            @if run.commit.is_some() || !run.command.is_empty() {
                p.facts {
                    @if let Some(commit) = &run.commit {
                        span {
                            "commit " code title=(commit) { (commit.get(..COMMIT_DIGITS).unwrap_or(commit)) }
                            @match run.dirty {
                                Some(true) => " with uncommitted changes",
                                Some(false) => "",
                                None => ", its state unknown",
                            }
                        }
                    }
                    @if !run.command.is_empty() { code { (run.command) } }
                    @if !run.host.is_empty() { span { "on " (run.host) } }
                    @if !run.instruction_set.is_empty() { span { (run.instruction_set) } }
                    @if !run.version.is_empty() { span { "pipeline " (run.version) } }
                }
            }
        }
    }

    fn head(&self) -> Markup {
        let run = self.run;
        html! {
            header {
                div.bar {
                    h1 { (run.spec) }
                    @if let Some(address) = self.search { a.button href=(address) { "Search" } }
                    button #theme type="button" aria-label="light or dark" title="light or dark" { "◐" }
                }
                p.facts {
                    span { "run " code { (run.id) } }
                    @if !run.state.is_empty() { span class={ "state " (run.state) } { (run.state) } }
                    @if !run.started.is_empty() { span { (run.started) " UTC" } }
                    @if let Some(seconds) = run.seconds { span { "took " (duration(seconds)) } }
                    @if !run.device.is_empty() { span { (run.device) } }
                    @if let Some(n_threads) = run.n_threads {
                        span { (n_threads) @if n_threads == 1 { " thread" } @else { " threads" } }
                    }
                }
                (self.origin())
            }
            nav aria-label="sections" {
                @for section in self.sections { a href={ "#" (section.id) } { (section.title) } }
            }
        }
    }
}

/// The digits of a commit that identify it for readers.
const COMMIT_DIGITS: usize = 12;

/// Allows the page's own style, script and embedded images, and nothing else.
fn policy(style: &str, script: &str) -> String {
    format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'",
        source_of(style),
        source_of(script)
    )
}

/// The source expression of a `Content-Security-Policy` that allows exactly this style or script inside a page.
pub fn source_of(text: &str) -> String {
    format!("'sha256-{}'", pipeline_data::encode_base64(&Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_names_the_hashes_that_browsers_compute() {
        // printf '' | openssl dgst -sha256 -binary | base64, and the same of `a`.
        let policy = policy("", "a");
        assert!(policy.contains("style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';"), "{policy}");
        assert!(policy.contains("script-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=';"), "{policy}");
    }
}

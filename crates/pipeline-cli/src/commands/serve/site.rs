//! The site: pages, JSON and thumbnails of one pool. Paths are names of these and never of files.

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pipeline_core::{RunId, StageError};
use pipeline_experiments::{EvaluationPool, Opened};
use pipeline_stages::{PoolThumbnails, TextSearch};

use super::http::Request;
use super::reports::Reports;
use super::response::Response;
use crate::door::list_folder;
use crate::failure::Failure;
use crate::page;
use crate::searching::{self, DEFAULT_K, Results};

/// The most images that are shown at once.
const MAX_K: u16 = 100;
/// The longer side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 224;
/// Requests are answered on several threads; each searches on a single one.
const N_THREADS: usize = 1;

/// A pool with its encoder, its thumbnails and its pages.
pub struct Site {
    name: String,
    searching: EvaluationPool,
    text: TextSearch,
    thumbnails: Option<PoolThumbnails>,
    reports: Reports,
}

impl Site {
    /// Loads everything that requests will need; `named` is the run that was named in place of a spec.
    ///
    /// # Errors
    /// When the pool is not up to date, or the encoder or the images cannot be read.
    pub fn open(opened: &Opened, stage: Option<&str>, named: Option<RunId>) -> Result<Self, Failure> {
        let searching = searching::open(opened, stage, N_THREADS)?;
        let text = TextSearch::open(&opened.spec, &searching.evaluation, &opened.settings)?;
        let thumbnails = PoolThumbnails::open(&opened.spec, &searching.evaluation, &list_folder(&opened.store))?;
        let reports = Reports::new(opened, &searching, named);
        Ok(Self { name: opened.spec.name.clone(), searching, text, thumbnails, reports })
    }

    /// The pool, in words.
    pub fn pool(&self) -> String {
        format!("{} images of `{}` of {}", self.searching.pool.len(), self.searching.evaluation, self.name)
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request) -> Response {
        match request.path.as_str() {
            "/" | "/search" => self.search_page(&request.query),
            "/api/search" => self.search_json(&request.query),
            "/report" => self.reports.report(),
            "/sweep" => self.reports.sweep(),
            path => match path.strip_prefix("/image/") {
                Some(id) => self.thumbnail(id),
                None => Response::text(404, "there is nothing here"),
            },
        }
    }

    fn search_page(&self, query: &str) -> Response {
        let asked = Asked::parse(query);
        let value = asked.as_ref().ok().and_then(|asked| asked.text.clone()).unwrap_or_default();
        let (status, answer) = match asked.and_then(|asked| self.search(&asked)) {
            Ok(Some(results)) => {
                let source = |id: &str| {
                    let address = format!("/image/{}", utf8_percent_encode(id, NON_ALPHANUMERIC));
                    self.thumbnails.is_some().then_some(address)
                };
                (200, page::results(&results, &source))
            }
            Ok(None) => (200, html! { p { (self.pool().replace('`', "")) } }),
            Err(problem) => (400, html! { p class="error" { (problem) } }),
        };
        let body = html! {
            (self.links())
            form action="/search" {
                input name="q" value=(value) aria-label="query" autofocus;
                " "
                button { "Search" }
            }
            (answer)
        };
        let html = page::page(&format!("{}: search", self.name), &body);
        Response::html(status, html)
    }

    /// The name of the spec, and links to its pages.
    fn links(&self) -> Markup {
        html! {
            nav {
                span { (self.name) }
                @for (address, text) in self.reports.addresses() {
                    " " a href=(address) { (text) }
                }
            }
        }
    }

    fn search_json(&self, query: &str) -> Response {
        let results = Asked::parse(query).and_then(|asked| self.search(&asked));
        let (status, json) = match results.and_then(|results| results.ok_or("`q` is missing".to_owned())) {
            Ok(results) => (200, serde_json::to_vec(&results)),
            Err(problem) => (400, serde_json::to_vec(&serde_json::json!({ "error": problem }))),
        };
        let body = json.expect("plain data becomes JSON");
        Response::new(status, "application/json", body)
    }

    /// The results for a text; `None` without one.
    fn search(&self, asked: &Asked) -> Result<Option<Results>, String> {
        let Some(text) = asked.text.as_deref() else { return Ok(None) };
        let in_words = |error: StageError| Failure::from(error).errors.join(": ");
        let query = self.text.query(text).map_err(in_words)?;
        let found = self.searching.pool.search(&query, asked.k.into()).map_err(in_words)?;
        Ok(Some(Results::of_text(&self.searching, text, found)))
    }

    fn thumbnail(&self, id: &str) -> Response {
        let nothing = || Response::text(404, "there is no such image");
        let Ok(id) = percent_decode_str(id).decode_utf8() else { return nothing() };
        let Some(thumbnails) = self.thumbnails.as_ref().filter(|_| self.searching.pool.has(&id)) else {
            return nothing();
        };
        match thumbnails.thumbnail(&id, THUMBNAIL_SIDE) {
            Ok(Some(thumbnail)) => Response::new(200, thumbnail.media_type, thumbnail.bytes),
            Ok(None) => nothing(),
            Err(error) => Response::text(500, &error.to_string()),
        }
    }
}

/// A parsed query string.
struct Asked {
    text: Option<String>,
    k: u16,
}

impl Asked {
    /// Reads `q` and `k`; ignores other names, and the first of repeated ones counts.
    fn parse(query: &str) -> Result<Self, String> {
        let value = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let k = match value("k") {
            None => DEFAULT_K,
            Some(text) => {
                let k = text.parse().ok().filter(|k| (1..=MAX_K).contains(k));
                k.ok_or_else(|| format!("`k` must be a number from 1 to {MAX_K}"))?
            }
        };
        Ok(Self { text: value("q").filter(|text| !text.is_empty()), k })
    }
}

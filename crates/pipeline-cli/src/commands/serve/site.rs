//! The site: pages, JSON, thumbnails and events. Paths are names of these and never of files.

use std::path::PathBuf;

use maud::{Markup, html};
use percent_encoding::percent_decode_str;
use pipeline_experiments::{Opened, StoreRef, project};
use pipeline_report::Page;
use pipeline_store::{RunState, Store};

use super::connections::{Answer, Feed};
use super::pool::{NoResults, ServedPool};
use super::reports::{Reports, RunPages};
use super::request::{MAX_BODY_BYTES, Method, Request};
use super::response::Response;
use super::upload::{self, FIELD};
use super::watch::{News, Watch};
use crate::failure::Failure;
use crate::page::{self, Content, Ways};
use crate::searching::{DEFAULT_K, Results};

/// The most images that are shown at once.
const MAX_K: u16 = 100;
/// The number of texts to begin with.
const N_EXAMPLES: usize = 8;
/// The paths to which an image can be sent.
pub const UPLOADS: &[&str] = &["/search", "/api/search"];

/// What is served of one store.
pub struct Site {
    name: String,
    pool: Option<(ServedPool, Reports)>,
    pages: RunPages,
    /// The runs of the store.
    pub watch: Watch,
    /// The folder whose project's specs are listed.
    folder: PathBuf,
}

/// The parts of a results page that depend on the search.
struct Asked {
    /// The text in the search box.
    text: String,
    /// The address of the thumbnail of an image that was searched for.
    picture: Option<String>,
}

impl Site {
    /// The site of a spec whose pool can be searched.
    pub fn of_spec(opened: &Opened, pool: ServedPool, reports: Reports, folder: PathBuf) -> Self {
        let store = opened.store.clone();
        let pages = RunPages::new(store.clone());
        Self { name: opened.spec.name.clone(), pool: Some((pool, reports)), pages, watch: Watch::new(store), folder }
    }

    /// The site of a project, without a search.
    ///
    /// # Errors
    /// When its store cannot be opened.
    pub fn of_project(store: &StoreRef, folder: PathBuf) -> Result<Self, Failure> {
        let store = Store::open(&store.folder)?;
        let root = project::root(&folder).unwrap_or(&folder);
        let name = root.file_name().map_or_else(|| "runs".into(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, pool: None, pages: RunPages::new(store.clone()), watch: Watch::new(store), folder })
    }

    /// What is served, in words.
    pub fn words(&self) -> String {
        match &self.pool {
            Some((pool, _)) => format!("{} of {}", pool.words(), self.name),
            None => format!("the runs of {}", self.name),
        }
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request) -> Answer<'_> {
        let response = match request.path.as_str() {
            "/events" => return self.events(request),
            "/" => self.start(),
            "/search" => self.search_page(request),
            "/api/search" => self.search_json(request),
            "/report" => self.of_pool(|_, reports| reports.report()),
            "/sweep" => self.of_pool(|_, reports| reports.sweep()),
            path => self.named(path, &request.query),
        };
        Answer::Response(response)
    }

    /// The answer to a path that ends with a name.
    fn named(&self, path: &str, query: &str) -> Response {
        let decoded = |name: &str| percent_decode_str(name).decode_utf8().map(|name| name.into_owned());
        let named = |prefix: &str| path.strip_prefix(prefix).and_then(|name| decoded(name).ok());
        if let Some(id) = named("/image/") {
            return self.of_pool(|pool, _| match pool.thumbnail(&id) {
                Ok(thumbnail) => Response::new(200, thumbnail.media_type, thumbnail.bytes),
                Err(NoResults { status, why }) => Response::text(status, &why),
            });
        }
        if let Some(id) = named("/similar/") {
            return self.of_pool(|pool, _| {
                let results = k_of(query).and_then(|k| pool.like(&id, k));
                let picture = pool.has_thumbnails().then(|| thumbnail_address(&id));
                self.results_page(pool, &Asked { text: String::new(), picture }, results)
            });
        }
        if let Some(id) = named("/api/similar/") {
            return self.of_pool(|pool, _| json(k_of(query).and_then(|k| pool.like(&id, k))));
        }
        named("/runs/").map_or_else(nothing, |run| self.run_page(&run))
    }

    fn of_pool(&self, answer: impl FnOnce(&ServedPool, &Reports) -> Response) -> Response {
        self.pool.as_ref().map_or_else(nothing, |(pool, reports)| answer(pool, reports))
    }

    /// The start page: the search, the specs, the runs.
    fn start(&self) -> Response {
        self.watch.look_at_labels();
        let body = html! {
            @if let Some((pool, _)) = &self.pool {
                section {
                    (search_box(pool, "", true))
                    (examples(pool))
                    p.sub { (pool.words().replace('`', "")) ". A click on a picture shows more like it." }
                    @for note in pool.notes() { p.note { (note) } }
                }
            } @else {
                (self.specs())
            }
            (self.runs())
        };
        self.page(200, &self.name, body)
    }

    /// The runs, which a script keeps up to date.
    fn runs(&self) -> Markup {
        let (since, rows) = self.watch.listed();
        html! {
            section #runs {
                h2 { "Runs" span #live role="status" {} }
                noscript {
                    p.note {
                        "This page shows the runs as they were when it was loaded: without scripts it does not change."
                    }
                }
                p #no-runs.sub hidden[!rows.is_empty()] { "Nothing has run in this store yet." }
                ul.runs data-events="/events" data-since=(since) {
                    @for row in rows { (maud::PreEscaped(row)) }
                }
            }
        }
    }

    /// The specs of the project, with the command that searches each.
    fn specs(&self) -> Markup {
        let specs = project::specs(&self.folder);
        html! {
            section {
                h2 { "Specs" }
                @if specs.is_empty() { p.sub { "This folder has no specs." } }
                @else {
                    div.scroll {
                        table {
                            thead { tr { th { "spec" } th { "about" } th { "search its images" } } }
                            tbody {
                                @for spec in &specs {
                                    @let name = project::name_from(&self.folder, &spec.file);
                                    tr {
                                        td.nowrap { b { (name) } }
                                        td.remarks { (spec.about) }
                                        td { code { "pipeline serve " (crate::again::quoted(&name)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// A run: its report, or its stages while it runs.
    fn run_page(&self, name: &str) -> Response {
        self.watch.look();
        match self.watch.detail(name) {
            Some((since, detail, RunState::Running)) => {
                let events = format!(
                    "/events?run={}",
                    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
                );
                let body = html! {
                    section data-events=(events) data-since=(since) {
                        h2 { "Run " (name) span #live role="status" {} }
                        noscript { p.note { "This page does not change without scripts: load it again." } }
                        (maud::PreEscaped(detail))
                    }
                };
                self.page(200, &format!("{}: run {name}", self.name), body)
            }
            _ => self.pages.page(name),
        }
    }

    fn search_page(&self, request: &Request) -> Response {
        self.of_pool(|pool, _| {
            if request.method == Method::Post {
                return self.upload_page(pool, request);
            }
            let text = value_of(&request.query, "q").unwrap_or_default();
            if text.is_empty() {
                return self.start();
            }
            let results = k_of(&request.query).and_then(|k| pool.of_text(&text, k));
            self.results_page(pool, &Asked { text, picture: None }, results)
        })
    }

    fn upload_page(&self, pool: &ServedPool, request: &Request) -> Response {
        let upload = match upload::image(&request.content_type, &request.body) {
            Ok(upload) => upload,
            Err(refusal) => {
                let why = String::from_utf8_lossy(&refusal.body).trim_end().to_owned();
                let asked = Asked { text: String::new(), picture: None };
                return self.results_page(pool, &asked, Err(NoResults { status: refusal.status, why }));
            }
        };
        let found = k_of(&request.query).and_then(|k| pool.of_upload(&upload, k));
        let (results, thumbnail) = match found {
            Ok((results, thumbnail)) => (Ok(results), thumbnail),
            Err(none) => (Err(none), None),
        };
        let picture = thumbnail.map(|thumbnail| {
            format!("data:{};base64,{}", thumbnail.media_type, pipeline_data::encode_base64(&thumbnail.bytes))
        });
        self.results_page(pool, &Asked { text: String::new(), picture }, results)
    }

    fn results_page(&self, pool: &ServedPool, asked: &Asked, results: Result<Results, NoResults>) -> Response {
        let thumbnail = |id: &str| pool.has_thumbnails().then(|| thumbnail_address(id));
        let (status, title, answer) = match &results {
            Ok(results) => {
                let ways = Ways { thumbnail: &thumbnail, asked: asked.picture.as_deref(), is_linked: true };
                (200, results.what(), page::results(results, &ways))
            }
            Err(NoResults { status, why }) => {
                (*status, "no results", html! { section { p.error role="alert" { (why) } } })
            }
        };
        let body = html! { section { (search_box(pool, &asked.text, false)) } (answer) };
        self.page(status, &format!("{title} · {}", self.name), body)
    }

    fn search_json(&self, request: &Request) -> Response {
        self.of_pool(|pool, _| {
            if request.method == Method::Post {
                return match upload::image(&request.content_type, &request.body) {
                    Ok(upload) => {
                        let found = k_of(&request.query).and_then(|k| pool.of_upload(&upload, k));
                        json(found.map(|(results, _)| results))
                    }
                    Err(refusal) => {
                        let why = String::from_utf8_lossy(&refusal.body).trim_end().to_owned();
                        json(Err(NoResults { status: refusal.status, why }))
                    }
                };
            }
            let text = value_of(&request.query, "q").filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| NoResults { status: 400, why: "`q` is missing".to_owned() });
            json(text.and_then(|text| pool.of_text(&text, k_of(&request.query)?)))
        })
    }

    /// The runs, or one run, as they change.
    fn events(&self, request: &Request) -> Answer<'_> {
        let mut since = request.last_event_id.clone().or_else(|| value_of(&request.query, "since"));
        let run = value_of(&request.query, "run");
        let mut is_first = true;
        let feed: Feed<'_> = Box::new(move || {
            let message = match &run {
                None => self
                    .watch
                    .news(since.as_deref())
                    .map(|News { id, order, rows }| ("runs", id, serde_json::json!({ "order": order, "rows": rows }))),
                Some(run) => self
                    .watch
                    .news_of(run, since.as_deref())
                    .map(|(id, html)| ("run", id, serde_json::json!({ "html": html }))),
            };
            // How long the browser waits before it connects again, in milliseconds.
            let mut text = if std::mem::take(&mut is_first) { "retry: 2000\n\n".to_owned() } else { String::new() };
            if let Some((name, id, data)) = message {
                text += &format!("id: {id}\nevent: {name}\ndata: {data}\n\n");
                since = Some(id);
            }
            text.into_bytes()
        });
        Answer::Stream(feed)
    }

    /// A page with the links to all others.
    fn page(&self, status: u16, title: &str, body: Markup) -> Response {
        let mut links = vec![("/", if self.pool.is_some() { "Search" } else { "Specs" }), ("/#runs", "Runs")];
        if let Some((_, reports)) = &self.pool {
            links.extend(reports.addresses());
        }
        let content = Content { title, heading: &self.name, links: &links, body };
        let Page { html, content_security_policy } = content.served();
        Response::page(status, html, content_security_policy)
    }
}

/// The search by text and by image.
fn search_box(pool: &ServedPool, text: &str, is_start: bool) -> Markup {
    html! {
        div.search {
            form action="/search" role="search" {
                input type="search" name="q" value=(text) aria-label="text to search for" placeholder="Search by text"
                    autofocus[is_start];
                button { "Search" }
            }
            @match pool.takes_images() {
                Ok(()) => form.upload action="/search" method="post" enctype="multipart/form-data"
                    data-most=(MAX_BODY_BYTES) {
                    label {
                        span { "… or by an image: choose, paste or drop one" }
                        input type="file" name=(FIELD) accept="image/*" required;
                    }
                    button { "Search by image" }
                    span.error role="alert" {}
                },
                Err(why) => p.sub { "No search by image: " (why) "." },
            }
        }
    }
}

/// Queries of the evaluation to begin with.
fn examples(pool: &ServedPool) -> Markup {
    let examples = pool.searching().pool.examples(N_EXAMPLES);
    html! {
        @if !examples.is_empty() {
            h3 { "Examples" }
            ul.examples { @for text in examples { li { a href=(page::search(text)) { (text) } } } }
        }
    }
}

fn thumbnail_address(id: &str) -> String {
    format!("/image/{}", percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC))
}

fn nothing() -> Response {
    Response::text(404, "there is nothing here")
}

/// The results of a search as JSON, as `pipeline search --json` prints them.
fn json(results: Result<Results, NoResults>) -> Response {
    let (status, json) = match results {
        Ok(results) => (200, serde_json::to_vec(&results)),
        Err(NoResults { status, why }) => (status, serde_json::to_vec(&serde_json::json!({ "error": why }))),
    };
    Response::new(status, "application/json", json.expect("plain data becomes JSON"))
}

/// A value of a query; the first of repeated ones counts.
fn value_of(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// The number of images to show.
fn k_of(query: &str) -> Result<u16, NoResults> {
    let Some(text) = value_of(query, "k") else { return Ok(DEFAULT_K) };
    let k = text.parse().ok().filter(|k| (1..=MAX_K).contains(k));
    k.ok_or_else(|| NoResults { status: 400, why: format!("`k` must be a number from 1 to {MAX_K}") })
}

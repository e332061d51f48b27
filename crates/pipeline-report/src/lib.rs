//! Renders a run, or all points of a sweep, as one self-contained HTML page: measurements, their origin, rankings.
//!
//! Knows rows and numbers, no store, no spec and no terminal: the caller passes plain [`facts`]. The page needs no
//! network and no other file, and escapes every text.
//!
//! ```
//! use pipeline_report::facts::{Report, RunFacts};
//!
//! let run = RunFacts { id: "20261124T082050Z-ab12".into(), spec: "demo <1>".into(), ..RunFacts::default() };
//! let html = pipeline_report::render(&Report { run, ..Report::default() }).html;
//! assert!(html.starts_with("<!DOCTYPE html>") && html.contains("demo &lt;1&gt;"));
//! ```

mod chart;
pub mod facts;
mod history;
mod page;

pub use history::{History, NotAHistory};
pub use page::{Page, STYLE, pictures, render, render_sweep, source_of};

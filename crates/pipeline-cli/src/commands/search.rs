//! `pipeline search`: the images of an evaluated pool that are most similar to a text or an image.
//!
//! JSON: `{query, image, stage, pool_size, results: [{rank, id, score, relevant}], relevant: [{id, rank}], queries:
//! [{rank, text, score, relevant}], own_queries}`; `relevant` where the text is one of the evaluation, `queries` for an
//! image, `own_queries` in `serve` only.

use std::path::Path;

use pipeline_experiments::{EvaluationPool, Opened, ReadQueries};
use pipeline_stages::{ImageSearch, PoolThumbnails, TextSearch};

use crate::args::SearchArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::page::{self, Content, Ways};
use crate::remotes;
use crate::searching::{self, Results};
use crate::table::Table;
use crate::terminal::Terminal;
use crate::whole_file::WholeFile;

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 224;

/// The longest image file to search for, in bytes.
const MAX_IMAGE_BYTES: u64 = 256 << 20;

/// Runs the command.
///
/// # Errors
/// When the pool is not up to date, the query cannot be encoded, or the page cannot be written.
pub fn run(args: &SearchArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let n_threads = door::n_threads();
    let queries = if args.image.is_some() { ReadQueries::WithTexts } else { ReadQueries::Named };
    let searching = searching::open(&opened, args.stage.as_deref(), queries, n_threads);
    remotes::note_news(&opened.store, terminal);
    let searching = searching?;
    let results = match (&args.query, &args.image) {
        (_, Some(file)) => by_image(&opened, &searching, file, args.k, n_threads)?,
        (query, None) => by_text(&opened, &searching, query.as_deref().unwrap_or_default(), args.k)?,
    };
    if let Some(file) = &args.html {
        let html = html(&opened, &searching, &results)?;
        let protected = opened.protected();
        let file =
            WholeFile { path: file, protected: Some(&protected), store: &opened.store, force: args.replace.force };
        file.write(html.as_bytes(), terminal)?;
        let file = file.path;
        terminal.remark(&format!("{}: {} images", file.display(), results.results.len()));
    }
    if args.json.json {
        terminal.json(&results)?;
    } else {
        print(&results, terminal)?;
    }
    Ok(Exit::Done)
}

/// The images as a table, and below it the queries that are nearest to an image.
fn print(results: &Results, terminal: &Terminal) -> Result<(), Failure> {
    let is_known = results.relevant.is_some();
    let mut table =
        Table::new(if is_known { &["rank", "score", "image", "relevant"] } else { &["rank", "score", "image"] })
            .shorten([2]);
    for found in &results.results {
        let mut row = vec![found.rank.to_string(), shown(found.score), found.id.clone().unwrap_or_default()];
        row.extend(found.relevant.map(|relevant| yes(relevant).to_owned()));
        table.row(row);
    }
    terminal.data(&table.render(terminal.out, terminal.out_width()))?;
    if let Some(queries) = &results.queries {
        let mut table = Table::new(&["rank", "score", "query"]).shorten([2]);
        for found in queries {
            table.row(vec![found.rank.to_string(), shown(found.score), found.text.clone()]);
        }
        terminal.data(&format!("\n{}", table.render(terminal.out, terminal.out_width())))?;
    }
    let ranks = results.relevant.as_deref().map(|relevant| format!("; {}", page::relevant_ranks(relevant)));
    terminal.remark(&format!("of {}{}", results.pool(), ranks.unwrap_or_default()));
    Ok(())
}

fn shown(score: f32) -> String {
    format!("{score:.4}")
}

fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "" }
}

fn by_text(opened: &Opened, searching: &EvaluationPool, text: &str, k: u16) -> Result<Results, Failure> {
    let query = TextSearch::open(&opened.spec, &searching.evaluation, &opened.settings)?.query(text)?;
    Ok(Results::of_text(searching, text, &searching.pool.place(&query)?, k)?)
}

fn by_image(
    opened: &Opened,
    searching: &EvaluationPool,
    file: &Path,
    k: u16,
    n_threads: usize,
) -> Result<Results, Failure> {
    let bytes = pipeline_files::read_at_most(file, MAX_IMAGE_BYTES)
        .map_err(|error| Failure::because(Exit::Usage, &error).under(format!("cannot read `{}`", file.display())))?;
    let search = ImageSearch::open(&opened.spec, &searching.evaluation, &opened.settings, n_threads)?;
    let query = search
        .query(&bytes)
        .map_err(|error| Failure::from(error).under(format!("cannot search for `{}`", file.display())))?;
    Ok(Results::of_image(searching, &file.display().to_string(), &searching.pool.place(&query)?, k)?)
}

/// A self-contained page with the thumbnails in it.
fn html(opened: &Opened, searching: &EvaluationPool, results: &Results) -> Result<String, Failure> {
    let thumbnails = PoolThumbnails::open(&opened.spec, &searching.evaluation, &door::list_folder(&opened.store))?;
    let source = |id: &str| {
        let thumbnail = thumbnails.as_ref()?.thumbnail(id, THUMBNAIL_SIDE).ok()??;
        Some(format!("data:{};base64,{}", thumbnail.media_type, pipeline_data::encode_base64(&thumbnail.bytes)))
    };
    let ways = Ways { thumbnail: &source, asked: None, is_linked: false };
    let (title, body) = (results.what(), page::results(results, &ways));
    Ok(Content { title, heading: title, links: &[], body }.file())
}

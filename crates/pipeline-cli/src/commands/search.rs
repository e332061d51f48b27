//! `pipeline search`: the images of an evaluated pool that are most similar to a text or an image.
//!
//! JSON: `{query, image, stage, pool_size, results: [{rank, id, score}]}`.

use std::path::Path;

use pipeline_experiments::{EvaluationPool, Opened};
use pipeline_stages::{ImageSearch, PoolThumbnails, TextSearch};

use crate::args::SearchArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::page;
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
    let searching = searching::open(&opened, args.stage.as_deref(), n_threads)?;
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
        let mut table = Table::new(&["rank", "score", "image"]);
        for found in &results.results {
            let id = found.id.clone().unwrap_or_default();
            table.row(vec![found.rank.to_string(), format!("{:.4}", found.score), id]);
        }
        terminal.data(&table.render(terminal.out, terminal.out_width()))?;
        terminal.remark(&format!("of {}", results.pool()));
    }
    Ok(Exit::Done)
}

fn by_text(opened: &Opened, searching: &EvaluationPool, text: &str, k: u16) -> Result<Results, Failure> {
    let query = TextSearch::open(&opened.spec, &searching.evaluation, &opened.settings)?.query(text)?;
    let found = searching.pool.search(&query, k.into())?;
    Ok(Results::of_text(searching, text, found))
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
    let found = searching.pool.search(&query, k.into())?;
    Ok(Results::of_image(searching, &file.display().to_string(), found))
}

/// A self-contained page with the thumbnails in it.
fn html(opened: &Opened, searching: &EvaluationPool, results: &Results) -> Result<String, Failure> {
    let thumbnails = PoolThumbnails::open(&opened.spec, &searching.evaluation, &door::list_folder(&opened.store))?;
    let source = |id: &str| {
        let thumbnail = thumbnails.as_ref()?.thumbnail(id, THUMBNAIL_SIDE).ok()??;
        Some(format!("data:{};base64,{}", thumbnail.media_type, pipeline_data::encode_base64(&thumbnail.bytes)))
    };
    Ok(page::page(results.what(), &page::results(results, &source)))
}

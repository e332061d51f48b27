//! The pages of `docs/reference` match the program's own descriptions. `make reference` rewrites them.

mod events;
mod json;
mod markdown;
mod program;
mod rust;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

/// Set to anything, it rewrites the pages instead of comparing them.
const REWRITE: &str = "PIPELINE_WRITE_REFERENCE";

#[test]
fn the_page_of_commands_is_what_the_help_says() {
    check("commands.md", &program::commands());
}

#[test]
fn the_page_of_kinds_is_what_the_program_lists() {
    check("kinds.md", &program::kinds());
}

#[test]
fn the_page_of_specs_is_what_the_schema_says() {
    check("spec.md", &program::spec());
}

#[test]
fn the_page_of_exit_codes_is_what_the_code_says() {
    check("exit-codes.md", &events::exit_codes());
}

#[test]
fn the_page_of_events_is_what_the_code_says() {
    check("events.md", &events::events());
}

#[test]
fn the_page_of_json_shows_what_the_commands_print() {
    check("json.md", &json::page());
}

#[test]
fn the_page_of_the_store_names_all_that_a_used_store_holds() {
    store::check();
}

/// Compares a page with its text, or writes it.
fn check(name: &str, text: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os(REWRITE).is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    let different = page.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line_idx = different.unwrap_or_else(|| page.lines().count().min(text.lines().count()));
    let line = |text: &str| text.lines().nth(line_idx).unwrap_or("the end of the page").to_owned();
    assert!(
        page == text,
        "docs/reference/{name}:{} is `{}` and should be `{}`: run `make reference` and commit the page",
        line_idx + 1,
        line(&page),
        line(text)
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

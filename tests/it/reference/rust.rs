//! Documented enums and structs, read from the source.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// A variant or a field with its documentation.
#[derive(Debug)]
pub struct Documented {
    pub name: String,
    pub doc: String,
    /// The type of a field, the number or fields of a variant as they are written.
    pub rest: String,
    pub fields: Vec<Documented>,
    /// True if serde skips it.
    pub is_skipped: bool,
}

/// The variants or fields of the only item in the sources of a crate that begins with `pub enum NAME` or the like.
pub fn members(krate: &str, item: &str) -> Vec<Documented> {
    let mut files = Vec::new();
    collect(&root().join("crates").join(krate).join("src"), &mut files);
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let head = format!("{item} {{\n");
    let bodies: Vec<String> =
        texts.filter_map(|text| Some(text.split_once(&head)?.1.split("\n}\n").next()?.to_owned())).collect();
    assert_eq!(bodies.len(), 1, "`{item}` stands once in {krate}");
    let lines: Vec<&str> = bodies[0].lines().collect();
    parse(&mut lines.as_slice(), 4)
}

/// Reads the members at this indent; those of a variant are indented deeper.
fn parse(lines: &mut &[&str], indent: usize) -> Vec<Documented> {
    let mut members = Vec::new();
    let (mut doc, mut is_skipped) = (Vec::new(), false);
    while let Some((line, rest)) = lines.split_first() {
        let depth = line.len() - line.trim_start().len();
        let text = line.trim();
        if depth < indent && !text.is_empty() {
            break;
        }
        *lines = rest;
        if let Some(words) = text.strip_prefix("///") {
            doc.push(words.trim().to_owned());
        } else if text.starts_with("#[serde(skip)]") {
            is_skipped = true;
        } else if !text.is_empty() && !text.starts_with("#[") && !text.starts_with("//") && !text.starts_with('}') {
            let mut member = member(text, first_paragraph(&doc), is_skipped);
            if text.ends_with('{') {
                member.fields = parse(lines, indent + 4);
            }
            members.push(member);
            (doc, is_skipped) = (Vec::new(), false);
        }
    }
    members
}

fn member(text: &str, doc: String, is_skipped: bool) -> Documented {
    let text = text.trim_start_matches("pub ").trim_end_matches([',', '{', ' ']);
    let (name, rest) = text.split_once(": ").unwrap_or((text, ""));
    Documented { name: name.to_owned(), doc, rest: rest.to_owned(), fields: Vec::new(), is_skipped }
}

fn first_paragraph(doc: &[String]) -> String {
    let lines: Vec<&str> = doc.iter().map(String::as_str).take_while(|line| !line.is_empty()).collect();
    // Links of rustdoc lead nowhere in Markdown.
    lines.join(" ").replace("[`", "`").replace("`]", "`")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

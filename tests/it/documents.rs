//! The documents keep the rules of words in CONTRIBUTING.md, as far as these can be counted, and name what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest line; tables are exempt, since a row cannot be broken.
const MOST_CHARACTERS: usize = 120;

/// The longest sentence of README.md and ARCHITECTURE.md, and the average of their sentences, in words.
const MOST_WORDS: usize = 25;
const MEAN_WORDS: f64 = 14.0;

#[test]
fn no_line_of_a_document_is_too_long() {
    for (path, text) in documents() {
        for (line_idx, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('|')) {
            let n_chars = line.chars().count();
            assert!(n_chars <= MOST_CHARACTERS, "{path}:{} has {n_chars} characters", line_idx + 1);
        }
    }
}

#[test]
fn the_first_documents_fit_their_bounds() {
    for (path, most_lines) in [("README.md", 90), ("ARCHITECTURE.md", 120)] {
        let text = read(path);
        let n_lines = text.lines().count();
        assert!(n_lines <= most_lines, "{path} has {n_lines} lines, and may have {most_lines}");
        let lengths: Vec<(usize, String)> = sentences(&text).into_iter().map(|one| (n_words(&one), one)).collect();
        let (longest, sentence) = lengths.iter().max().unwrap();
        assert!(*longest <= MOST_WORDS, "{path}: {longest} words: {sentence}");
        let mean = lengths.iter().map(|(n_words, _)| *n_words as f64).sum::<f64>() / lengths.len() as f64;
        assert!(mean <= MEAN_WORDS, "the sentences of {path} have {mean:.1} words on average");
    }
}

#[test]
fn the_pictures_are_light() {
    const MOST_BYTES: u64 = 450_000;
    let pictures = fs::read_dir(root().join("docs/images")).unwrap().map(|entry| entry.unwrap());
    let n_bytes: u64 = pictures.map(|picture| picture.metadata().unwrap().len()).sum();
    assert!(n_bytes > 0 && n_bytes <= MOST_BYTES, "docs/images has {n_bytes} bytes, and may have {MOST_BYTES}");
}

#[test]
fn documents_print_report_and_show_instead_of_telling() {
    for (path, text) in documents() {
        // CONTRIBUTING.md names the words that it forbids.
        for (line_idx, line) in text.lines().enumerate().filter(|_| path != "CONTRIBUTING.md") {
            let word = words(line).find(|word| word == "told" || word == "tells");
            assert_eq!(word, None, "{path}:{}: {line}", line_idx + 1);
        }
    }
}

/// Lines of production code that still say told or tells, in comments, messages and names: lower it, never raise it.
const MOST_TELLING_LINES: usize = 8;

#[test]
fn code_prints_reports_and_shows_ever_more_instead_of_telling() {
    let mut sources = Vec::new();
    collect(&root().join("crates"), ".rs", &mut sources);
    sources.retain(|source| source.components().any(|part| part.as_os_str() == "src"));
    let is_telling = |line: &&str| words(line).any(|word| word == "told" || word == "tells");
    let n_lines = |source: &PathBuf| fs::read_to_string(source).unwrap().lines().filter(is_telling).count();
    let n_lines: usize = sources.iter().map(n_lines).sum();
    assert!(n_lines <= MOST_TELLING_LINES, "{n_lines} lines tell, and {MOST_TELLING_LINES} did");
}

/// The words of a line in lower case.
fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|letter: char| !letter.is_alphabetic()).map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for (path, text) in documents() {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let sources = text.split("src=\"").chain(text.split("srcset=\"")).filter(|part| part.starts_with("docs/"));
        for target in targets.chain(sources.filter_map(|part| part.split('"').next())) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let beside = root().join(&path).parent().unwrap().join(file);
            let beside = if file.is_empty() { root().join(&path) } else { beside };
            assert!(file.starts_with("https://") || beside.exists(), "{path} links to {target}");
            if !heading.is_empty() && !file.starts_with("https://") {
                let page = fs::read_to_string(&beside).unwrap();
                assert!(headings(&page).contains(heading), "{path} links to {target}, a heading that is not there");
            }
        }
    }
}

#[test]
fn every_sweep_of_the_experiments_has_its_line_in_the_findings() {
    let folder = root().join("pipelines/experiments");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let text = read("docs/guide/findings.md");
    let missing: Vec<_> = names
        .filter(|name| name.ends_with(".yaml") && name != "base.yaml")
        .filter(|name| !text.contains(&format!("\n| [{name}](../../pipelines/experiments/{name}) |")))
        .collect();
    assert!(missing.is_empty(), "docs/guide/findings.md has no line for {missing:?}");
}

#[test]
fn every_page_is_in_the_list_of_pages() {
    let lists = [read("docs/README.md"), read("docs/design/README.md")].concat();
    for (path, _) in documents() {
        let name = path.rsplit('/').next().unwrap();
        let is_listed = !path.starts_with("docs/") || name == "README.md" || lists.contains(&format!("{name})"));
        assert!(is_listed, "neither docs/README.md nor docs/design/README.md links to {path}");
    }
}

/// Numbers in documents beside the constants that they quote: document, words, end of the source's path, constant.
const QUOTED: &[(&str, &str, &str, &str)] = &[
    ("docs/reference/images.md", "is at most 768 MiB", "decode/mod.rs", "DECODER_BYTES: 768 << 20"),
    ("docs/reference/images.md", "at most 128 MiB over all threads", "images/mod.rs", "FILES_BYTES: 128 << 20"),
    ("docs/reference/images.md", "at most 256 MiB of pixels", "shard_sizes.rs", "MAX_SHARD_BYTES: 256 << 20"),
    ("docs/reference/images.md", "178,956,970 pixels", "decode/mod.rs", "MAX_PIXELS: 178_956_970"),
    ("docs/reference/images.md", "more than 500 scans", "jpeg/mod.rs", "MAX_SCANS: 500"),
    ("docs/reference/images.md", "more than 16 times", "jpeg/mod.rs", "MAX_PASSES: 16"),
    ("docs/design/tokens.md", "in f32, 256 MiB", "shard_sizes.rs", "MAX_SHARD_BYTES: 256 << 20"),
    ("docs/design/tokens.md", "of some 16 MiB", "shards/tokens/mod.rs", "GROUP_BYTES: 16 << 20"),
    ("docs/guide/command.md", "20,000 lines or 8 MiB", "command/output.rs", "MAX_LINES: 20_000"),
    ("docs/guide/command.md", "20,000 lines or 8 MiB", "command/output.rs", "MAX_BYTES: 8 << 20"),
    ("docs/guide/command.md", "after 0.5 s", "command/tries.rs", "FIRST_PAUSE: Duration::from_millis(500)"),
    ("docs/guide/command.md", "up to 30 s", "command/tries.rs", "LONGEST_PAUSE: Duration::from_secs(30)"),
    ("docs/guide/command.md", "runs after 0.2 s", "guard/process.rs", "SETTLING: Duration::from_millis(200)"),
    ("docs/guide/command.md", "another 0.8 s", "guard/process.rs", "GRACE: Duration::from_millis(800)"),
    ("docs/guide/searching.md", "`--queries N` (120)", "args/report.rs", "N_QUERIES: 120"),
    ("docs/guide/specs.md", "as many as threads, at most 4", "commands/run.rs", "MAX_DEFAULT_JOBS: 4"),
    ("docs/design/divided-artifacts.md", "Up to 4,096 shards", "sub_tree.rs", "MAX_UNDIVIDED: 4096"),
    ("docs/reference/store.md", "more than 4,096 shards", "sub_tree.rs", "MAX_UNDIVIDED: 4096"),
    ("docs/guide/specs.md", "More than 4,096 shards", "sub_tree.rs", "MAX_UNDIVIDED: 4096"),
    ("docs/guide/specs.md", "2³⁸ or more", "ranking.rs", "LEAST_PRODUCTS: 1 << 38"),
    ("docs/design/shards.md", "leaves 256 shards or more", "shards/storing.rs", "MIN_PACKED: 256"),
    ("docs/design/equal-rows.md", "up to 32 MiB", "extraction.rs", "RECENT_BYTES: 32 << 20"),
];

#[test]
fn numbers_in_the_documents_are_those_of_the_code() {
    let mut sources = Vec::new();
    collect(&root().join("crates"), ".rs", &mut sources);
    for (document, words, end, constant) in QUOTED {
        let text = read(document).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{document} does not say `{words}`");
        let (name, value) = constant.split_once(": ").unwrap();
        let of_file = sources.iter().filter(|source| source.ends_with(end));
        let texts: Vec<String> = of_file.map(|source| fs::read_to_string(source).unwrap()).collect();
        let is_there = |text: &String| {
            let mut lines = text.lines().filter(|line| line.contains(&format!("const {name}:")));
            lines.any(|line| line.ends_with(&format!(" = {value};")))
        };
        assert!(texts.iter().any(is_there), "{document} says `{words}`, and no …/{end} has `{name}` of `{value}`");
    }
}

/// Every document of the repository with its text.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in ["docs", "pipelines", "tests"] {
        collect(&root().join(folder), ".md", &mut paths);
    }
    paths.push(root().join("artifacts/README.md"));
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(top.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    assert!(paths.len() > 20, "{} documents found", paths.len());
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The headings of a page in the form of links.
fn headings(page: &str) -> BTreeSet<String> {
    let titles = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |title: &str| {
        let kept = title.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.collect::<String>().replace(' ', "-")
    };
    titles.map(anchor).collect()
}

/// The sentences of a document's prose: no headings, tables, pictures or code blocks; code in a line is a word.
fn sentences(document: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut is_code = false;
    for line in document.lines().map(str::trim) {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        let is_prose = !is_code && !is_fence && !line.is_empty() && !line.starts_with(['#', '|', '<']);
        let is_item = line.starts_with("- ") || line.split_once(". ").is_some_and(|(number, _)| is_number(number));
        if !is_prose || is_item {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut().filter(|_| is_prose) {
            paragraph.push(' ');
            paragraph.push_str(line.trim_start_matches("- "));
        }
    }
    let mut sentences = Vec::new();
    for paragraph in paragraphs.iter().map(|paragraph| plain(paragraph)) {
        let mut sentence = String::new();
        for word in paragraph.split_whitespace() {
            sentence.push_str(word);
            sentence.push(' ');
            if word.trim_end_matches([')', '*']).ends_with(['.', '!', '?']) {
                sentences.push(std::mem::take(&mut sentence));
            }
        }
        sentences.push(sentence);
    }
    sentences.retain(|sentence| n_words(sentence) > 0);
    sentences
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit())
}

/// The text with code replaced by one word, and links by their text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for (idx, part) in text.split('`').enumerate() {
        plain.push_str(if idx % 2 == 0 { part } else { "code" });
    }
    let mut shown = String::new();
    let mut rest = plain.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        shown.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    shown + rest
}

fn n_words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

fn collect(folder: &Path, ending: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, ending, paths);
        } else if path.to_string_lossy().ends_with(ending) {
            paths.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

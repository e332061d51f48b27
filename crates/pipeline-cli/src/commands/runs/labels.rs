//! `pipeline runs RUN --name …`: changes what people say about a recorded run.

use pipeline_store::{RunInfo, RunLabels, Store};

use crate::args::RelabelArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Changes the labels of a run.
///
/// # Errors
/// When the run does not have a tag that is to go, or the store cannot be written.
pub fn change(args: &RelabelArgs, store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(tag) = args.untagged.iter().find(|tag| !run.labels.tags.contains(*tag)) {
        let tags: Vec<_> = run.labels.tags.iter().map(|tag| format!("`{tag}`")).collect();
        let has = if tags.is_empty() { "it has no tags".to_owned() } else { format!("its tags: {}", tags.join(", ")) };
        return Err(Failure::new(Exit::Usage, format!("run {} has no tag `{tag}`", run.id)).with_help(has));
    }
    let mut labels = run.labels.clone();
    let text_or_nothing = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(name) = &args.name {
        labels.name = text_or_nothing(name);
    }
    if let Some(note) = &args.note {
        labels.note = text_or_nothing(note);
    }
    labels.tags.retain(|tag| !args.untagged.contains(tag));
    labels.tags.extend(args.tags.iter().cloned());
    if let Some(problem) = &run.labels_problem {
        terminal.remark(&lost(run, problem));
    }
    store.runs().label(&run.id, &labels)?;
    terminal.remark(&format!("run {} has {}", run.id, in_words(&labels)));
    Ok(())
}

/// The remark on labels that cannot be read, of which `problem` is the reason.
pub fn lost(run: &RunInfo, problem: &str) -> String {
    format!("name, note and tags of run {} are lost: {problem}", run.id)
}

fn in_words(labels: &RunLabels) -> String {
    let named = |what: &str, text: &str| format!("{what} `{text}`");
    let name = labels.name.iter().map(|name| named("name", name));
    let tags = labels.tags.iter().map(|tag| named("tag", tag));
    let note = labels.note.iter().map(|note| named("note", note));
    let words: Vec<String> = name.chain(tags).chain(note).collect();
    if words.is_empty() { "no name, note or tags".to_owned() } else { words.join(", ") }
}

//! `pipeline init`: begins a project around a data set: a spec, a store, a place for baselines, a workflow for CI.
//!
//! Overwrites nothing. JSON: `{root, files: [{path, is_new}], store, missing: [TEXT], next}`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipeline_experiments::{Loaded, SpecRef, StoreRef, missing_sources, project};
use pipeline_store::Store;
use serde_json::json;

use crate::args::InitArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::scaffold::{SPEC, Scaffold, ScaffoldFile, WORKFLOW, data_set};
use crate::terminal::Terminal;
use crate::whole_file::cannot;

/// Runs the command.
///
/// # Errors
/// When there is no data set, or a file cannot be written.
pub fn run(args: &InitArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let folder = args.folder.clone().unwrap_or_else(root_here);
    let data = data_set::find(&args.files, args.data.as_deref(), &absolute(&folder))?;
    std::fs::create_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
    let root = absolute(&folder);
    let models = args.models.as_deref().map_or_else(|| root.join("models"), absolute);
    let [text_model, image_model] = [&args.text_model, &args.image_model].map(|model| model_at(model));
    let scaffold = Scaffold { root, data, text_model, image_model, models, program_git: args.program_git.clone() };
    let files = scaffold.write()?;
    let spec = scaffold.root.join(format!("pipelines/{SPEC}.yaml"));
    let store = StoreRef::near(&spec, args.store.artifacts.as_deref());
    let is_new_store = !Store::is_at(&store.folder);
    Store::open(&store.folder)?.prepare()?;
    let missing = missing_in(&spec, &store)?;
    let next = next_command(&scaffold.root, missing.is_empty());
    if args.json.json {
        let files: Vec<_> = files.iter().map(|file| json!({ "path": file.path, "is_new": file.is_new })).collect();
        let missing: Vec<String> = missing.iter().map(|failure| failure.errors.join(": ")).collect();
        let (root, store) = (&scaffold.root, &store.folder);
        terminal.json(&json!({ "root": root, "files": files, "store": store, "missing": missing, "next": next }))?;
        return Ok(Exit::Done);
    }
    let store = ScaffoldFile { path: store.folder, is_new: is_new_store };
    terminal.data(&listing(&files, &store))?;
    for failure in &missing {
        // No error: a new project may lack its models for a while.
        let place = failure.span.as_ref().map_or(String::new(), |span| {
            let file = project::relative(&absolute(&door::here()), span.file.path());
            format!("{}:{}: ", file.display(), span.line)
        });
        terminal.remark(&format!("missing: {place}{}", failure.errors.join(": ")));
        failure.help.iter().for_each(|help| terminal.remark(&format!("  {help}")));
    }
    if scaffold.lacks_program() && files.iter().any(|file| file.is_new && file.path.ends_with(WORKFLOW)) {
        terminal
            .remark(&format!("to do: `PROGRAM` in {WORKFLOW} says where CI gets `pipeline` from (`--program-git`)"));
    }
    terminal.remark(&format!("next: `{next}`"));
    Ok(Exit::Done)
}

/// The root with a `pipeline.toml` at or above the current folder, else this folder.
fn root_here() -> PathBuf {
    let here = door::here();
    let marked = here.ancestors().find(|folder| folder.join("pipeline.toml").is_file());
    marked.unwrap_or(&here).to_owned()
}

/// The absolute path without links, as far as the folder exists.
fn absolute(folder: &Path) -> PathBuf {
    folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned())
}

/// The absolute path of a model that lies there, else its name.
fn model_at(model: &str) -> String {
    if Path::new(model).exists() { absolute(Path::new(model)).to_string_lossy().into_owned() } else { model.to_owned() }
}

/// The mistakes and missing files of the spec, models above all.
fn missing_in(spec: &Path, store: &StoreRef) -> Result<Vec<Failure>, Failure> {
    let named = SpecRef { store: store.clone(), ..SpecRef::at(spec, &[], None)? };
    let mut missing: Vec<Failure> = match Loaded::load(&named, &door::surroundings(), false) {
        Ok(loaded) => missing_sources(&loaded.spec, &loaded.graph).into_iter().map(Failure::from).collect(),
        Err(error) => vec![error.into()],
    };
    // Stages that lack the same model differ in the first message only.
    let mut seen = BTreeSet::new();
    missing.retain(|failure| seen.insert(failure.errors.last().cloned()));
    Ok(missing)
}

/// The command that goes on: the run of the spec, or what helps to find its models.
fn next_command(root: &Path, is_ready: bool) -> String {
    let command = if is_ready { format!("pipeline run {SPEC}") } else { "pipeline doctor".to_owned() };
    let here = absolute(&door::here());
    if here.starts_with(root) {
        command
    } else {
        format!("cd {} && {command}", project::relative(&here, root).display())
    }
}

fn listing(files: &[ScaffoldFile], store: &ScaffoldFile) -> String {
    let here = absolute(&door::here());
    let line = |file: &ScaffoldFile, remark: &str| {
        let word = if file.is_new { "wrote" } else { "there already" };
        format!("{word:<13}  {}{remark}", project::relative(&here, &file.path).display())
    };
    let lines = files.iter().map(|file| line(file, "")).chain([line(store, "/ (the store)")]);
    lines.collect::<Vec<_>>().join("\n")
}

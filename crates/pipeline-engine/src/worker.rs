//! The work of one thread: run a stage and commit its artifact, or copy published files out.
//!
//! Unaware of the other stages; what it finds goes to the run's thread as one [`Outcome`].

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Instant;

use pipeline_core::{
    Event, InputArtifact, Key, Manifest, Part, RunReason, StageContext, StageError, StageId, StageReport, Tree,
};
use pipeline_store::{KeyLock, OpenTree, OpenTreeError, Record, Store, StoreError};

use crate::host::{Host, Shards, leave_out_unmeasured};
use crate::provenance::Origin;
use crate::readers::{Open, Readers};
use crate::sources::{self, ReadSource};
use crate::{Cancel, EngineError, Graph, Node};

/// What all threads of a run share.
pub(crate) struct Workshop<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub cancel: &'a Cancel,
    pub origin: Origin,
    pub readers: Readers,
    /// Whether publishing replaces files that this program has not written.
    pub overwrite: bool,
}

/// A stage that is to run.
pub(crate) struct Order {
    pub idx: usize,
    pub key: Key,
    pub manifest: Manifest,
    pub why: RunReason,
    pub inputs: Vec<OrderedInput>,
    pub sources: Vec<ReadSource>,
    pub n_threads: usize,
    /// Held until the record is written.
    pub lock: KeyLock,
}

/// An input of a stage that is to run.
pub(crate) struct OrderedInput {
    pub slot: String,
    pub idx: usize,
    pub tree: Tree,
}

/// A file or folder that is to be copied to where the spec publishes it.
pub(crate) struct Copy {
    pub file: String,
    pub path: PathBuf,
    pub part: Part,
}

/// What threads tell the run.
pub(crate) enum Message {
    /// Something for the listener and the record of the run.
    Event(Box<Event>),
    /// The stage at `idx` has done its work; the thread only has files to store from now on.
    Worked { idx: usize },
    /// The thread is done with the stage at `idx`.
    Done { idx: usize, outcome: Outcome },
}

/// How the work of a thread ended.
pub(crate) enum Outcome {
    /// The stage ran; its record is written.
    Committed(Box<Committed>),
    /// All files were copied out.
    Published,
    /// Inputs, by position, whose bytes are lost or damaged, each with a message; the stage did not start.
    Unreadable(Vec<(usize, String)>),
    /// The sources are others than when the stage was decided about; it did not start.
    OtherSources(Vec<ReadSource>),
    /// The stage's own bytes are lost or damaged, so that nothing could be copied out.
    Unpublishable(String),
    /// The stage failed, after so many seconds.
    Failed(Failure, f64),
    /// The stage stopped because the run was asked to.
    Interrupted,
}

/// A stage that has run.
pub(crate) struct Committed {
    pub record: Record,
    pub n_shards_reused: u64,
    pub n_shards_computed: u64,
    pub n_rows_computed: u64,
    pub n_threads: usize,
}

/// Why a stage failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub errors: Vec<String>,
    pub help: Option<String>,
    pub is_bug: bool,
}

/// Runs a stage.
pub(crate) fn work(shop: &Workshop<'_>, order: Order, sender: &Sender<Message>) -> Outcome {
    let node = &shop.graph.nodes()[order.idx];
    let began = Instant::now();
    let artifacts = order.inputs.iter().map(|input| input.tree.digest()).collect();
    let reading = node.stage.runs_programs().then(|| shop.readers.begin(&node.id, artifacts));
    let inputs = match open_inputs(shop.store, &order.inputs) {
        Ok(inputs) => inputs,
        Err(NotOpened::Unreadable(inputs)) => return Outcome::Unreadable(inputs),
        Err(NotOpened::Store(error)) => return Outcome::Failed(error.into(), began.elapsed().as_secs_f64()),
    };
    match sources::read(node, shop.store) {
        Ok(sources) if sources == order.sources => {}
        Ok(sources) => return Outcome::OtherSources(sources),
        Err(error) => return Outcome::Failed(error.into(), began.elapsed().as_secs_f64()),
    }
    let started = Event::StageStarted {
        stage: node.id.clone(),
        kind: node.stage.kind().to_owned(),
        key: order.key,
        why: order.why.clone(),
    };
    let _ = sender.send(Message::Event(Box::new(started)));
    let result = run_and_commit(shop, node, &order, &inputs, reading, sender);
    drop(order.lock);
    match result {
        Ok(committed) => Outcome::Committed(Box::new(committed)),
        // Also errors of another sort: a signal to the whole process group kills the programs that a stage waits for.
        Err(failure) if shop.cancel.is_cancelled() && !failure.is_bug => Outcome::Interrupted,
        Err(failure) => Outcome::Failed(failure, began.elapsed().as_secs_f64()),
    }
}

/// Copies files to where the spec publishes them.
pub(crate) fn publish(shop: &Workshop<'_>, idx: usize, copies: &[Copy], sender: &Sender<Message>) -> Outcome {
    let began = Instant::now();
    let node = &shop.graph.nodes()[idx];
    for Copy { file, path, part } in copies {
        match shop.store.outside().publish(part, path, shop.overwrite) {
            Ok(kept) => {
                kept.iter().for_each(|kept| {
                    let message = format!(
                        "`{}` was changed after it was published; what it was is kept as `{}` until `cache gc`",
                        path.display(),
                        kept.display()
                    );
                    let warning = Event::StageWarning { stage: node.id.clone(), message };
                    let _ = sender.send(Message::Event(Box::new(warning)));
                });
                let (stage, file, path) = (node.id.clone(), file.clone(), path.display().to_string());
                let _ = sender.send(Message::Event(Box::new(Event::FilePublished { stage, file, path })));
            }
            Err(OpenTreeError::Store(error)) => {
                let failure = Failure::from(error).under(format!("cannot publish `{file}`"));
                return Outcome::Failed(failure, began.elapsed().as_secs_f64());
            }
            Err(error) => return Outcome::Unpublishable(format!("cannot publish `{file}`: {error}")),
        }
    }
    Outcome::Published
}

enum NotOpened {
    Unreadable(Vec<(usize, String)>),
    Store(StoreError),
}

type OpenInputs = BTreeMap<String, OpenTree>;

/// Verifies all inputs; the open trees keep their bytes in place while the stage runs.
fn open_inputs(store: &Store, inputs: &[OrderedInput]) -> Result<OpenInputs, NotOpened> {
    let mut open = BTreeMap::new();
    let mut unreadable = Vec::new();
    for input in inputs {
        match store.cas().open(&input.tree) {
            Ok(tree) => _ = open.insert(input.slot.clone(), tree),
            Err(OpenTreeError::Store(error)) => return Err(NotOpened::Store(error)),
            Err(error) => unreadable.push((input.idx, format!("input `{}`: {error}", input.slot))),
        }
    }
    if unreadable.is_empty() { Ok(open) } else { Err(NotOpened::Unreadable(unreadable)) }
}

fn run_and_commit(
    shop: &Workshop<'_>,
    node: &Node,
    order: &Order,
    inputs: &OpenInputs,
    reading: Option<Open<'_>>,
    sender: &Sender<Message>,
) -> Result<Committed, Failure> {
    let began = Instant::now();
    let scratch = shop.store.workspace().scratch()?;
    let is_forced = order.why == RunReason::Forced;
    let host = Host::new(&node.id, shop.store, shop.cancel, &shop.origin, is_forced, sender.clone());
    let shared = || inputs.iter().map(|(slot, tree)| (slot.clone(), tree.artifact().clone())).collect();
    let lent = reading.is_some().then(|| shop.store.workspace().lend(&order.key, &order.lock, shared())).transpose()?;
    let artifacts: BTreeMap<String, InputArtifact> = lent.as_ref().map_or_else(shared, |lent| lent.inputs().clone());
    let sources = order.sources.iter().map(|source| (source.name.clone(), source.digest)).collect();
    let context = StageContext {
        stage: &node.id,
        inputs: &artifacts,
        sources: &sources,
        scratch: scratch.folder(),
        device: shop.origin.device,
        n_threads: order.n_threads,
        host: &host,
    };
    let result = run_caught(node, &context);
    drop((lent, reading));
    if result.is_ok() {
        let _ = sender.send(Message::Worked { idx: order.idx });
    }
    // Whatever else went wrong: it may have been because of this.
    check_inputs(shop, node, order, inputs, began)?;
    let mut report = result?;
    check_sources(shop.store, &order.sources, node)?;
    leave_out_unmeasured(&mut report, &host);
    let worked = Instant::now();
    let shards = host.finish()?;
    let (n_shards_reused, n_shards_computed) = (shards.n_reused, shards.n_computed);
    let has_shards = n_shards_reused + n_shards_computed > 0;
    let n_rows_computed = if has_shards { shards.n_rows_computed } else { report.n_rows.unwrap_or(0) };
    let waited = shards.waited;
    report.warnings.clone_from(&shards.warnings);
    let tree = join(shop.store.cas().put_folder(scratch.folder())?, shards)?;
    report.seconds.insert("store".to_owned(), (waited + worked.elapsed()).as_secs_f64());
    let record = Record {
        key: order.key,
        manifest: order.manifest.clone(),
        tree,
        report,
        seconds: began.elapsed().as_secs_f64(),
        provenance: shop.origin.provenance(&node.id),
    };
    shop.store.records().put(&record)?;
    Ok(Committed { record, n_shards_reused, n_shards_computed, n_rows_computed, n_threads: order.n_threads })
}

fn run_caught(node: &Node, context: &StageContext<'_>) -> Result<StageReport, Failure> {
    // Whatever a panic leaves half-done lies in the scratch folder, which is thrown away.
    match catch_unwind(AssertUnwindSafe(|| node.stage.run(context))) {
        Ok(result) => Ok(result?),
        Err(panic) => Err(Failure {
            errors: vec![format!("BUG: stage kind `{}` panicked: {}", node.stage.kind(), panic_text(&*panic))],
            help: None,
            is_bug: true,
        }),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A result must not be remembered under the digest of something that the stage may not have read.
fn check_sources(store: &Store, sources: &[ReadSource], node: &Node) -> Result<(), Failure> {
    for ReadSource { path, digest, .. } in sources {
        if !store.sources().is_unchanged(path, digest)? {
            let message = format!("`{}` changed while `{}` read it", path.display(), node.id);
            return Err(StageError::new(message).with_help("run again").into());
        }
    }
    Ok(())
}

/// A result must not be remembered as that of inputs whose files were altered while the stage read them.
fn check_inputs(
    shop: &Workshop<'_>,
    node: &Node,
    order: &Order,
    inputs: &OpenInputs,
    began: Instant,
) -> Result<(), Failure> {
    for input in &order.inputs {
        let Some(open) = inputs.get(&input.slot) else { continue };
        if let Some(file) = shop.store.cas().altered(open)?.first() {
            let maker = &shop.graph.nodes()[input.idx].id;
            let culprits = shop.readers.of(&input.tree.digest(), began);
            let message = match culprits.as_slice() {
                [only] if *only == node.id => format!("it changed `{file}` of its input `{}`", input.slot),
                _ => format!("`{file}` of its input `{}` was changed while it ran{}", input.slot, by(&culprits)),
            };
            let help = format!(
                "a stage may not write into its inputs: let the program change a copy. The next run computes `{maker}` again"
            );
            return Err(StageError::new(message).with_help(help).into());
        }
    }
    Ok(())
}

fn by(culprits: &[StageId]) -> String {
    let names: Vec<String> = culprits.iter().map(|stage| format!("`{stage}`")).collect();
    if names.is_empty() { ", by no stage of this run".to_owned() } else { format!(", by {}", names.join(" or ")) }
}

/// The artifact: files left in the scratch folder and shards, whose names must not meet.
fn join(mut tree: Tree, shards: Shards) -> Result<Tree, Failure> {
    for (name, entry) in shards.files {
        if tree.files.insert(name.clone(), entry).is_some() {
            return Err(name_clash(&name));
        }
    }
    // A file cannot lie below another file.
    let mut folders = tree.files.keys().flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]));
    match folders.find(|&folder| tree.files.contains_key(folder)) {
        Some(name) => Err(name_clash(name)),
        None => Ok(tree),
    }
}

fn name_clash(name: &str) -> Failure {
    let errors = vec![format!("BUG: the artifact has a shard and another file named `{name}`")];
    Failure { errors, help: None, is_bug: true }
}

impl Failure {
    /// The same failure as the cause of another.
    fn under(mut self, message: String) -> Self {
        self.errors.insert(0, message);
        self
    }

    /// A failure of the engine's own doing, with its cause.
    pub fn because(message: &str, cause: &dyn Error) -> Self {
        let mut errors = vec![message.to_owned()];
        errors.extend(chain(cause));
        Self { errors, help: None, is_bug: false }
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self { errors: chain(&error), help: error.help, is_bug: false }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let help = match &error {
            EngineError::Source { source, .. } => source.help.clone(),
            EngineError::SourceDigest { source, .. } | EngineError::Store(source) => source.help(),
            EngineError::UnknownStage { .. } => None,
        };
        Self { errors: chain(&error), help, is_bug: false }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { errors: chain(&error), help: error.help(), is_bug: false }
    }
}

/// The messages of an error and its causes, outermost first.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut errors = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        errors.push(error.to_string());
        cause = error.source();
    }
    errors
}

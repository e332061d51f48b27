//! The work of one thread: runs a stage and commits its artifact, or copies published files out.
//!
//! Unaware of the other stages; sends its result to the run's thread as one [`Outcome`].

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Instant;

use pipeline_core::{
    Digest, Event, FileEntry, InputArtifact, Key, Manifest, Part, RunReason, StageContext, StageError, StageId,
    StageReport, StageWork, Tree, Work,
};
use pipeline_store::{Cas, KeyLock, OpenTree, OpenTreeError, Record, Store};

use crate::cards::{Cards, Held};
use crate::host::{Host, leave_out_unmeasured};
use crate::message::{Committed, Failure, Message, Outcome};
use crate::provenance::{Machines, Origin};
use crate::readers::{Open, Readers};
use crate::shards::{Counts, Role, Sharding, Shards, Storing};
use crate::sources::{self, ReadSource};
use crate::{Cancel, Graph, Node, Share};

/// The data shared by all threads of a run.
pub(crate) struct Workshop<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    pub cancel: &'a Cancel,
    pub origin: Origin,
    pub cards: Cards,
    pub readers: Readers,
    pub share: Option<Share>,
    /// Whether publishing replaces files that this program did not write.
    pub overwrite: bool,
}

/// A stage to run.
pub(crate) struct Order {
    pub idx: usize,
    pub key: Key,
    pub manifest: Manifest,
    pub why: RunReason,
    pub inputs: Vec<OrderedInput>,
    pub sources: Vec<ReadSource>,
    pub n_threads: usize,
}

/// An input of a stage to run.
pub(crate) struct OrderedInput {
    pub slot: String,
    pub idx: usize,
    pub tree: Tree,
    /// The rows of its shards, if its record says them.
    pub shard_rows: Option<Vec<u64>>,
}

/// A file or folder to publish.
pub(crate) struct Copy {
    pub file: String,
    pub path: PathBuf,
    pub part: Part,
}

/// Runs a stage, and holds its lock until its record is written.
pub(crate) fn work(shop: &Workshop<'_>, order: &Order, lock: KeyLock, sender: &Sender<Message>) -> Outcome {
    let node = &shop.graph.nodes()[order.idx];
    let began = Instant::now();
    let artifacts = order.inputs.iter().map(|input| input.tree.digest()).collect();
    let reading = node.stage.runs_programs().then(|| shop.readers.begin(&node.id, artifacts));
    let inputs = match open_inputs(shop.store, node, &order.inputs) {
        Ok(inputs) => inputs,
        Err(Stopped::Unreadable(inputs)) => return Outcome::Unreadable(inputs),
        Err(Stopped::Failed(failure)) => return Outcome::Failed(failure, began.elapsed().as_secs_f64()),
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
    let result = run_and_commit(shop, node, order, &lock, &inputs, reading, sender);
    drop(lock);
    match result {
        Ok(committed) => Outcome::Committed(Box::new(committed)),
        // Covers errors of all sorts: a signal to the whole process group kills the programs that a stage waits for.
        Err(stopped) if shop.cancel.is_cancelled() && !stopped.is_bug() => Outcome::Interrupted,
        Err(Stopped::Unreadable(inputs)) => Outcome::Unreadable(inputs),
        Err(Stopped::Failed(failure)) => Outcome::Failed(failure, began.elapsed().as_secs_f64()),
    }
}

/// Copies files to the paths at which the spec publishes them.
pub(crate) fn publish(shop: &Workshop<'_>, idx: usize, copies: &[Copy], sender: &Sender<Message>) -> Outcome {
    let began = Instant::now();
    let node = &shop.graph.nodes()[idx];
    for Copy { file, path, part } in copies {
        match shop.store.outside().publish(part, path, shop.overwrite) {
            Ok(kept) => {
                kept.iter().for_each(|kept| {
                    let message = format!(
                        "`{}` was changed after it was published; the changed version is kept as `{}` until \
                         `cache gc`",
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
                return Outcome::NotPublished(failure, began.elapsed().as_secs_f64());
            }
            Err(error) => return Outcome::Unpublishable(format!("cannot publish `{file}`: {error}")),
        }
    }
    Outcome::Published
}

/// The reason why a stage has no result.
enum Stopped {
    /// The inputs, by index, whose bytes are lost or damaged, each with a message.
    Unreadable(Vec<(usize, String)>),
    Failed(Failure),
}

impl Stopped {
    fn is_bug(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_bug)
    }
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

type OpenInputs = BTreeMap<String, OpenTree>;

/// Opens all inputs; the open trees keep their bytes in place while the stage runs. A program finds all files verified,
/// any other stage those that it asks for.
fn open_inputs(store: &Store, node: &Node, inputs: &[OrderedInput]) -> Result<OpenInputs, Stopped> {
    let (mut open, mut unreadable) = (BTreeMap::new(), Vec::new());
    for input in inputs {
        let tree = match store.cas().open_unverified(&input.tree) {
            Ok(tree) => tree,
            Err(OpenTreeError::Store(error)) => return Err(error.into()),
            Err(error @ (OpenTreeError::Corrupt { .. } | OpenTreeError::Missing { .. })) => {
                unreadable.push((input.idx, format!("input `{}`: {error}", input.slot)));
                continue;
            }
        };
        if node.stage.runs_programs() {
            match tree.verify_all() {
                Err(OpenTreeError::Store(error)) => return Err(error.into()),
                // Reported below, with those of the other inputs.
                Err(OpenTreeError::Corrupt { .. } | OpenTreeError::Missing { .. }) | Ok(()) => {}
            }
        }
        open.insert(input.slot.clone(), tree);
    }
    match check_lost(inputs, &open) {
        Err(Stopped::Unreadable(lost)) => unreadable.extend(lost),
        checked => checked?,
    }
    if unreadable.is_empty() { Ok(open) } else { Err(Stopped::Unreadable(unreadable)) }
}

/// An input with a lost file is computed again, whatever the stage made of that.
fn check_lost(inputs: &[OrderedInput], open: &OpenInputs) -> Result<(), Stopped> {
    let has_lost = |tree: &OpenTree| tree.has_lost();
    if !open.values().any(has_lost) {
        return Ok(());
    }
    let mut lost = Vec::new();
    for input in inputs {
        let Some(tree) = open.get(&input.slot).filter(|tree| has_lost(tree)) else { continue };
        let error = tree.all_lost()?;
        lost.extend(error.map(|error| (input.idx, format!("input `{}`: {error}", input.slot))));
    }
    Err(Stopped::Unreadable(lost))
}

fn run_and_commit(
    shop: &Workshop<'_>,
    node: &Node,
    order: &Order,
    lock: &KeyLock,
    inputs: &OpenInputs,
    reading: Option<Open<'_>>,
    sender: &Sender<Message>,
) -> Result<Committed, Stopped> {
    let held = shop.hold_card(node)?;
    let card = held.as_ref().and_then(Held::card);
    // The shards of a stage that only lies in the lane of cards are computed by the processor.
    let of_shards = held.as_ref().filter(|_| node.stage.needs().device);
    let began = Instant::now();
    let scratch = shop.store.workspace().scratch()?;
    let is_forced = order.why == RunReason::Forced;
    let host = Host::new(shop, node, is_forced, Role::Lead, sender.clone());
    let numerics = host.numerics();
    let storing = Storing::new(node, shop.store, &shop.origin, numerics);
    let lend = || shop.store.workspace().lend(&order.key, lock, inputs);
    let lent = reading.is_some().then(lend).transpose()?;
    let artifacts = lent.as_ref().map_or_else(|| artifacts(order, inputs), |lent| lent.inputs().clone());
    let sources = digests(order);
    let context = context(shop, node, order, &artifacts, &sources, &host, card);
    let result = caught(node, || match node.stage.work() {
        StageWork::Whole(stage) => Ok((stage.run(&context, scratch.folder())?, None)),
        StageWork::Sharded(stage) => {
            let sharding = Sharding::open(&*node.stage, stage, &context, &host, &storing, of_shards, Role::Lead)?;
            sharding.bring_up_to_date(shop.share)?;
            let (report, shards) = sharding.finish(scratch.folder())?;
            Ok((report, Some(shards)))
        }
    });
    let result = result.map_err(|failure| after(failure, held.as_ref(), shop.cancel));
    drop((lent, reading, held));
    if result.is_ok() {
        let _ = sender.send(Message::Worked { idx: order.idx });
    }
    // A lost or altered input may be the cause of any other error.
    check_lost(&order.inputs, inputs)?;
    check_inputs(shop, node, order, inputs, began)?;
    let (mut report, mut shards) = result?;
    check_sources(shop.store, &order.sources, node)?;
    leave_out_unmeasured(&mut report, &host);
    let worked = Instant::now();
    let stored = storing.finish()?;
    let (waited, packing) = (stored.waited, shards.as_mut().and_then(|shards| shards.packing.take()));
    report.warnings = host.take_warnings();
    let counts = shards.as_ref().map_or_else(|| rows_of(&report), |shards| shards.counts);
    let sharded = shards.as_ref().filter(|shards| !shards.files.is_empty());
    let computed = sharded.map_or_else(|| vec![numerics], |shards| shards.numerics.clone());
    let machines = sharded.map_or_else(|| Machines::here(card), |shards| shards.machines.clone());
    let shard_rows = shards.as_ref().map(|shards| shards.rows.clone()).unwrap_or_default();
    let tree = join(shop.store.cas(), shop.store.cas().put_folder(scratch.folder())?, shards)?;
    report.seconds.insert(Work::Store, (waited + worked.elapsed()).as_secs_f64());
    let record = Record {
        key: order.key,
        manifest: order.manifest.clone(),
        tree,
        report,
        shard_rows,
        seconds: began.elapsed().as_secs_f64(),
        provenance: shop.origin.provenance(&node.id, computed, machines),
        has_objects: node.retain,
    };
    if is_forced {
        shop.store.records().put_everywhere(&record)?
    } else {
        shop.store.records().put(&record)?
    }
    if let Some(packing) = packing {
        packing.carry_out(&storing, stored);
    }
    Ok(Committed { record, counts, n_threads: order.n_threads })
}

/// Computes shards of a stage that another process leads. That process will report any error.
pub(crate) fn help(shop: &Workshop<'_>, order: &Order, sender: &Sender<Message>) -> Outcome {
    let began = Instant::now();
    let node = &shop.graph.nodes()[order.idx];
    let n_shards_computed = compute_some(shop, node, order, sender).unwrap_or_default().n_computed;
    if n_shards_computed > 0 {
        let (stage, seconds) = (node.id.clone(), began.elapsed().as_secs_f64());
        let _ = sender.send(Message::Event(Box::new(Event::StageHelped { stage, n_shards_computed, seconds })));
    }
    Outcome::Helped
}

fn compute_some(shop: &Workshop<'_>, node: &Node, order: &Order, sender: &Sender<Message>) -> Result<Counts, Failure> {
    let StageWork::Sharded(stage) = node.stage.work() else { return Ok(Counts::default()) };
    let Ok(inputs) = open_inputs(shop.store, node, &order.inputs) else { return Ok(Counts::default()) };
    if sources::read(node, shop.store)? != order.sources {
        return Ok(Counts::default());
    }
    let held = shop.hold_card(node)?;
    let of_shards = held.as_ref().filter(|_| node.stage.needs().device);
    let host = Host::new(shop, node, false, Role::Help, sender.clone());
    let storing = Storing::new(node, shop.store, &shop.origin, host.numerics());
    let (artifacts, sources) = (artifacts(order, &inputs), digests(order));
    let context = context(shop, node, order, &artifacts, &sources, &host, held.as_ref().and_then(Held::card));
    let counts = caught(node, || {
        let sharding = Sharding::open(&*node.stage, stage, &context, &host, &storing, of_shards, Role::Help)?;
        sharding.bring_up_to_date(shop.share)
    });
    let counts = counts.map_err(|failure| after(failure, held.as_ref(), shop.cancel))?;
    storing.finish()?;
    Ok(counts)
}

fn artifacts(order: &Order, inputs: &OpenInputs) -> BTreeMap<String, InputArtifact> {
    let artifact = |input: &OrderedInput| {
        let artifact = inputs.get(&input.slot)?.artifact().clone();
        Some((input.slot.clone(), artifact.with_shard_rows(input.shard_rows.clone())))
    };
    order.inputs.iter().filter_map(artifact).collect()
}

fn digests(order: &Order) -> BTreeMap<String, Digest> {
    order.sources.iter().map(|source| (source.name.clone(), source.digest)).collect()
}

fn context<'a>(
    shop: &'a Workshop<'_>,
    node: &'a Node,
    order: &Order,
    inputs: &'a BTreeMap<String, InputArtifact>,
    sources: &'a BTreeMap<String, Digest>,
    host: &'a Host<'a>,
    card: Option<u16>,
) -> StageContext<'a> {
    let (device, n_threads) = (shop.origin.device, order.n_threads);
    StageContext { stage: &node.id, inputs, sources, device, card, n_threads, host }
}

/// The counts of a stage without shards.
fn rows_of(report: &StageReport) -> Counts {
    Counts { n_rows_computed: report.n_rows.unwrap_or(0), ..Counts::default() }
}

fn caught<T>(node: &Node, work: impl FnOnce() -> Result<T, StageError>) -> Result<T, Failure> {
    // A panic leaves unfinished files only in the scratch folder, which is deleted.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(panic) => Err(Failure {
            errors: vec![format!("BUG: stage kind `{}` panicked: {}", node.stage.kind(), panic_text(&*panic))],
            help: None,
            is_bug: true,
        }),
    }
}

/// The failure of a stage that may have lost the card that it holds: no other one will get it.
fn after(mut failure: Failure, held: Option<&Held<'_>>, cancel: &Cancel) -> Failure {
    let held = held.filter(|_| !cancel.is_cancelled());
    failure.errors.extend(held.and_then(Held::look));
    failure
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A result must not be remembered under the digest of a source that the stage may not have read.
fn check_sources(store: &Store, sources: &[ReadSource], node: &Node) -> Result<(), Failure> {
    for ReadSource { path, digest, .. } in sources {
        if !store.sources().is_unchanged(path, digest)? {
            let message = format!("`{}` changed while `{}` read it", path.display(), node.id);
            return Err(StageError::new(message).with_help("run again").into());
        }
    }
    Ok(())
}

/// A result must not be remembered under inputs whose files were altered while the stage read them.
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
                "a stage may not write into its inputs: let the program change a copy. The next run computes `{maker}` \
                again"
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

/// The artifact: files left in the scratch folder and shards, whose names must not collide. Folders of shards become
/// sub-trees.
fn join(cas: &Cas, mut tree: Tree, shards: Option<Shards>) -> Result<Tree, Failure> {
    let Some(Shards { files, is_divided, .. }) = shards else { return Ok(tree) };
    if is_divided {
        let folders = folders(files)?;
        let is_below = |name: &str, folder: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let is_taken = |folder: &str| tree.files.keys().any(|name| name == folder || is_below(name, folder));
        if let Some((folder, _)) = folders.iter().find(|(folder, _)| is_taken(folder)) {
            return Err(name_clash(folder));
        }
        tree.trees = cas.put_sub_trees(&folders)?.into_iter().collect();
        return Ok(tree);
    }
    for (name, entry) in files {
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

/// The shards of each folder, in the order of the folders.
fn folders(files: Vec<(String, FileEntry)>) -> Result<Vec<(String, Tree)>, Failure> {
    let mut folders: Vec<(String, Tree)> = Vec::new();
    for (path, entry) in files {
        let (folder, name) = path.split_once('/').expect("many shards lie in folders");
        if folders.last().is_none_or(|(last, _)| last != folder) {
            folders.push((folder.to_owned(), Tree::default()));
        }
        let (_, tree) = folders.last_mut().expect("one was just added");
        if tree.files.insert(name.to_owned(), entry).is_some() {
            return Err(name_clash(&path));
        }
    }
    Ok(folders)
}

fn name_clash(name: &str) -> Failure {
    let errors = vec![format!("BUG: the artifact has a shard and another file named `{name}`")];
    Failure { errors, help: None, is_bug: true }
}

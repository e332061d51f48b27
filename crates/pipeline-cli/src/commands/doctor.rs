//! `pipeline doctor`: what this machine and this project have for a run, and what is missing.
//!
//! JSON: `{version, machine: {instruction_set, threads, memory_bytes, memory_available_bytes}, cuda: {is_built_in,
//! problem, cards: [{name, problem, capability, driver, memory_free_bytes, memory_bytes, compiler, headers}]}, wgpu:
//! {is_built_in, problem}, project: {root, specs: [{spec, file, missing}]}, store: {folder, exists, free_bytes},
//! other_stores, models: [{folder, exists, found}],
//! unset}`. What is unknown is null. The exit code is 0 whatever is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipeline_experiments::project::{self, ListedSpec};
use pipeline_experiments::{Loaded, OpenError, SpecRef, StoreRef, check, in_one_line, missing_sources, model_search};
use pipeline_models::device::{Card, DeviceError};
use pipeline_models::{Device, Gpu, Interface, device};
use pipeline_store::Store;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::bytes;
use crate::origin;
use crate::terminal::Terminal;

/// The most models that a line names.
const MAX_NAMED: usize = 8;

#[derive(Serialize)]
struct Findings {
    version: &'static str,
    machine: Machine,
    cuda: CudaFinding,
    wgpu: GpuFinding,
    project: ProjectFinding,
    store: StoreFinding,
    other_stores: Vec<PathBuf>,
    models: Vec<ModelFolder>,
    unset: Vec<String>,
}

#[derive(Serialize)]
struct Machine {
    instruction_set: String,
    threads: usize,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
}

#[derive(Serialize)]
struct CudaFinding {
    is_built_in: bool,
    /// What keeps all cards from being used.
    problem: Option<String>,
    /// By their numbers.
    cards: Vec<CardFinding>,
}

#[derive(Serialize)]
struct CardFinding {
    name: String,
    problem: Option<String>,
    #[serde(flatten)]
    facts: CardFacts,
}

/// The facts about a card that can be used.
#[derive(Default, Serialize)]
struct CardFacts {
    /// Its compute capability, such as `9.0`.
    capability: Option<String>,
    /// The version of CUDA that its driver is made for.
    driver: Option<String>,
    memory_free_bytes: Option<usize>,
    memory_bytes: Option<usize>,
    /// The library that compiles kernels.
    compiler: Option<PathBuf>,
    /// The folder with the headers of kernels.
    headers: Option<PathBuf>,
}

#[derive(Serialize)]
struct GpuFinding {
    is_built_in: bool,
    problem: Option<String>,
}

#[derive(Serialize)]
struct ProjectFinding {
    root: Option<PathBuf>,
    specs: Vec<SpecFinding>,
}

#[derive(Serialize)]
struct SpecFinding {
    spec: String,
    file: PathBuf,
    /// What keeps it from running, one line each.
    missing: Vec<String>,
}

#[derive(Serialize)]
struct StoreFinding {
    folder: PathBuf,
    exists: bool,
    free_bytes: Option<u64>,
}

#[derive(Serialize)]
struct ModelFolder {
    folder: PathBuf,
    exists: bool,
    found: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &DoctorArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let findings = findings(args);
    if args.json.json {
        terminal.json(&findings)?;
    } else {
        terminal.data(&lines(&findings).join("\n"))?;
    }
    Ok(Exit::Done)
}

fn findings(args: &DoctorArgs) -> Findings {
    let here = door::here();
    let specs = project::specs(&here);
    let named = args.store.artifacts.as_deref();
    // Without a store yet: where the first run would make it.
    let new = || StoreRef::near(&specs.first().map_or_else(|| here.join("spec"), |spec| spec.file.clone()), named);
    let store = StoreRef::above(&here, named).unwrap_or_else(|_| new());
    let mut folders = Vec::new();
    let specs = specs.iter().map(|spec| examined(spec, &mut folders)).collect();
    let general = model_search(None, &door::surroundings().environment);
    folders.extend(general.folders);
    let unset = general.unset.into_iter().filter(|name| name != "vars.models").collect();
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        machine: machine(),
        cuda: cuda(),
        wgpu: wgpu(),
        project: ProjectFinding { root: project::root(&here).map(Path::to_owned), specs },
        other_stores: store.others(),
        store: StoreFinding {
            exists: Store::is_at(&store.folder),
            free_bytes: free_bytes(&store.folder),
            folder: store.folder,
        },
        models: folders.into_iter().map(model_folder).collect(),
        unset,
    }
}

/// What the spec lacks; adds its own folder of models to `folders`.
fn examined(spec: &ListedSpec, folders: &mut Vec<PathBuf>) -> SpecFinding {
    let missing = match missing_in(spec, folders) {
        Ok(missing) => missing,
        Err(error) => vec![in_one_line(&error)],
    };
    SpecFinding { spec: project::name_from(&door::here(), &spec.file), file: spec.file.clone(), missing }
}

fn missing_in(spec: &ListedSpec, folders: &mut Vec<PathBuf>) -> Result<Vec<String>, OpenError> {
    let named = SpecRef::at(&spec.file, &[], None)?;
    let Loaded { spec, graph, .. } = Loaded::load(&named, &door::surroundings(), false)?;
    folders.extend(spec.var_path("models"));
    let missing: BTreeSet<String> =
        missing_sources(&spec, &graph).iter().map(|fault| in_one_line(fault.source.as_ref())).collect();
    let faults = check(&spec, &graph).err().map(|fault| in_one_line(&fault));
    Ok(missing.into_iter().chain(faults).collect())
}

fn machine() -> Machine {
    let memory = pipeline_files::read_to_string(Path::new("/proc/meminfo")).unwrap_or_default();
    let of = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    Machine {
        instruction_set: origin::instruction_set(),
        threads: door::n_threads(),
        memory_bytes: of("MemTotal"),
        memory_available_bytes: of("MemAvailable"),
    }
}

fn cuda() -> CudaFinding {
    let is_built_in = device::is_built_in(Interface::Cuda);
    let names = match device::card_names() {
        Ok(names) => names,
        Err(error) => return CudaFinding { is_built_in, problem: Some(in_one_line(&error)), cards: Vec::new() },
    };
    let tried = |(number, name): (u16, String)| {
        let tried = device::cards(Some(&[number]), |_| None);
        CardFinding::of(name, tried.map(|mut cards| cards.swap_remove(0)))
    };
    let cards: Vec<CardFinding> = (0..).zip(names).map(tried).collect();
    let has_working = cards.iter().any(|card| card.problem.is_none());
    let problem = cards.iter().find_map(|card| card.problem.clone()).filter(|_| !has_working);
    CudaFinding { is_built_in, problem, cards }
}

fn wgpu() -> GpuFinding {
    let probed = device::probe(Device::Gpu(Gpu { interface: Interface::Wgpu, number: None }));
    let problem = probed.err().map(|error| in_one_line(&error));
    GpuFinding { is_built_in: device::is_built_in(Interface::Wgpu), problem }
}

impl CardFinding {
    fn of(name: String, tried: Result<Card, DeviceError>) -> Self {
        let card = match tried {
            Ok(card) => card,
            Err(error) => return Self { name, problem: Some(in_one_line(&error)), facts: CardFacts::default() },
        };
        let [memory_free_bytes, memory_bytes] = card.memory.map(Some);
        let version = |[major, minor]: [u32; 2]| Some(format!("{major}.{minor}"));
        let facts = CardFacts {
            capability: version(card.capability),
            driver: version(card.driver),
            memory_free_bytes,
            memory_bytes,
            compiler: Some(card.toolkit.compiler),
            headers: Some(card.toolkit.headers.join("include")),
        };
        Self { name, problem: None, facts }
    }
}

/// The free space where the nearest existing folder at or above `folder` lies.
fn free_bytes(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.is_dir())?;
    let space = rustix::fs::statvfs(existing).ok()?;
    space.f_bavail.checked_mul(space.f_frsize)
}

fn model_folder(folder: PathBuf) -> ModelFolder {
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries.filter_map(|entry| model_name(&entry.path())).collect();
    found.sort();
    ModelFolder { exists: folder.is_dir(), folder, found }
}

/// The name of a model at `path`, by its looks: a folder with a configuration, one of Hugging Face's cache, or weights.
fn model_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if path.is_dir() {
        let cached = name.strip_prefix("models--").map(|name| name.replacen("--", "/", 1));
        let has_config = ["config.json", "open_clip_config.json"].iter().any(|file| path.join(file).is_file());
        return cached.or_else(|| has_config.then(|| name.to_owned()));
    }
    let is_weights =
        path.extension().is_some_and(|end| ["safetensors", "pth", "pt", "bin"].iter().any(|one| end == *one));
    is_weights.then(|| name.to_owned())
}

/// The line on a GPU: ready, with these facts, or not.
fn on_gpu(interface: Interface, problem: Option<&String>, facts: &str) -> String {
    match problem {
        Some(problem) => format!("no: {problem}"),
        None => format!("ready for `--device {}`{facts}", interface.name()),
    }
}

/// A card in words: its facts, or its problem.
fn card_in_words(CardFinding { name, problem, facts }: &CardFinding) -> String {
    if let Some(problem) = problem {
        return format!("{name}: no: {problem}");
    }
    let [free, all] =
        [facts.memory_free_bytes, facts.memory_bytes].map(|n_bytes| or_unknown(n_bytes.map(|n| n as u64)));
    let [capability, driver] =
        [&facts.capability, &facts.driver].map(|version| version.as_deref().unwrap_or("unknown"));
    format!("{name}, compute capability {capability}, {free} of {all} free, driver for CUDA {driver}")
}

/// The lines on CUDA: whether it is ready, each card if there are several, and the compiler.
fn cuda_lines(cuda: &CudaFinding) -> Vec<String> {
    let ready = |facts: &str| on_gpu(Interface::Cuda, cuda.problem.as_ref(), facts);
    let mut lines = match cuda.cards.as_slice() {
        [] => vec![ready("")],
        [card] => vec![ready(&format!(": {}", card_in_words(card)))],
        cards => {
            let numbered = cards.iter().enumerate().map(|(number, card)| format!("{number}: {}", card_in_words(card)));
            std::iter::once(ready(&format!(": {} cards", cards.len()))).chain(numbered).collect()
        }
    };
    let of_compiler = |facts: &CardFacts| {
        let (compiler, headers) = facts.compiler.as_ref().zip(facts.headers.as_ref())?;
        Some(format!("kernels are compiled by {}, with headers in {}", compiler.display(), headers.display()))
    };
    lines.extend(cuda.cards.iter().find_map(|card| of_compiler(&card.facts)));
    lines
}

fn or_unknown(n_bytes: Option<u64>) -> String {
    n_bytes.map_or("unknown".to_owned(), bytes)
}

fn lines(findings: &Findings) -> Vec<String> {
    let Findings { machine, cuda, wgpu, project, store, .. } = findings;
    let line = |name: &str, text: String| format!("{name:<10}  {text}");
    let mut lines = vec![
        line("version", findings.version.to_owned()),
        line("processor", format!("{}, {} threads", machine.instruction_set, machine.threads)),
        line(
            "memory",
            format!("{}, {} free", or_unknown(machine.memory_bytes), or_unknown(machine.memory_available_bytes)),
        ),
    ];
    lines.extend(cuda_lines(cuda).into_iter().enumerate().map(|(idx, text)| line(["cuda", ""][idx.min(1)], text)));
    lines.extend([
        line("wgpu", on_gpu(Interface::Wgpu, wgpu.problem.as_ref(), "")),
        line(
            "project",
            match &project.root {
                Some(root) => root.display().to_string(),
                None => "none: no `pipeline.toml` and no `.git` here or above; `pipeline init` makes one".to_owned(),
            },
        ),
        line(
            "store",
            format!(
                "{}{}, {} free on the disk",
                store.folder.display(),
                if store.exists { "" } else { " (made by the first run)" },
                or_unknown(store.free_bytes)
            ),
        ),
    ]);
    lines.extend(findings.other_stores.iter().map(|other| line("", format!("{} (another store)", other.display()))));
    for folder in &findings.models {
        let found = match (folder.exists, folder.found.len()) {
            (false, _) => "not there".to_owned(),
            (true, 0) => "no model".to_owned(),
            (true, n) if n > MAX_NAMED => format!("{}, … ({n} in all)", folder.found[..MAX_NAMED].join(", ")),
            (true, _) => folder.found.join(", "),
        };
        lines.push(line("models in", format!("{}: {found}", folder.folder.display())));
    }
    if !findings.unset.is_empty() {
        lines.push(line("not set", findings.unset.join(", ")));
    }
    for spec in &project.specs {
        // The rest of a message lists the folders of models, which stand above.
        let first = |message: &String| message.split("; looked in:").next().unwrap_or_default().to_owned();
        let missing: Vec<String> = spec.missing.iter().map(first).collect();
        let state = if missing.is_empty() { "nothing is missing".to_owned() } else { missing.join("; ") };
        lines.push(line("spec", format!("{}: {state}", spec.spec)));
    }
    lines
}

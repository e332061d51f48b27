//! `pipeline doctor`: what this machine and this project have for a run, and what is missing.
//!
//! JSON: `{version, machine: {instruction_set, threads, memory_bytes, memory_available_bytes}, cuda: {is_built_in,
//! problem, card: {name, capability, driver, memory_free_bytes, memory_bytes, compiler, headers}}, wgpu: {is_built_in,
//! problem}, project: {root, specs: [{spec, file, missing}]}, store: {folder, exists, free_bytes}, other_stores,
//! models: [{folder, exists, found}], unset}`. What is unknown is null. The exit code is 0 whatever is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pipeline_experiments::project::{self, ListedSpec};
use pipeline_experiments::{Loaded, OpenError, SpecRef, StoreRef, check, in_one_line, missing_sources, model_search};
use pipeline_models::device::Card;
use pipeline_models::{Device, Gpu, device};
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
    problem: Option<String>,
    card: Option<CardFinding>,
}

#[derive(Serialize)]
struct CardFinding {
    name: String,
    /// Its compute capability, such as `9.0`.
    capability: String,
    /// The version of CUDA that its driver is made for.
    driver: String,
    memory_free_bytes: usize,
    memory_bytes: usize,
    /// The library that compiles kernels.
    compiler: PathBuf,
    /// The folder with the headers of kernels.
    headers: PathBuf,
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
    let (card, problem) = match device::card(|_| None) {
        Ok(card) => (Some(card), None),
        Err(error) => (None, Some(in_one_line(&error))),
    };
    CudaFinding { is_built_in: device::is_built_in(Gpu::Cuda), problem, card: card.map(CardFinding::from) }
}

fn wgpu() -> GpuFinding {
    let probed = device::probe(Device::Gpu(Gpu::Wgpu));
    GpuFinding { is_built_in: device::is_built_in(Gpu::Wgpu), problem: probed.err().map(|error| in_one_line(&error)) }
}

impl From<Card> for CardFinding {
    fn from(card: Card) -> Self {
        let [memory_free_bytes, memory_bytes] = card.memory;
        let version = |[major, minor]: [u32; 2]| format!("{major}.{minor}");
        Self {
            name: card.name,
            capability: version(card.capability),
            driver: version(card.driver),
            memory_free_bytes,
            memory_bytes,
            compiler: card.toolkit.compiler,
            headers: card.toolkit.headers.join("include"),
        }
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
fn on_gpu(gpu: Gpu, problem: Option<&String>, facts: &str) -> String {
    match problem {
        Some(problem) => format!("no: {problem}"),
        None => format!("ready for `--device {}`{facts}", gpu.name()),
    }
}

/// The facts about a card, and the line on its compiler.
fn card_facts(card: &CardFinding) -> (String, String) {
    let CardFinding { name, capability, driver, compiler, headers, .. } = card;
    let [free, all] = [card.memory_free_bytes, card.memory_bytes].map(|n_bytes| bytes(n_bytes as u64));
    (
        format!(": {name}, compute capability {capability}, {free} of {all} free, driver for CUDA {driver}"),
        format!("kernels are compiled by {}, with headers in {}", compiler.display(), headers.display()),
    )
}

fn lines(findings: &Findings) -> Vec<String> {
    let Findings { machine, cuda, wgpu, project, store, .. } = findings;
    let line = |name: &str, text: String| format!("{name:<10}  {text}");
    let or_unknown = |n_bytes: Option<u64>| n_bytes.map_or("unknown".to_owned(), bytes);
    let (facts, compiler) = cuda.card.as_ref().map(card_facts).unzip();
    let facts = facts.unwrap_or_default();
    let mut lines = vec![
        line("version", findings.version.to_owned()),
        line("processor", format!("{}, {} threads", machine.instruction_set, machine.threads)),
        line(
            "memory",
            format!("{}, {} free", or_unknown(machine.memory_bytes), or_unknown(machine.memory_available_bytes)),
        ),
        line("cuda", on_gpu(Gpu::Cuda, cuda.problem.as_ref(), &facts)),
    ];
    lines.extend(compiler.map(|compiler| line("", compiler)));
    lines.extend([
        line("wgpu", on_gpu(Gpu::Wgpu, wgpu.problem.as_ref(), "")),
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

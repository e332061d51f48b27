//! A work bench for single stages: runs them in temporary folders, without plan, cache or events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pipeline_core::{
    Digest, FileEntry, InputArtifact, Key, Shard, ShardOrder, ShardOutput, ShardReport, ShardedStage, SourceFile,
    Stage, StageContext, StageError, StageHost, StageId, StageReport, StageWork, Tree, shard_orders,
};
use pipeline_spec::PipelineSpec;

/// The fixtures of the repository.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The path of the specs of tests.
pub fn spec_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/spec.yaml")
}

/// Reads a JSON fixture.
pub fn read_json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(fixtures().join(name)).unwrap()).unwrap()
}

/// The stages of a spec and the artifacts of those that ran.
pub struct Bench {
    spec: PipelineSpec,
    stages: Vec<Box<dyn Stage>>,
    folder: tempfile::TempDir,
    done: BTreeMap<StageId, (InputArtifact, StageReport)>,
    n_threads: usize,
    /// The shards of all stages, in the order in which they were added.
    pub shards: Vec<KnownShard>,
    /// Shards that stages need not compute.
    remembered: Vec<KnownShard>,
    pub warnings: Vec<String>,
}

/// A shard that was computed or remembered.
#[derive(Clone)]
pub struct KnownShard {
    pub key: Key,
    pub path: PathBuf,
    pub report: ShardReport,
}

impl Bench {
    /// The stages of a spec in this crate's folder.
    pub fn new(yaml: &str) -> Self {
        Self::of(pipeline_spec::parse(yaml, &spec_file()).unwrap())
    }

    /// The stages of a spec.
    pub fn of(spec: PipelineSpec) -> Self {
        let stages = pipeline_stages::build(&spec, &pipeline_stages::Settings::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            spec,
            stages,
            folder,
            done: BTreeMap::new(),
            n_threads: 2,
            shards: Vec::new(),
            remembered: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Uses these shards instead of computing them again.
    pub fn with_remembered(mut self, shards: &[KnownShard]) -> Self {
        self.remembered = shards.to_vec();
        self
    }

    /// Uses another number of threads than two.
    pub fn with_threads(mut self, n_threads: usize) -> Self {
        self.n_threads = n_threads;
        self
    }

    /// The names of the stages in the spec's order.
    pub fn stages(&self) -> Vec<String> {
        self.spec.stages.iter().map(|stage| stage.id.to_string()).collect()
    }

    /// One stage.
    pub fn stage(&self, name: &str) -> &dyn Stage {
        let stage_idx = self.spec.stages.iter().position(|stage| stage.id.as_str() == name).unwrap();
        self.stages[stage_idx].as_ref()
    }

    /// Runs all stages in the spec's order.
    pub fn run_all(mut self) -> Self {
        for stage in self.stages() {
            self.run(&stage).unwrap();
        }
        self
    }

    /// Runs one stage whose inputs have run.
    pub fn run(&mut self, name: &str) -> Result<(), StageError> {
        let stage_spec = self.spec.stages.iter().find(|stage| stage.id.as_str() == name).unwrap();
        let inputs: BTreeMap<String, InputArtifact> = stage_spec
            .inputs
            .iter()
            .map(|(slot, from)| (slot.value.clone(), self.done[&from.value].0.clone()))
            .collect();
        let stage = self.stage(name);
        let sources = stage
            .sources()?
            .into_iter()
            .map(|source| (source.name, Digest::of(&std::fs::read(source.path).unwrap())))
            .collect();
        let scratch = self.folder.path().join(name);
        std::fs::create_dir(&scratch).unwrap();
        let host = Host::default();
        let context = StageContext {
            stage: &stage_spec.id,
            inputs: &inputs,
            sources: &sources,
            device: pipeline_core::Device::Cpu,
            card: None,
            n_threads: self.n_threads,
            host: &host,
        };
        let (report, shards) = match stage.work() {
            StageWork::Whole(stage) => (stage.run(&context, &scratch)?, Vec::new()),
            StageWork::Sharded(sharded) => self.run_sharded(stage, sharded, &context, &scratch)?,
        };
        let artifact = InputArtifact::in_folder(scratch.clone(), tree(&scratch));
        let id = stage_spec.id.clone();
        self.shards.extend(shards);
        self.warnings.extend(host.warnings.into_inner().unwrap());
        self.done.insert(id, (artifact, report));
        Ok(())
    }

    /// Computes every shard that is not remembered, into the stage's own folder.
    fn run_sharded(
        &self,
        stage: &dyn Stage,
        sharded: &dyn ShardedStage,
        context: &StageContext<'_>,
        scratch: &Path,
    ) -> Result<(StageReport, Vec<KnownShard>), StageError> {
        let rows = sharded.open(context)?;
        let orders = shard_orders(stage, sharded, context.inputs, context.sources, rows.digests());
        let (mut shards, mut known_shards) = (Vec::new(), Vec::new());
        for ShardOrder { name, units, key, .. } in orders {
            let path = scratch.join(name);
            let report = match self.remembered.iter().find(|shard| shard.key == key) {
                Some(known) => {
                    std::fs::copy(&known.path, &path).unwrap();
                    known.report.clone()
                }
                None => rows.read(units.clone())?(&ShardOutput { path: &path, card: None, progress: &|_| {} })?,
            };
            let bytes = std::fs::read(&path).unwrap();
            let entry = FileEntry::new(Digest::of(&bytes), bytes.len() as u64);
            known_shards.push(KnownShard { key, path, report: report.clone() });
            shards.push(Shard { units, entry, report });
        }
        Ok((rows.finish(&shards, scratch)?, known_shards))
    }

    /// The report of a stage from when it ran.
    pub fn report(&self, name: &str) -> &StageReport {
        &self.done[&name.parse::<StageId>().unwrap()].1
    }

    /// The largest difference between the losses of a stage and `golden`, a list of steps by epoch.
    pub fn largest_loss_difference(&self, name: &str, golden: &serde_json::Value) -> f64 {
        let history = std::fs::read_to_string(self.artifact(name).file("history.csv").unwrap()).unwrap();
        let (head, lines) = history.split_once('\n').unwrap();
        let column = head.split(',').position(|name| name == "loss").unwrap();
        let loss = |line: &str| line.split(',').nth(column).unwrap().parse::<f64>().unwrap();
        let losses: Vec<f64> = lines.lines().map(loss).collect();
        let epochs = golden.as_array().unwrap().iter();
        let golden: Vec<f64> =
            epochs.flat_map(|epoch| epoch.as_array().unwrap()).map(|loss| loss.as_f64().unwrap()).collect();
        assert_eq!(losses.len(), golden.len());
        losses.iter().zip(&golden).map(|(loss, golden)| (loss - golden).abs()).fold(0.0, f64::max)
    }

    /// The bits of a stage's vectors, by id.
    pub fn vectors(&self, name: &str) -> BTreeMap<String, Vec<u32>> {
        let artifact = self.artifact(name);
        let shards = artifact.tree.files.keys().filter(|file| file.starts_with("part-"));
        let rows = shards.flat_map(|file| {
            let shard = pipeline_data::read_vectors(&artifact.file(file).unwrap()).unwrap();
            let bits: Vec<u32> = shard.values.iter().map(|value| value.to_bits()).collect();
            let vectors: Vec<Vec<u32>> = bits.chunks_exact(shard.dim).map(<[u32]>::to_vec).collect();
            shard.ids.into_iter().map(Option::unwrap).zip(vectors)
        });
        rows.collect()
    }

    /// The artifact of a stage.
    pub fn artifact(&self, name: &str) -> &InputArtifact {
        &self.done[&name.parse::<StageId>().unwrap()].0
    }
}

fn tree(folder: &Path) -> Tree {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let file = FileEntry::new(Digest::of(&bytes), bytes.len() as u64);
        (entry.file_name().into_string().unwrap(), file)
    });
    Tree { files: files.collect(), ..Tree::default() }
}

/// Collects warnings.
#[derive(Default)]
struct Host {
    warnings: Mutex<Vec<String>>,
}

impl StageHost for Host {
    fn progress(&self, _n_done: u64, _total: Option<u64>) {}

    fn warn(&self, message: String) {
        self.warnings.lock().unwrap().push(message);
    }

    fn output(&self, _line: &str) {}

    fn redraw(&self, _line: &str) {}

    fn source_files(&self, _: &Path) -> Result<Vec<SourceFile>, StageError> {
        Ok(Vec::new())
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

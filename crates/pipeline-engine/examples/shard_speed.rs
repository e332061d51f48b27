//! Times a stage of many tiny shards: planned, computed, planned again with all of them there, put together, opened by
//! a reader, and put together again after a change of one row.
//!
//! `cargo run --release --package pipeline-engine --example shard_speed -- FOLDER N [plan | again]`; with `plan`
//! nothing is computed, and `again` begins with the shards that an earlier call has left in the folder. Prints seconds,
//! microseconds a shard, and the peak of memory so far.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use pipeline_core::cut::CutSizes;
use pipeline_core::{
    Computation, Cut, Digest, InRows, OpenRows, Shard, ShardOutput, ShardReport, ShardedStage, Source, Stage,
    StageContext, StageError, StageReport, StageWork,
};
use pipeline_engine::{Cancel, Decision, Graph, Node, PlanOptions, RunOptions, SpecInfo};
use pipeline_store::Store;

/// A stage of `n_shards` shards of one row each. `round` changes its key, and that of no shard.
struct Many {
    n_shards: usize,
    round: usize,
    /// Whether the middle row is another one, by the round.
    is_edited: bool,
}

struct Rows {
    digests: Vec<Digest>,
}

impl Stage for Many {
    fn kind(&self) -> &'static str {
        "many"
    }

    fn version(&self) -> u32 {
        1
    }

    fn params(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("round".to_owned(), self.round.to_string())])
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(Vec::new())
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for Many {
    fn cut(&self) -> Cut {
        Cut::Rows(CutSizes { min_rows: 1, target_rows: 1, max_rows: 1 })
    }

    fn in_rows(&self) -> InRows {
        InRows { params: &["round"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        format!("part-{shard_idx:08}")
    }

    fn open<'a>(&'a self, _: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let mut digests: Vec<Digest> = (0..self.n_shards).map(|idx| Digest::of(&idx.to_le_bytes())).collect();
        if self.is_edited {
            digests[self.n_shards / 2] = Digest::of(&(self.n_shards + self.round).to_le_bytes());
        }
        Ok(Box::new(Rows { digests }))
    }
}

impl OpenRows for Rows {
    fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn n_workers(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        Ok(Box::new(move |ShardOutput { path, .. }| {
            let written = std::fs::write(path, units.start.to_le_bytes());
            written.map_err(|error| StageError::because("a shard cannot be written", error))?;
            Ok(ShardReport { n_rows: 1, ..ShardReport::default() })
        }))
    }

    fn finish(&self, shards: &[Shard], _: &Path) -> Result<StageReport, StageError> {
        Ok(StageReport { n_rows: Some(shards.len() as u64), ..StageReport::default() })
    }
}

fn graph(n_shards: usize, round: usize, is_edited: bool) -> Result<Graph, Box<dyn Error>> {
    let (inputs, publish, stage) = (BTreeMap::new(), Vec::new(), Box::new(Many { n_shards, round, is_edited }));
    Ok(Graph::new(vec![Node { id: "many".parse()?, stage, inputs, retain: true, lane: None, publish }])?)
}

fn peak_mb() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak of memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn timed<T>(
    name: &str,
    n_shards: usize,
    work: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let start = Instant::now();
    let done = work()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:<28}{seconds:>9.2} s{:>9.1} µs a shard{:>7} MB", seconds * 1e6 / n_shards as f64, peak_mb()?);
    Ok(done)
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, n_shards, more @ ..] = args.as_slice() else { return Err("FOLDER N [plan]".into()) };
    let (folder, n_shards) = (Path::new(folder), n_shards.parse::<usize>()?);
    std::fs::create_dir_all(folder)?;
    let store = Store::open(&folder.join("artifacts"))?;
    let spec = SpecInfo { path: folder.join("spec.yaml"), name: "many".into(), ..SpecInfo::default() };
    let counting = PlanOptions { counts_shards: true, ..PlanOptions::default() };
    let plan = |graph: &Graph| Ok(pipeline_engine::plan(graph, &store, &spec.path, &counting)?.stages[0].shards);
    let run = |graph: &Graph| {
        let options = RunOptions { n_threads: 2, ..RunOptions::default() };
        Ok(pipeline_engine::run(graph, &store, &spec, &options, &Cancel::new(), &mut |_: &_| {})?)
    };
    let word = more.first().map(String::as_str);
    // Every process has rounds of its own, so that its stage must run and finds the shards of the others.
    let round = std::process::id() as usize * 3;
    if word != Some("again") {
        let first = graph(n_shards, round, false)?;
        let shards = timed("planned, none there", n_shards, || plan(&first))?;
        println!("{shards:?}");
        if word == Some("plan") {
            return Ok(());
        }
        timed("computed", n_shards, || run(&first))?;
        timed("nothing to do", n_shards, || run(&first))?;
    }
    let second = graph(n_shards, round + 1, false)?;
    let shards = timed("planned, all there", n_shards, || plan(&second))?;
    println!("{shards:?}");
    timed("put together, all there", n_shards, || run(&second))?;
    timed("nothing to do", n_shards, || run(&second))?;
    let Decision::Reuse { key, .. } = pipeline_engine::plan(&second, &store, &spec.path, &counting)?.stages[0].decision
    else {
        return Err("the stage is not up to date".into());
    };
    let record = store.records().get(&key)?.ok_or("the record is lost")?;
    println!("the artifact in the record: {} bytes of JSON", serde_json::to_vec(&record.tree)?.len());
    timed("bytes there?", n_shards, || Ok(store.has_bytes(&record)))?;
    timed("opened for reading", n_shards, || Ok(store.cas().open_unverified(&record.tree)?.tree().n_files()))?;
    timed("one shard changed", n_shards, || run(&graph(n_shards, round + 2, true)?))?;
    Ok(())
}

//! Plans and runs a graph of cached stages. Knows no kind of stage, no spec format and no terminal.
//!
//! A stage runs only if no result is remembered under its key; its result ends up in the store. Plans, which write
//! nothing, and runs share the same decision; a run makes it as soon as the inputs of a stage are known.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::collections::BTreeMap;
//! # use pipeline_core::{Source, Stage, StageContext, StageError, StageReport, StageWork, WholeStage};
//! # use std::path::Path;
//! use pipeline_engine::{Cancel, Graph, Node, RunOptions, SpecInfo};
//!
//! struct Hello;
//! impl WholeStage for Hello {
//!     fn run(&self, _: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError> {
//!         let written = std::fs::write(scratch.join("hello.txt"), "hello");
//!         written.map_err(|error| StageError::because("cannot greet", error))?;
//!         Ok(StageReport::default())
//!     }
//! }
//! impl Stage for Hello {
//!     fn work(&self) -> StageWork<'_> { StageWork::Whole(self) }
//!     // ... kind, version, params, sources
//! #   fn kind(&self) -> &'static str { "hello" }
//! #   fn version(&self) -> u32 { 1 }
//! #   fn params(&self) -> BTreeMap<String, String> { BTreeMap::new() }
//! #   fn sources(&self) -> Result<Vec<Source>, StageError> { Ok(Vec::new()) }
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let (inputs, publish) = (BTreeMap::new(), Vec::new());
//! let node = Node { id: "greet".parse()?, stage: Box::new(Hello), inputs, retain: true, lane: None, publish };
//! let graph = Graph::new(vec![node])?;
//! let store = pipeline_store::Store::open(&folder.path().join("artifacts"))?;
//! let spec = SpecInfo { path: folder.path().join("spec.yaml"), name: "greeting".into(), ..SpecInfo::default() };
//! for n_ran in [1, 0] {
//!     let mut listen = |_: &_| {};
//!     let summary =
//!         pipeline_engine::run(&graph, &store, &spec, &RunOptions::default(), &Cancel::new(), &mut listen)?;
//!     assert_eq!(summary.n_ran, n_ran);
//! }
//! # Ok(())
//! # }
//! ```

mod adopt;
mod cancel;
mod cards;
mod decision;
mod demand;
mod derived;
mod elsewhere;
mod error;
mod graph;
mod holdings;
mod host;
mod journal;
mod lanes;
mod message;
mod options;
mod plan;
mod provenance;
mod readers;
mod remote;
mod resolver;
mod results;
mod retain;
mod run;
mod runner;
mod schedule;
mod shards;
mod share;
mod sources;
mod stage_state;
mod state;
mod unchanged;
mod watch;
mod why;
mod worker;

pub use adopt::{AdoptError, adopt};
pub use cancel::{Abandon, Cancel};
pub use cards::LostCards;
pub use decision::Decision;
pub use error::EngineError;
pub use graph::{Graph, GraphError, Node};
pub use host::source_files;
pub use lanes::PerLane;
pub use options::{Adopted, PlanOptions, RunOptions, RunRole, SpecInfo};
pub use plan::{Plan, PlannedStage, plan, plan_what_is_there, to_check};
pub use results::RunSummary;
pub use run::run;
pub use shards::{Remembered, RememberedResults, ShardCount, remembered};
pub use share::{NoShare, Share};
pub use unchanged::run_unchanged;
pub use watch::Watch;
pub use why::{BlastRadius, Cause, Why, why};

//! Reads a pipeline spec from YAML, with errors that point at the line.
//!
//! Knows the keys of a spec and of a stage, but no kind of stage. [`params`] reads a stage's params into the struct of
//! its kind, and its errors point into the file, too. Reads only the spec's files, and resolves links where a path
//! leads above a linked folder.
//!
//! ```
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Load { path: pipeline_spec::SpecPath }
//!
//! let text = "\
//! vars: { data: ../data }
//! stages:
//!   queries:
//!     kind: load-queries
//!     params: { path: '${data}/queries.jsonl' }
//! ";
//! let spec = pipeline_spec::parse(text, "/data/pipelines/demo.yaml".as_ref()).unwrap();
//! let load: Load = pipeline_spec::params(&spec.stages[0].params).unwrap();
//! assert_eq!(load.path.path(), std::path::Path::new("/data/data/queries.jsonl"));
//!
//! let error = pipeline_spec::parse("stages: {}\nvras: {}\n", "demo.yaml".as_ref()).unwrap_err();
//! assert_eq!(error.to_string(), "unknown key `vras`");
//! assert_eq!(error.span.unwrap().to_string(), "demo.yaml:2:1");
//! assert_eq!(error.help.unwrap(), "did you mean `vars`?");
//! ```

mod axis;
mod build;
mod deserializer;
mod drawing;
mod error;
mod foreign;
mod graph;
mod keys;
mod load;
mod merge;
mod nearest;
mod node;
mod open_flow;
mod overrides;
mod path;
mod range;
mod resolved;
mod scalar;
mod schema;
mod siblings;
mod source;
mod spec;
mod syntax;
mod vars;
mod yaml;

pub use axis::{Axis, AxisValues};
pub use deserializer::params;
pub use drawing::{ChosenBy, Draw, Halving, MAX_POINTS, SweepSpec};
pub use error::SpecError;
pub use load::{Draft, load, parse, spec_path};
pub use nearest::{did_you_mean, meant, nearest};
pub use node::{Node, Value};
pub use overrides::Override;
pub use path::{SpecPath, absolute, is_yaml};
pub use range::ValueRange;
pub use resolved::resolved_yaml;
pub use schema::{KindSchema, json_schema};
pub use source::{Span, Spanned, SpecFile};
pub use spec::{CheckRule, Input, PairedRule, PipelineSpec, Publish, StageSpec};

//! The spec as the rest of the program sees it: names checked, vars replaced, paths absolute.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, Lane, StageId};

use crate::path::absolute;
use crate::vars::Vars;
use crate::{Node, Span, Spanned, SweepSpec};

/// A pipeline: stages and how they are connected.
#[derive(Debug)]
pub struct PipelineSpec {
    /// The name; by default the file's name without its extension. Never inherited through `extends`.
    pub name: String,
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The absolute paths and digests of the files that it was read from, itself first.
    pub files: Vec<(PathBuf, Digest)>,
    /// The absolute folder in which the file's relative paths start: its own folder by default.
    pub folder: Arc<Path>,
    /// The vars with their final texts.
    pub vars: BTreeMap<String, String>,
    /// The stages in the order of the file; those of extended specs first.
    pub stages: Vec<StageSpec>,
    /// The rules of the gate, by metric.
    pub check: BTreeMap<String, CheckRule>,
    /// The points of a sweep; a run ignores them.
    pub sweep: SweepSpec,
    pub(crate) var_nodes: Vars,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// The name.
    pub id: StageId,
    /// The place of the name.
    pub span: Span,
    /// The kind; the registry checks whether it exists.
    pub kind: Spanned<String>,
    /// The stages whose artifacts this one reads, by slot. All of them exist, and there is no cycle.
    pub inputs: Vec<Input>,
    /// A map, possibly empty, for [`params`](crate::params). Its span is that of the key `params`, or else of the
    /// stage.
    pub params: Node,
    /// False if the bytes may be dropped once the consumers are done.
    pub retain: bool,
    /// The lane that its key `pool` names; `None` for that of its kind.
    pub lane: Option<Lane>,
    /// The files that are copied out of the artifact.
    pub publish: Vec<Publish>,
}

impl StageSpec {
    /// The stage in a slot, with its place.
    pub fn input(&self, slot: &str) -> Option<&Spanned<StageId>> {
        self.inputs.iter().find(|(name, _)| name.value == slot).map(|(_, from)| from)
    }
}

/// A slot and the stage whose artifact fills it.
pub type Input = (Spanned<String>, Spanned<StageId>);

/// A file of an artifact that is copied to a path outside the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The file's name in the artifact: relative, with `/` as separator.
    pub file: Spanned<String>,
    /// The absolute path of the copy.
    pub path: PathBuf,
    /// The place of that path.
    pub path_span: Span,
}

/// The rule for a metric; at least one of its limits is set. Which of them mean anything depends on the metric.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRule {
    /// The largest allowed drop below the accepted value, in the metric's own unit; at least 0.
    pub max_drop: Option<f64>,
    /// The largest allowed rise above the accepted value, where lower is better; at least 0.
    pub max_rise: Option<f64>,
    /// The smallest allowed value.
    pub min_value: Option<f64>,
    /// The largest allowed value, where lower is better.
    pub max_value: Option<f64>,
    /// Requires that a drop is also significant to fail; implies a `max_drop`.
    pub paired: Option<PairedRule>,
    /// The place of the metric's name.
    pub span: Span,
}

/// The rule by which a drop counts as significant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRule {
    /// The significance level: the share of runs in which chance alone may pass for a drop, above 0 and at most 0.5.
    pub alpha: f64,
}

impl Default for PairedRule {
    fn default() -> Self {
        Self { alpha: 0.05 }
    }
}

impl PipelineSpec {
    /// The stage with this name.
    pub fn stage(&self, id: &StageId) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| stage.id == *id)
    }

    /// The absolute path in a var, relative to the folder of the file that defines it.
    pub fn var_path(&self, name: &str) -> Option<PathBuf> {
        let node = self.var_nodes.nodes().get(name)?;
        Some(absolute(node.folder(), node.as_str()?))
    }
}

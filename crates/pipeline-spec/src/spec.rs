//! The spec as the rest of the program sees it: names checked, vars replaced, paths absolute.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, Pool, StageId};

use crate::path::absolute;
use crate::vars::Vars;
use crate::{Axis, Node, Span, Spanned};

/// A pipeline: stages and how they are connected.
#[derive(Debug)]
pub struct PipelineSpec {
    /// The name; by default the file's name without its ending. Never inherited through `extends`.
    pub name: String,
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The absolute paths of the files that it was read from, itself first, and the digests that they had.
    pub files: Vec<(PathBuf, Digest)>,
    /// The absolute folder in which the relative paths of the file start: its own folder unless it names another.
    pub folder: Arc<Path>,
    /// The vars with their final texts.
    pub vars: BTreeMap<String, String>,
    /// The stages in the order of the file; those of extended specs first.
    pub stages: Vec<StageSpec>,
    /// The rules of the gate, by metric.
    pub check: BTreeMap<String, CheckRule>,
    /// The values that a sweep tries, in the order of the file; a run does not look at them.
    pub sweep: Vec<Axis>,
    pub(crate) var_nodes: Vars,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// The name.
    pub id: StageId,
    /// Where the name stands.
    pub span: Span,
    /// The kind; whether there is such a kind is not checked here.
    pub kind: Spanned<String>,
    /// The stages whose artifacts this one reads, by slot. All of them exist and none needs this one.
    pub inputs: Vec<Input>,
    /// A map, perhaps empty, for [`params`](crate::params). Its span is that of the key `params`, else of the stage.
    pub params: Node,
    /// False if the bytes may be dropped once the consumers are done.
    pub retain: bool,
    /// The pool that it occupies; `None` for that of its kind.
    pub pool: Option<Pool>,
    /// The files that are copied out of the artifact.
    pub publish: Vec<Publish>,
}

/// A slot and the stage whose artifact fills it.
pub type Input = (Spanned<String>, Spanned<StageId>);

/// A file of an artifact that is copied to where people look for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The file's name in the artifact: relative, with `/` between parts.
    pub file: Spanned<String>,
    /// The absolute path of the copy.
    pub path: PathBuf,
    /// Where that path stands.
    pub path_span: Span,
}

/// The rule for a metric; at least one of `max_drop` and `min_value`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckRule {
    /// How far the metric may fall below the accepted one, in the metric's own unit; at least 0.
    pub max_drop: Option<f64>,
    /// The least value of the metric.
    pub min_value: Option<f64>,
    /// With it a drop fails only if it is also no chance; there is a `max_drop` then.
    pub paired: Option<PairedRule>,
    /// Where the metric's name stands.
    pub span: Span,
}

/// When a drop counts as no chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedRule {
    /// The share of runs in which chance alone may be taken for a drop, above 0 and at most 0.5.
    pub alpha: f64,
}

impl Default for PairedRule {
    fn default() -> Self {
        Self { alpha: 0.05 }
    }
}

impl PipelineSpec {
    /// The stage of that name.
    pub fn stage(&self, id: &StageId) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| stage.id == *id)
    }

    /// The absolute path that a var holds, relative to the folder of the file that defines it.
    pub fn var_path(&self, name: &str) -> Option<PathBuf> {
        let node = self.var_nodes.nodes().get(name)?;
        Some(absolute(node.folder(), node.as_str()?))
    }
}

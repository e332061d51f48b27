//! The params of `train-projection`.

use pipeline_models::Precision;
use pipeline_models::train::{self, Attentive, ClosedForm, TrainOptions};
use pipeline_spec::SpecPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pooled::PoolName;

/// The learning rate of the vector by which tokens are weighed, where nothing else is asked for.
pub(super) const DEFAULT_ATTENTION_LR: f64 = 1e-2;

/// The params of `train-projection`; the defaults are the notebook's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainProjectionParams {
    /// The way of features into the shared space.
    #[serde(default)]
    pub(super) fusion: Fusion,
    /// The images with which a query is paired.
    #[serde(default)]
    pub(super) pairs: Pairs,
    /// The method of making the heads.
    #[serde(default)]
    pub(super) fit: Fit,
    /// With `fit: ridge` or `cca`: the number added to the diagonal of covariances, as a share of their mean diagonal.
    #[serde(default = "default_penalty")]
    pub(super) penalty: f64,
    /// The width of the shared space; with `start: identity` that of the features, which need not be given.
    // With `start: identity` the manifest has the width where the models show it, else null: the features decide.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65_536), with = "usize", default = "default_projection_dim")]
    pub(super) projection_dim: Option<usize>,
    /// The map of features into the shared space.
    #[serde(default)]
    pub(super) head: HeadShape,
    /// With `head: mlp`: the width of the hidden layer; by default `projection_dim`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) hidden_dim: Option<usize>,
    /// Divide embeddings by their L2 norm.
    #[serde(default = "default_true")]
    pub(super) normalize: bool,
    /// The divisor of similarities before the softmax.
    #[serde(default = "default_temperature")]
    pub(super) temperature: f64,
    /// Learn the temperature with the heads, from `temperature` and between 0.01 and 1.
    #[serde(default)]
    pub(super) learn_temperature: bool,
    /// The role of other pairs in a batch whose text and image belong together, according to any pair of the training.
    #[serde(default)]
    pub(super) positives: Positives,
    /// The learning rate of Adam.
    #[serde(default = "default_lr")]
    pub(super) lr: f64,
    /// The schedule of the learning rate after the warm-up.
    #[serde(default)]
    pub(super) lr_schedule: LrSchedule,
    /// The number of steps in which the learning rate rises linearly to `lr`.
    #[serde(default)]
    pub(super) warmup_steps: usize,
    /// The L2 penalty of Adam, coupled with the gradient: it pulls weights to 0.
    #[serde(default = "default_weight_decay")]
    pub(super) weight_decay: f64,
    /// The same penalty on the way of every weight from its start: it pulls weights to the start, beside
    /// `weight_decay`; 0, the default, pulls nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) anchor: f64,
    /// The number of passes over the pairs.
    #[serde(default = "default_epochs")]
    pub(super) epochs: usize,
    /// With `valid_…` inputs: the epochs in a row without a better MeanRecall on them after which training stops; 0: it
    /// never stops early. With these inputs the heads of the best epoch are kept. With `start: identity`, `anchor` or
    /// `init_from` the start is measured, too, as epoch 0, and the first pass over the pairs is epoch 1.
    #[serde(default)]
    pub(super) patience: usize,
    /// The number of pairs per step; the last batch of an epoch may be smaller.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) batch_size: usize,
    /// Whether to shuffle the pairs again for each epoch, by `seed`.
    #[serde(default)]
    pub(super) shuffle: bool,
    /// With an input `text` of `pooling: tokens`: the way from a text's tokens to one vector; by default `attentive`.
    // In the manifest as it comes to, and never for pooled features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text_pool: Option<PoolName>,
    /// The same for an input `images` of `pooling: tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_pool: Option<PoolName>,
    /// With `attentive` pools: the learning rate of the vector by which tokens are weighed, without `weight_decay` and
    /// `anchor`; by default 0.01. It follows `lr_schedule` and `warmup_steps`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attention_lr: Option<f64>,
    /// The rounding that products may take, on devices that gain speed by it.
    #[serde(default, skip_serializing_if = "TrainingPrecision::is_single")]
    pub(super) precision: TrainingPrecision,
    /// The initial weights of the heads.
    #[serde(default, skip_serializing_if = "Start::is_random")]
    pub(super) start: Start,
    /// The seed of the initial weights (those of `torch.manual_seed`) and of the shuffling.
    #[serde(default)]
    pub(super) seed: u64,
    /// Initial weights to use instead: a `projection.safetensors` or the notebook's `.pth`.
    // Not part of the manifest: the file's content is, as a source.
    #[serde(default, skip_serializing)]
    pub(super) init_from: Option<SpecPath>,
    /// Accept `init_from` and `valid_…` inputs of another encoder or other options than those of the features.
    #[serde(default, skip_serializing_if = "crate::kind::is_false")]
    pub(super) allow_mismatch: bool,
    /// Whether the start is measured on held-out data, too; follows from the other params and the inputs.
    // In the manifest, since `init_from` with `valid_…` inputs gave other bytes before starts were measured.
    #[serde(skip_deserializing, skip_serializing_if = "crate::kind::is_false")]
    #[schemars(skip)]
    pub(super) measures_start: bool,
}

impl TrainProjectionParams {
    /// The width of the shared space, unless the features decide it.
    pub(super) fn dim(&self) -> usize {
        self.projection_dim.unwrap_or_else(default_projection_dim)
    }

    /// The width of the hidden layer of each head; `None` without one.
    pub(super) fn d_hidden(&self) -> Option<usize> {
        match self.head {
            HeadShape::Linear => None,
            HeadShape::Mlp => Some(self.hidden_dim.unwrap_or(self.dim())),
        }
    }

    /// Whether pairs change the heads: neither without heads nor without steps.
    pub(super) fn learns(&self) -> bool {
        self.fusion == Fusion::Projection && (self.epochs > 0 || self.fit.closed_form().is_some())
    }

    /// Whether the start may be better than what becomes of it.
    pub(super) fn has_good_start(&self) -> bool {
        self.start == Start::Identity || self.anchor > 0.0 || self.init_from.is_some()
    }

    /// The sides whose pool is learnt.
    pub(super) fn attentive(&self) -> Attentive {
        let is_learnt = |pool: Option<PoolName>| pool == Some(PoolName::Attentive);
        Attentive { text: is_learnt(self.text_pool), images: is_learnt(self.image_pool) }
    }

    /// The options of training with these params.
    pub(super) fn options(&self, n_threads: usize) -> TrainOptions {
        TrainOptions {
            normalize: self.normalize,
            temperature: self.temperature,
            learn_temperature: self.learn_temperature,
            positives: self.positives.into(),
            lr: self.lr,
            attention_lr: self.attention_lr.unwrap_or(DEFAULT_ATTENTION_LR),
            lr_schedule: self.lr_schedule.into(),
            warmup_steps: self.warmup_steps,
            weight_decay: self.weight_decay,
            anchor: self.anchor,
            epochs: self.epochs,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            seed: self.seed,
            precision: self.precision.into(),
            n_threads,
            ..TrainOptions::default()
        }
    }
}

/// The way of features into the shared space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fusion {
    /// Through one head for each side.
    #[default]
    Projection,
    /// Unchanged: both kinds of features must have the same width, and nothing is trained.
    Passthrough,
}

/// The map of features into the shared space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum HeadShape {
    /// A linear map for each side, as in the notebook.
    #[default]
    Linear,
    /// For each side a linear map to `hidden_dim` numbers, the exact GELU and another linear map.
    Mlp,
}

/// The rounding that products of a training may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TrainingPrecision {
    /// Single precision, on every device.
    #[default]
    F32,
    /// Factors may be rounded to 11 bits, as tensor cores of GPUs do for speed; processors round none.
    Tf32,
}

impl TrainingPrecision {
    /// Whether it stays out of manifests.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(super) fn is_single(&self) -> bool {
        *self == Self::F32
    }
}

impl From<TrainingPrecision> for Precision {
    fn from(precision: TrainingPrecision) -> Self {
        match precision {
            TrainingPrecision::F32 => Self::F32,
            TrainingPrecision::Tf32 => Self::Tf32,
        }
    }
}

/// The initial weights of the heads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// The default: PyTorch's for the `seed`, or those of `init_from`.
    #[default]
    Random,
    /// Unit matrices without a bias: features that share a space begin there.
    Identity,
}

impl Start {
    fn is_random(&self) -> bool {
        *self == Self::Random
    }
}

/// The images with which a query is paired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pairs {
    /// The first of its ids in the pool, as in the notebook: one pair per query.
    #[default]
    First,
    /// Each of its ids in the pool: one pair per query and image.
    All,
}

/// The method of making the heads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fit {
    /// Trained by steps of Adam on the symmetric InfoNCE loss.
    #[default]
    Contrastive,
    /// Computed: texts to the features of their images by ridge regression.
    Ridge,
    /// Computed: canonical correlation analysis of both features.
    Cca,
}

impl Fit {
    pub(super) fn closed_form(self) -> Option<ClosedForm> {
        match self {
            Self::Contrastive => None,
            Self::Ridge => Some(ClosedForm::Ridge),
            Self::Cca => Some(ClosedForm::Cca),
        }
    }
}

/// The role of other pairs in a batch whose text and image belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Positives {
    /// Negatives like all others, as in the notebook.
    #[default]
    Own,
    /// Excluded from the softmax.
    Mask,
    /// Positives: the loss is the mean over all of them (`L_out` of Khosla et al. 2020).
    All,
}

impl From<Positives> for train::Positives {
    fn from(positives: Positives) -> Self {
        match positives {
            Positives::Own => Self::Own,
            Positives::Mask => Self::Mask,
            Positives::All => Self::All,
        }
    }
}

/// The schedule of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LrSchedule {
    /// Constant, as in the notebook.
    #[default]
    Constant,
    /// Falls to 0 along half a cosine, as in open_clip.
    Cosine,
}

impl From<LrSchedule> for train::LrSchedule {
    fn from(schedule: LrSchedule) -> Self {
        match schedule {
            LrSchedule::Constant => Self::Constant,
            LrSchedule::Cosine => Self::Cosine,
        }
    }
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// 0.01.
fn default_penalty() -> f64 {
    0.01
}

/// 512, the notebook's.
pub(super) fn default_projection_dim() -> usize {
    512
}

pub(super) fn default_true() -> bool {
    true
}

/// 0.07, the notebook's.
pub(super) fn default_temperature() -> f64 {
    0.07
}

/// 1e-3, the notebook's.
pub(super) fn default_lr() -> f64 {
    1e-3
}

/// 1e-4, the notebook's.
pub(super) fn default_weight_decay() -> f64 {
    1e-4
}

/// 2, the notebook's.
pub(super) fn default_epochs() -> usize {
    2
}

/// 16, the notebook's.
pub(super) fn default_batch_size() -> usize {
    16
}

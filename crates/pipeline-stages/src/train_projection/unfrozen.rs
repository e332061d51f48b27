//! `train-top`: the last layers of a text encoder, trained together with the heads on cached tokens that enter them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pipeline_core::{Source, Stage, StageContext, StageError};
use pipeline_models::text::{self, ModelError, ModelSearch, Pooling, TextOptions};
use pipeline_models::train::TopRate;
use pipeline_models::{EncoderModel, Top};
use pipeline_spec::SpecError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::{
    Fit, Fusion, HeadShape, LrSchedule, Pairs, Positives, Start, TrainProjectionParams, TrainingPrecision,
    default_batch_size, default_epochs, default_lr, default_projection_dim, default_temperature, default_true,
    default_weight_decay,
};
use super::spaces::Spaces;
use super::{TrainProjection, checks, held_out};
use crate::extract_text::{self, FAMILY, PoolingParam};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::model::{self, ModelName};
use crate::{artifact, tokens};

pub(crate) static KIND: Kind = Kind {
    name: "train-top",
    version: 1,
    summary: "Trains the last layers of a text encoder together with two heads, on cached tokens that enter them",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the training queries with the ids of their images"),
        Slot::required("text", Format::TextTokens, "the tokens of those queries, by `extract-text` with `layers`"),
        Slot::required("images", Format::ImageFeatures, "the image features of the training images"),
        held_out::QUERIES,
        held_out::TOKENS,
        held_out::POOLED_IMAGES,
    ]),
    produces: Format::Projection,
    tokens: None,
    files: &[artifact::PROJECTION, artifact::HISTORY],
    params_schema: schema::<TrainTopParams>,
    build,
};

/// The params of `train-top`; the defaults of heads are those of `train-projection`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainTopParams {
    /// The text model whose last layers are trained: that of the `extract-text` which left them out.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    pub(super) text_model: ModelName,
    /// The pooling after those layers; when absent, that of the model.
    #[serde(default)]
    pub(super) text_pooling: Option<PoolingParam>,
    /// The learning rate of the last layer, without weight decay.
    #[serde(default = "default_lr_top")]
    pub(super) lr_top: f64,
    /// The factor of the learning rate from each layer to the one below it.
    #[serde(default = "default_lr_decay")]
    pub(super) lr_decay: f64,
    /// The images with which a query is paired.
    #[serde(default)]
    pub(super) pairs: Pairs,
    /// The width of the shared space; with `start: identity` that of the features.
    #[serde(default)]
    #[schemars(range(min = 1, max = 65_536), with = "usize", default = "default_projection_dim")]
    pub(super) projection_dim: Option<usize>,
    /// Divide embeddings by their L2 norm.
    #[serde(default = "default_true")]
    pub(super) normalize: bool,
    /// The divisor of similarities before the softmax.
    #[serde(default = "default_temperature")]
    pub(super) temperature: f64,
    /// Learn the temperature, from `temperature` and between 0.01 and 1.
    #[serde(default)]
    pub(super) learn_temperature: bool,
    /// The role of other pairs in a batch whose text and image belong together, according to any pair of the training.
    #[serde(default)]
    pub(super) positives: Positives,
    /// The learning rate of the heads.
    #[serde(default = "default_lr")]
    pub(super) lr: f64,
    /// The schedule of all learning rates after the warm-up.
    #[serde(default)]
    pub(super) lr_schedule: LrSchedule,
    /// The number of steps in which all learning rates rise linearly.
    #[serde(default)]
    pub(super) warmup_steps: usize,
    /// The L2 penalty of the heads, coupled with the gradient: it pulls weights to 0.
    #[serde(default = "default_weight_decay")]
    pub(super) weight_decay: f64,
    /// The number of passes over the pairs.
    #[serde(default = "default_epochs")]
    pub(super) epochs: usize,
    /// With `valid_…` inputs: the epochs in a row without a better MeanRecall on them after which training stops; 0: it
    /// never stops early. With these inputs the state of the best epoch is kept. With `start: identity` the start is
    /// measured, too, as epoch 0.
    #[serde(default)]
    pub(super) patience: usize,
    /// The number of pairs per step; the last batch of an epoch may be smaller.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) batch_size: usize,
    /// Whether to shuffle the pairs again for each epoch, by `seed`.
    #[serde(default)]
    pub(super) shuffle: bool,
    /// The rounding that products may take, on devices that gain speed by it.
    #[serde(default, skip_serializing_if = "TrainingPrecision::is_single")]
    pub(super) precision: TrainingPrecision,
    /// The initial weights of the heads.
    #[serde(default)]
    pub(super) start: Start,
    /// The seed of the initial weights (those of `torch.manual_seed`) and of the shuffling.
    #[serde(default)]
    pub(super) seed: u64,
    /// Accept `valid_…` inputs of another encoder or other options than those of the training.
    #[serde(default, skip_serializing_if = "crate::kind::is_false")]
    pub(super) allow_mismatch: bool,
}

impl TrainTopParams {
    /// The params of the heads alone.
    fn of_heads(&self) -> TrainProjectionParams {
        TrainProjectionParams {
            fusion: Fusion::Projection,
            pairs: self.pairs,
            fit: Fit::Contrastive,
            penalty: 1.0,
            projection_dim: self.projection_dim,
            head: HeadShape::Linear,
            hidden_dim: None,
            normalize: self.normalize,
            temperature: self.temperature,
            learn_temperature: self.learn_temperature,
            positives: self.positives,
            lr: self.lr,
            lr_schedule: self.lr_schedule,
            warmup_steps: self.warmup_steps,
            weight_decay: self.weight_decay,
            anchor: 0.0,
            epochs: self.epochs,
            patience: self.patience,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            precision: self.precision,
            start: self.start,
            seed: self.seed,
            text_pool: None,
            image_pool: None,
            attention_lr: None,
            init_from: None,
            allow_mismatch: self.allow_mismatch,
            measures_start: false,
        }
    }
}

/// The layers that a stage trains, with its params.
pub(super) struct Unfrozen {
    params: TrainTopParams,
    search: ModelSearch,
    /// The layers that the spec leaves out, where it says so.
    n_layers: Option<usize>,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let mut params: TrainTopParams = pipeline_spec::params(node)?;
    for (name, value) in [("lr_top", params.lr_top), ("lr_decay", params.lr_decay)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(SpecError::at(span_of(node, name), format!("`{name}` must be a number of at least 0")));
        }
    }
    if params.text_pooling == Some(PoolingParam::Tokens) {
        return Err(SpecError::at(span_of(node, "text_pooling"), "`text_pooling` must make one vector of a text")
            .with_help("`cls`, `mean`, `pooler` and `projected` do, as far as the model has them"));
    }
    let n_layers = n_left_out(&context)?;
    let heads = checks::checked(&context, params.of_heads())?;
    params.projection_dim = heads.projection_dim.or((params.start == Start::Random).then(|| heads.dim()));
    let unfrozen = Unfrozen { params, search: context.settings.model_search.clone(), n_layers };
    Ok(Box::new(TrainProjection { params: heads, unfrozen: Some(unfrozen) }))
}

/// The layers that the stage of the input `text` leaves out; `None` where the spec does not show it.
///
/// # Errors
/// When it leaves none out.
fn n_left_out(context: &BuildContext<'_>) -> Result<Option<usize>, SpecError> {
    let Some(from) = context.stage.input("text") else { return Ok(None) };
    let Some(maker) = context.spec.stage(&from.value) else { return Ok(None) };
    if maker.kind.value != extract_text::KIND.name {
        return Ok(None);
    }
    let n_layers = extract_text::n_left_out(&maker.params);
    let message = || format!("`{}` computes all layers, so that none is left to train", maker.id);
    n_layers.map(Some).ok_or_else(|| SpecError::at(&from.span, message()).with_help(HELP))
}

pub(super) const HELP: &str = "`layers: -2` in the params of `extract-text` leaves the last two layers out";

impl Unfrozen {
    /// The params in manifests, with the pooling of the model as the default.
    pub(super) fn params(&self) -> BTreeMap<String, String> {
        let own = || self.model().ok().and_then(|model| PoolingParam::of_name(model.pooling()));
        let text_pooling = self.params.text_pooling.or_else(own);
        manifest_params(&TrainTopParams { text_pooling, ..self.params.clone() })
    }

    pub(super) fn check(&self) -> Result<(), StageError> {
        let checked = self.model().and_then(|model| match self.n_layers {
            Some(n_layers) => model.check_top(n_layers).map_err(|error| self.failure(error)),
            None => Ok(()),
        });
        checked.or_else(|error| FAMILY.check_missing(&self.params.text_model, error))
    }

    pub(super) fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(model::sources(self.model()?.files()))
    }

    pub(super) fn places(&self) -> Vec<PathBuf> {
        self.params.text_model.places(&self.search, text::text_model_places)
    }

    pub(super) fn looked_for(&self) -> Vec<PathBuf> {
        vec![self.params.text_model.path().to_owned()]
    }

    /// The learning rate of the layers.
    pub(super) fn rate(&self) -> TopRate {
        TopRate { lr: self.params.lr_top, decay: self.params.lr_decay }
    }

    /// The model, of which only small files have been read.
    fn model(&self) -> Result<Box<dyn EncoderModel>, StageError> {
        let TrainTopParams { text_model, text_pooling, .. } = &self.params;
        let options = TextOptions { pooling: text_pooling.map(Pooling::from), ..TextOptions::default() };
        text::find_text_model(&text_model.to_find(), &self.search)
            .and_then(|files| pipeline_models::open_text_model(&files, &options))
            .map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ModelError) -> StageError {
        FAMILY.failure(&self.params.text_model, &self.search, error)
    }

    /// The layers that the tokens of a training have not gone through.
    ///
    /// # Errors
    /// When there are none, or the tokens are of another model, or the weights cannot be read.
    pub(super) fn top(&self, context: &StageContext<'_>, spaces: &Spaces) -> Result<Top, StageError> {
        let property = |name: &str| spaces.text().and_then(|space| space.properties.get(name));
        let layers: Option<i32> = property(tokens::LAYERS).and_then(|layers| layers.parse().ok());
        let layers = layers.ok_or_else(|| {
            let message = "the tokens of input `text` are those after the last layer, so that none is left to train";
            StageError::new(message).with_help(HELP)
        })?;
        let (own, of_tokens) = (model::digest(context).hex(), property("model"));
        if of_tokens != Some(&own) {
            let shown = of_tokens.map_or("unknown", |digest| &digest[..12.min(digest.len())]);
            let message =
                format!("the tokens of input `text` are of the model {shown}, and `text_model` is {}", &own[..12]);
            return Err(StageError::new(message).with_help("both must name the same model, once in `vars`"));
        }
        let top = self.model()?.top(layers.unsigned_abs() as usize);
        top.map_err(|error| self.failure(error))
    }
}

/// 5e-5.
fn default_lr_top() -> f64 {
    5e-5
}

/// 0.9.
fn default_lr_decay() -> f64 {
    0.9
}

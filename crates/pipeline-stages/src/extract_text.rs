//! `extract-text`: one vector per query from a text encoder, shard by shard.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pipeline_core::{
    Cut, Digest, InRows, Needs, OpenRows, Shard, ShardedStage, Source, Stage, StageContext, StageError, StageWork,
    Threads, Work,
};
use pipeline_data::QueryRow;
use pipeline_models::text::{self, Cleaning, ModelError, Pooling, TextModelFiles, TextOptions};
use pipeline_models::{EncoderModel, EncoderRows, EncoderSide, TokenLayout};
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact;
use crate::extraction::{Extraction, ReadRows, Rows, ToEncode};
use crate::feature_spaces::Declared;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::model::{self, Family, ModelName};
use crate::pooled::QueryEncoder;
use crate::published;
use crate::query_shards::QueryShards;
use crate::seconds::Seconds;
use crate::shard_sizes::{self, SHARD_MIB};
use crate::tokens::{self, PrecisionParam};

const NOT_LOADED: &str = "the text model cannot be loaded";

pub(crate) static KIND: Kind = Kind {
    name: "extract-text",
    version: 4,
    summary: "Encodes queries with a text model into one vector each, or one per token",
    slots: Some(&[Slot::required("queries", Format::Queries, "the queries to encode")]),
    produces: Format::TextFeatures,
    tokens: Some(Format::TextTokens),
    files: &[published::SHARDS, artifact::FEATURES],
    params_schema: schema::<ExtractTextParams>,
    build,
};

/// The params of `extract-text`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractTextParams {
    /// A model folder of Hugging Face, sentence-transformers or OpenCLIP, a Chinese-CLIP checkpoint, or a bare name
    /// such as `bert-base-chinese` that is searched in the folders of models.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    model: ModelName,
    /// The most tokens per text, including special ones. When absent, that of a sentence-transformers folder, else the
    /// smaller of 128, as in the notebook, and the model's own limit.
    #[serde(default)]
    #[schemars(range(min = 3))]
    max_length: Option<usize>,
    /// The pooling of a text's token vectors. When absent, that of a sentence-transformers folder, else `projected` for
    /// CLIP and SigLIP, and `cls` for BERT's families, as in the notebook.
    #[serde(default)]
    pooling: Option<PoolingParam>,
    /// The rounding that products may take, on devices that gain speed by it; `f16` is the storage of
    /// `pooling: tokens`.
    #[serde(default, skip_serializing_if = "PrecisionParam::is_single")]
    precision: PrecisionParam,
    /// `-N` leaves out the last N layers and gives the vectors of all tokens that enter them, for `train-top`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = -1))]
    layers: Option<i32>,
    /// Whether to lower-case the texts; when absent, the model's tokenizer decides (bert-base-chinese does not).
    #[serde(default)]
    lower_case: Option<bool>,
    /// The change of a text before it is split into tokens.
    #[serde(default, skip_serializing_if = "Clean::is_none")]
    clean: Clean,
    /// The size of a shard in MiB, on the average, as far as rows have as many tokens as they may. When absent, shards
    /// are cut by rows: some 2,560 texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    shard_mib: Option<u32>,
    /// Texts per batch and thread; on a GPU as many times 256 tokens. Changes speed only, so it is not part of the
    /// manifest.
    #[serde(default = "default_batch_rows", skip_serializing)]
    #[schemars(range(min = 1, max = 65_536))]
    batch_rows: usize,
}

/// The pooling of a text's token vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PoolingParam {
    /// The last hidden state of the first token, such as `[CLS]`, as in the notebook.
    Cls,
    /// The mean of the last hidden states of all tokens.
    Mean,
    /// The vector of the model's own pooler.
    Pooler,
    /// The vector in the space that texts and images of a CLIP or SigLIP share.
    Projected,
    /// None: the last hidden states of all tokens, for `text_pool` of `train-projection`.
    Tokens,
}

/// The change of a text before it is split into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Clean {
    /// Texts stay as they are.
    #[default]
    None,
    /// As Chinese-CLIP's own evaluation: lower case, and straight double quotes for curly ones.
    ChineseClip,
}

impl Clean {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl From<Clean> for Cleaning {
    fn from(clean: Clean) -> Self {
        match clean {
            Clean::None => Self::Off,
            Clean::ChineseClip => Self::ChineseClip,
        }
    }
}

impl PoolingParam {
    /// The pooling that a model names.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        [Self::Cls, Self::Mean, Self::Pooler, Self::Projected, Self::Tokens]
            .into_iter()
            .find(|pooling| Pooling::from(*pooling).name() == name)
    }
}

impl From<PoolingParam> for Pooling {
    fn from(pooling: PoolingParam) -> Self {
        match pooling {
            PoolingParam::Cls => Self::Cls,
            PoolingParam::Mean => Self::Mean,
            PoolingParam::Pooler => Self::Pooler,
            PoolingParam::Projected => Self::Projected,
            PoolingParam::Tokens => Self::Tokens,
        }
    }
}

pub(crate) const FAMILY: Family =
    Family { side: EncoderSide::Text, near: text::text_models_near, of_name: text::text_family_of_name };

fn default_batch_rows() -> usize {
    32
}

struct ExtractText {
    params: ExtractTextParams,
    search: text::ModelSearch,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: ExtractTextParams = pipeline_spec::params(node)?;
    if params.max_length.is_some_and(|max_length| max_length < 3) {
        return Err(SpecError::at(span_of(node, "max_length"), "`max_length` must be at least 3")
            .with_help("[CLS] and [SEP] take two of the tokens"));
    }
    params.precision.check(node)?;
    shard_sizes::check(node, params.shard_mib)?;
    check_layers(&params, node)?;
    if !(1..=model::MAX_BATCH_ROWS).contains(&params.batch_rows) {
        let message = format!("`batch_rows` must be from 1 to {}", model::MAX_BATCH_ROWS);
        return Err(SpecError::at(span_of(node, "batch_rows"), message));
    }
    Ok(Box::new(ExtractText { params, search: context.settings.model_search.clone() }))
}

fn check_layers(params: &ExtractTextParams, node: &Node) -> Result<(), SpecError> {
    let Some(layers) = params.layers else { return Ok(()) };
    let at = |message: &str| Err(SpecError::at(span_of(node, tokens::LAYERS), message));
    if !(-1000..0).contains(&layers) {
        return at("`layers` must be from -1000 to -1: so many of the last layers are left out");
    }
    if params.pooling.is_some_and(|pooling| pooling != PoolingParam::Tokens) {
        return at(
            "`layers` gives the vectors of tokens, and `pooling` makes them one; `train-top` has `text_pooling`",
        );
    }
    Ok(())
}

/// The last layers that a stage with these params leaves out, if it does.
pub(crate) fn n_left_out(params: &Node) -> Option<usize> {
    let params: ExtractTextParams = pipeline_spec::params(params).ok()?;
    Some(params.layers?.unsigned_abs() as usize)
}

/// The expected width of a stage's vectors; `None` when its params are wrong or its model is missing, which is reported
/// elsewhere.
pub(crate) fn width(params: &Node, search: &text::ModelSearch) -> Option<crate::feature_spaces::Width> {
    let stage = ExtractText { params: pipeline_spec::params(params).ok()?, search: search.clone() };
    let model = stage.files().and_then(|files| stage.model(&files)).ok()?;
    crate::feature_spaces::Width::of(&*model)
}

/// The order of a stage's token vectors; `None` as for [`width`], and where it pools them.
pub(crate) fn layout(params: &Node, search: &text::ModelSearch) -> Option<TokenLayout> {
    let stage = ExtractText { params: pipeline_spec::params(params).ok()?, search: search.clone() };
    stage.files().and_then(|files| stage.model(&files)).ok()?.tokens()
}

/// The feature space of a stage with these params according to the spec. Without `max_length`, which changes only
/// longer texts.
pub(crate) fn declared(params: &Node, search: &text::ModelSearch) -> Option<Declared> {
    let params: ExtractTextParams = pipeline_spec::params(params).ok()?;
    let stage = ExtractText { params, search: search.clone() };
    let resolved = stage.resolved();
    let pooling = resolved.pooling.map(|pooling| ("pooling", Pooling::from(pooling).name().to_owned()));
    let layers = resolved.layers.map(|layers| (tokens::LAYERS, layers.to_string()));
    let mut properties: BTreeMap<_, _> = pooling.into_iter().chain(layers).collect();
    properties.extend(resolved.lower_case.map(|lower_case| ("lower_case", lower_case.to_string())));
    properties.extend(resolved.precision.property());
    properties.extend(Cleaning::from(resolved.clean).name().map(|name| ("clean", name.to_owned())));
    let name = resolved.model.to_find();
    Some(Declared { properties, is_known: true, model: Some((name, stage.sources().unwrap_or_default())) })
}

/// The encoder of a stage with these params, on the processor.
pub(crate) fn encoder(params: &Node, search: &text::ModelSearch) -> Result<QueryEncoder, StageError> {
    let params: ExtractTextParams =
        pipeline_spec::params(params).map_err(|error| StageError::because("there is no text model", error))?;
    let stage = ExtractText { params, search: search.clone() };
    let model = stage.model(&stage.files()?)?;
    let encoder = model.load(pipeline_models::Device::Cpu, stage.params.precision.of_products());
    let encoder = encoder.map_err(|error| StageError::because(NOT_LOADED, error))?;
    Ok(QueryEncoder::new(&*model, encoder, stage.params.precision))
}

impl ExtractText {
    fn files(&self) -> Result<TextModelFiles, StageError> {
        text::find_text_model(&self.params.model.to_find(), &self.search).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ModelError) -> StageError {
        FAMILY.failure(&self.params.model, &self.search, error)
    }

    /// The model, of which only small files have been read.
    fn model(&self, files: &TextModelFiles) -> Result<Box<dyn EncoderModel>, StageError> {
        pipeline_models::open_text_model(files, &self.options()).map_err(|error| self.failure(error))
    }

    fn options(&self) -> TextOptions {
        TextOptions {
            max_length: self.params.max_length,
            pooling: self.params.layers.map(|_| Pooling::Tokens).or(self.params.pooling.map(Pooling::from)),
            n_left_out: self.params.layers.map_or(0, |layers| layers.unsigned_abs() as usize),
            lower_case: self.params.lower_case,
            cleaning: self.params.clean.into(),
            batch_rows: self.params.batch_rows,
        }
    }

    /// The params with the settings of the model's folder as defaults: these are hashed, and shown by `why`.
    fn resolved(&self) -> ExtractTextParams {
        // Where the model cannot be used, nothing is hashed: the sources fail.
        let model = self.files().and_then(|files| self.model(&files)).ok();
        let of_model = |model: &dyn EncoderModel| (model.max_length(), PoolingParam::of_name(model.pooling()));
        let (max_length, pooling) = model.map_or((Some(128), Some(PoolingParam::Cls)), |model| of_model(&*model));
        ExtractTextParams {
            max_length: self.params.max_length.or(max_length),
            pooling: self.params.pooling.or(pooling),
            ..self.params.clone()
        }
    }
}

impl Stage for ExtractText {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        manifest_params(&self.resolved())
    }

    fn check(&self) -> Result<(), StageError> {
        match self.files().and_then(|files| self.model(&files)) {
            Ok(model) => model.check().map_err(|error| self.failure(error)),
            Err(error) => FAMILY.check_missing(&self.params.model, error),
        }
    }

    fn check_facts(&self) -> Option<String> {
        self.files().ok().map(|files| format!("{} {files:?} {:?}", KIND.name, self.options()))
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(model::sources(self.model(&self.files()?)?.files()))
    }

    fn places(&self) -> Vec<PathBuf> {
        self.params.model.places(&self.search, text::text_model_places)
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        vec![self.params.model.path().to_owned()]
    }

    fn needs(&self) -> Needs {
        Needs { device: true, threads: Threads::All }
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for ExtractText {
    fn cut(&self) -> Cut {
        let Ok(model) = self.files().and_then(|files| self.model(&files)) else {
            return Cut::Rows(crate::load_queries::SIZES);
        };
        let ExtractTextParams { shard_mib, precision, .. } = self.params;
        let asked = shard_sizes::of_vectors(shard_mib, &*model, [0, 0], precision, 0);
        let row_bytes = || shard_sizes::token_row_bytes(&*model, [0, 0]);
        let usual = || row_bytes().map_or(crate::load_queries::SIZES, shard_sizes::of_text_tokens);
        Cut::Rows(asked.unwrap_or_else(usual))
    }

    fn in_rows(&self) -> InRows {
        InRows { params: &[SHARD_MIB], inputs: &["queries"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let files = self.files()?;
        let (start, seconds) = (Instant::now(), Seconds::default());
        let mut digests = Vec::new();
        let queries = QueryShards::scan(artifact::input(context, "queries"), &mut |row| digests.push(row_digest(row)))?;
        seconds.spent(Work::Read, start);
        let input = ToEncode {
            model: self.model(&files)?,
            not_loaded: NOT_LOADED,
            batch_rows: model::rows_at_once(context, self.params.batch_rows, 256),
            precision: self.params.precision,
            digests,
            n_rows: None,
            rows: Box::new(Texts(Mutex::new(queries))),
            reading: Work::Read,
            headline: Some(model::headline(context, &files.weights)),
            nothing: "there are no queries to encode",
        };
        Ok(Box::new(Extraction::new(context, input, seconds)))
    }
}

/// The texts of queries.
struct Texts(Mutex<QueryShards>);

impl<'a> ReadRows<'a> for Texts {
    fn read(&self, units: Range<usize>, _: &dyn EncoderModel) -> Result<Rows<'a>, StageError> {
        Ok(to_encode(self.0.lock().unwrap_or_else(PoisonError::into_inner).rows(units)?))
    }

    fn properties(&self, _: &[Shard], _: &dyn EncoderModel) -> Result<Vec<(&'static str, String)>, StageError> {
        Ok(Vec::new())
    }
}

/// The queries of a shard, to be encoded.
fn to_encode<'a>(rows: Vec<QueryRow>) -> Rows<'a> {
    // Texts of similar length share batches.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row_idx| rows[*row_idx].text.len());
    Rows {
        ids: rows.iter().map(|row| row.id.clone()).collect(),
        contents: rows.iter().map(|row| Digest::of(row.text.as_bytes())).collect(),
        order,
        give: Box::new(move |row_idxs, to| {
            let texts: Vec<&str> = row_idxs.iter().map(|row_idx| rows[*row_idx].text.as_str()).collect();
            to(EncoderRows::Texts(&texts));
        }),
        facts: BTreeMap::new(),
        rejects: Vec::new(),
    }
}

/// The digest of everything that the vector depends on, and of the id beside it.
fn row_digest(row: &QueryRow) -> Digest {
    Digest::of(&serde_json::to_vec(&(&row.id, &row.text)).expect("plain data becomes JSON"))
}

//! `extract-text`: one vector per query from a BERT-family encoder, shard by shard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::{Digest, Source, Stage, StageContext, StageError, StageReport};
use pipeline_data::{QueryRow, VectorShard};
use pipeline_nn::Matrix;
use pipeline_nn::text::{self, Pooling, TextEncoder, TextModelFiles, TextOptions};
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, FeaturesInfo};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::load_queries::rows_digest;
use crate::model::{self, ModelName};

pub(crate) static KIND: Kind = Kind {
    name: "extract-text",
    version: 1,
    summary: "Encodes queries with a BERT-family model into one vector each",
    slots: Some(&[Slot { name: "queries", accepts: Format::Queries, summary: "the queries to encode" }]),
    produces: Format::TextFeatures,
    params_schema: schema::<ExtractTextParams>,
    build,
};

/// The params of `extract-text`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractTextParams {
    /// A Hugging Face model folder, or a bare name such as `bert-base-chinese` that is looked for where models are.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    model: ModelName,
    /// Tokens per text at most, the two special ones included.
    #[serde(default = "default_max_length")]
    #[schemars(range(min = 3))]
    max_length: usize,
    /// What a text's vector is.
    #[serde(default)]
    pooling: PoolingParam,
    /// Lower-case the texts; when absent as the model's tokenizer says (bert-base-chinese does not).
    #[serde(default)]
    lower_case: Option<bool>,
    /// Texts per batch. Changes speed only, so it is not part of the manifest.
    #[serde(default = "default_batch_rows", skip_serializing)]
    #[schemars(range(min = 1))]
    batch_rows: usize,
}

/// What a text's vector is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum PoolingParam {
    /// The last hidden state of `[CLS]`, as in the notebook.
    #[default]
    Cls,
    /// The mean of the last hidden states of all tokens.
    Mean,
}

/// 128 tokens, the notebook's.
fn default_max_length() -> usize {
    128
}

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
    if params.max_length < 3 {
        return Err(SpecError::at(span_of(node, "max_length"), "`max_length` must be at least 3")
            .with_help("[CLS] and [SEP] take two of the tokens"));
    }
    if params.batch_rows == 0 {
        return Err(SpecError::at(span_of(node, "batch_rows"), "`batch_rows` must be at least 1"));
    }
    Ok(Box::new(ExtractText { params, search: context.settings.model_search.clone() }))
}

/// The width of the vectors that a stage of this kind will give; none when its params are wrong or its model is not
/// there, which is told elsewhere.
pub(crate) fn width(params: &Node, search: &text::ModelSearch) -> Option<usize> {
    let params: ExtractTextParams = pipeline_spec::params(params).ok()?;
    let files = text::find_text_model(&params.model.to_find(), search).ok()?;
    text::text_dim(&files).ok()
}

impl ExtractText {
    fn files(&self) -> Result<TextModelFiles, StageError> {
        text::find_text_model(&self.params.model.to_find(), &self.search)
            .map_err(|error| StageError::because("there is no text model", error))
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
        manifest_params(&self.params)
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let files = self.files()?;
        let named = |role: &str, path: &PathBuf| (role.to_owned(), path.clone());
        let mut roles = vec![named("config", &files.config), named("vocab", &files.vocab)];
        roles.extend(files.tokenizer_config.as_ref().map(|path| named("tokenizer-config", path)));
        roles.extend(model::weights(&files.weights));
        Ok(model::sources(roles))
    }

    fn places(&self) -> Vec<PathBuf> {
        let mut places = text::text_model_places(&self.params.model.to_find(), &self.search);
        places.push(self.params.model.path().to_owned());
        places
    }

    fn uses_device(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext<'_>) -> Result<StageReport, StageError> {
        let mut extraction = Extraction {
            params: &self.params,
            files: self.files()?,
            encoder: None,
            context,
            dim: None,
            seconds: BTreeMap::new(),
        };
        let rows = artifact::queries(artifact::input(context, "queries"))?;
        let n_rows = extraction.shards(&rows)?;
        artifact::write_json(
            &context.scratch.join(artifact::FEATURES),
            &FeaturesInfo { dim: extraction.dim()?, dtype: "f32".into(), model: model::digest(context) },
        )?;
        if n_rows == 0 {
            context.host.warn("there are no queries to encode".into());
        }
        Ok(StageReport {
            n_rows: Some(n_rows),
            headline: Some(model::headline(context, &extraction.files.weights)),
            seconds: extraction.seconds,
            ..StageReport::default()
        })
    }
}

struct Extraction<'a> {
    params: &'a ExtractTextParams,
    files: TextModelFiles,
    /// Loaded when the first shard has to be computed.
    encoder: Option<TextEncoder>,
    context: &'a StageContext<'a>,
    /// Numbers per vector, once a shard or the encoder has told.
    dim: Option<usize>,
    seconds: BTreeMap<String, f64>,
}

impl Extraction<'_> {
    /// Adds a shard per shard of the queries; returns the number of rows.
    fn shards(&mut self, rows: &[QueryRow]) -> Result<u64, StageError> {
        let digests: Vec<_> = rows.iter().map(row_digest).collect();
        let model = model::digest(self.context);
        let ranges = pipeline_data::cut(digests.iter().map(|digest| *digest.as_bytes()), crate::load_queries::SIZES);
        for (shard_idx, range) in ranges.into_iter().enumerate() {
            if self.context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let mut manifest = artifact::shard_manifest(&KIND, &rows_digest(&digests[range.clone()]));
            manifest.source("model", &model);
            for (name, value) in &manifest_params(self.params) {
                manifest.param(name, value);
            }
            let first_row = range.start as u64;
            let shard = self.context.host.shard(&artifact::shard_name(shard_idx), &manifest, &mut |path| {
                self.shard(&rows[range.clone()], path, first_row, rows.len() as u64)
            })?;
            self.dim = model::told_dim(&shard.report).or(self.dim);
            self.context.host.progress(range.end as u64, Some(rows.len() as u64));
        }
        Ok(rows.len() as u64)
    }

    fn shard(
        &mut self,
        rows: &[QueryRow],
        path: &Path,
        first_row: u64,
        n_rows: u64,
    ) -> Result<StageReport, StageError> {
        let context = self.context;
        let batch_rows = self.params.batch_rows;
        let encoder = self.encoder()?;
        let start = Instant::now();
        let vectors = encode(encoder, rows, batch_rows, context, &|n_done| {
            context.host.progress(first_row + n_done, Some(n_rows));
        })?;
        self.spent("forward", start);
        let start = Instant::now();
        let shard = VectorShard {
            ids: rows.iter().map(|row| row.id.clone()).collect(),
            dim: vectors.n_cols,
            values: vectors.values,
        };
        let pooling = match self.params.pooling {
            PoolingParam::Cls => "cls",
            PoolingParam::Mean => "mean",
        };
        model::write_vectors(path, &shard, &model::digest(context), pooling)?;
        self.spent("write", start);
        Ok(model::tell_dim(shard.dim))
    }

    fn encoder(&mut self) -> Result<&TextEncoder, StageError> {
        if self.encoder.is_none() {
            let start = Instant::now();
            let options = TextOptions {
                max_length: self.params.max_length,
                pooling: match self.params.pooling {
                    PoolingParam::Cls => Pooling::Cls,
                    PoolingParam::Mean => Pooling::Mean,
                },
                lower_case: self.params.lower_case,
                batch_rows: self.params.batch_rows,
            };
            let encoder = TextEncoder::load(&self.files, &options, artifact::device(self.context.device))
                .map_err(|error| StageError::because("the text model cannot be loaded", error))?;
            self.encoder = Some(encoder);
            self.spent("load", start);
        }
        Ok(self.encoder.as_ref().expect("the encoder was loaded above"))
    }

    fn dim(&mut self) -> Result<usize, StageError> {
        match self.dim {
            Some(dim) => Ok(dim),
            None => Ok(self.encoder()?.dim()),
        }
    }

    fn spent(&mut self, what: &str, since: Instant) {
        *self.seconds.entry(what.into()).or_default() += since.elapsed().as_secs_f64();
    }
}

/// Encodes texts of like length together, a batch at a time so that the run can be stopped; neither changes a bit
/// of a vector.
///
/// # Shapes
/// returns `[n_texts, dim]`
fn encode(
    encoder: &TextEncoder,
    rows: &[QueryRow],
    batch_rows: usize,
    context: &StageContext<'_>,
    progress: &dyn Fn(u64),
) -> Result<Matrix, StageError> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row_idx| rows[*row_idx].text.len());
    let mut vectors = Matrix::zeros(rows.len(), encoder.dim());
    let mut n_done = 0;
    for part in order.chunks(batch_rows) {
        if context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        let texts: Vec<&str> = part.iter().map(|row_idx| rows[*row_idx].text.as_str()).collect();
        let encoded = encoder
            .encode(&texts, context.n_threads)
            .map_err(|error| StageError::because("the texts cannot be encoded", error))?;
        for (part_idx, row_idx) in part.iter().enumerate() {
            let dim = encoder.dim();
            vectors.values[row_idx * dim..][..dim].copy_from_slice(encoded.row(part_idx));
        }
        n_done += part.len() as u64;
        progress(n_done);
    }
    Ok(vectors)
}

/// Of what the vector depends on, and the id, which stands beside it.
fn row_digest(row: &QueryRow) -> Digest {
    Digest::of(&serde_json::to_vec(&(&row.id, &row.text)).expect("plain data becomes JSON"))
}

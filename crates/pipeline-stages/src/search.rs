//! Searches the pool of an evaluation for a text or an image that was never encoded before.

use pipeline_core::{InputArtifact, StageError, StageId};
use pipeline_data::{DECODER_BYTES, Limits, Memory};
use pipeline_eval::{Similarity, rank};
use pipeline_kernels::Matrix;
use pipeline_models::EncoderRows;
use pipeline_models::checkpoint::Checkpoint;
use pipeline_spec::{PipelineSpec, StageSpec};

use crate::artifact::{self, Features};
use crate::decode_images::Decoder;
use crate::export::{Side, embed};
use crate::pooled::{self, QueryEncoder, QueryFeatures};
use crate::{Settings, decode_images, evaluate_recall, extract_image, extract_text, feature_spaces};

/// The images that an evaluation ranks, in the shared space.
///
/// # Shapes
/// `images`: `[ids.len(), dim]`
pub struct SearchPool {
    ids: Vec<Option<String>>,
    images: Matrix,
    heads: Checkpoint,
    similarity: Similarity,
    n_threads: usize,
}

/// The features of a query, before the heads.
pub struct Query {
    side: Side,
    features: QueryFeatures,
}

/// An image in the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its similarity to the query, as in the evaluation.
    pub score: f32,
}

impl SearchPool {
    /// Reads the pool of the stage `evaluation` from the artifacts of its inputs `images` and `projection`, and the
    /// feature space of `text`.
    ///
    /// # Errors
    /// When an artifact cannot be read, or the heads do not fit the features or were trained on others.
    pub fn open(
        spec: &PipelineSpec,
        evaluation: &StageId,
        [text, images, projection]: [&InputArtifact; 3],
        n_threads: usize,
    ) -> Result<Self, StageError> {
        let heads = artifact::heads(projection)?;
        let params = &stage(spec, evaluation)?.params;
        if !evaluate_recall::allows_mismatch(params)? {
            feature_spaces::must_be_of_heads(&heads, Side::Text, text)?;
            feature_spaces::must_be_of_heads(&heads, Side::Images, images)?;
        }
        let Features { ids, vectors } = pooled::for_heads(images, &heads, Side::Images, n_threads)?;
        let images = embed(&heads, Side::Images, vectors, n_threads)?;
        let similarity = evaluate_recall::similarity(params)?;
        Ok(Self { ids, images, heads, similarity, n_threads })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether the pool has an image with this id.
    pub fn has(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known.as_deref() == Some(id))
    }

    /// The `k` images most similar to the query, best first; among equal ones, the first in the pool.
    ///
    /// # Errors
    /// When the query's features do not fit the heads.
    pub fn search(&self, query: &Query, k: usize) -> Result<Vec<Found>, StageError> {
        let features = query.features.for_heads(&self.heads, query.side)?;
        let queries = embed(&self.heads, query.side, features, self.n_threads)?;
        let rankings = rank(&queries, &self.images, &[Vec::new()], k, self.similarity, self.n_threads)
            .map_err(|error| StageError::because("query and images cannot be compared", error))?;
        let first = rankings.into_iter().next().expect("there is a ranking for the one row");
        Ok(first.top.into_iter().map(|(row_idx, score)| Found { id: self.ids[row_idx].clone(), score }).collect())
    }
}

/// Encodes texts like the queries of an evaluation.
pub struct TextSearch {
    encoder: QueryEncoder,
}

impl TextSearch {
    /// Loads the encoder of the input `text` of the stage `evaluation`.
    ///
    /// # Errors
    /// When the text features were not computed by `extract-text`, or the encoder cannot be loaded.
    pub fn open(spec: &PipelineSpec, evaluation: &StageId, settings: &Settings) -> Result<Self, StageError> {
        let text = input_of_kind(spec, stage(spec, evaluation)?, "text", extract_text::KIND.name, "a text")?;
        Ok(Self { encoder: extract_text::encoder(&text.params, &settings.model_search)? })
    }

    /// Encodes a text.
    ///
    /// # Errors
    /// When it is empty (an evaluation skips such queries) or cannot be encoded.
    pub fn query(&self, text: &str) -> Result<Query, StageError> {
        if text.is_empty() {
            return Err(StageError::new("the query is empty"));
        }
        let features = self.encoder.encode(EncoderRows::Texts(&[text]), 1, "the query cannot be encoded")?;
        Ok(Query { side: Side::Text, features })
    }
}

/// Decodes and encodes images like the pool of an evaluation.
pub struct ImageSearch {
    decoder: Decoder,
    encoder: QueryEncoder,
    n_threads: usize,
}

impl ImageSearch {
    /// Loads the encoder of the input `images` of the stage `evaluation`.
    ///
    /// # Errors
    /// When the image features were not computed by `extract-image` from `decode-images`, or the encoder cannot be loaded.
    pub fn open(
        spec: &PipelineSpec,
        evaluation: &StageId,
        settings: &Settings,
        n_threads: usize,
    ) -> Result<Self, StageError> {
        let features = input_of_kind(spec, stage(spec, evaluation)?, "images", extract_image::KIND.name, "an image")?;
        let images = input_of_kind(spec, features, "images", decode_images::KIND.name, "an image")?;
        let encoder = extract_image::encoder(&features.params, &settings.model_search)?;
        let decoder = decode_images::decoder(&images.params, &settings.model_search)?;
        Ok(Self { decoder, encoder, n_threads })
    }

    /// Encodes the bytes of an image file.
    ///
    /// # Errors
    /// When they are not an image, or cannot be encoded.
    pub fn query(&self, bytes: &[u8]) -> Result<Query, StageError> {
        let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
        let image = self.decoder.decode(bytes, limits);
        let image = image.map_err(|error| StageError::because("the image cannot be decoded", error))?;
        let (height, width) = (image.height as usize, image.width as usize);
        let row = EncoderRows::Images { pixels: &[&image.pixels], height, width };
        let features = self.encoder.encode(row, self.n_threads, "the image cannot be encoded")?;
        Ok(Query { side: Side::Images, features })
    }
}

/// The stage with this name.
pub(crate) fn stage<'a>(spec: &'a PipelineSpec, id: &StageId) -> Result<&'a StageSpec, StageError> {
    spec.stage(id).ok_or_else(|| StageError::new(format!("the spec has no stage `{id}`")))
}

/// The stage that fills a slot.
pub(crate) fn input<'a>(spec: &'a PipelineSpec, reader: &StageSpec, slot: &str) -> Option<&'a StageSpec> {
    let (_, from) = reader.inputs.iter().find(|(name, _)| name.value == slot)?;
    spec.stage(&from.value)
}

/// The stage that fills a slot, which must be of a kind with an encoder for `what`.
fn input_of_kind<'a>(
    spec: &'a PipelineSpec,
    reader: &StageSpec,
    slot: &str,
    kind: &str,
    what: &str,
) -> Result<&'a StageSpec, StageError> {
    let found = input(spec, reader, slot)
        .ok_or_else(|| StageError::new(format!("stage `{}` has no input `{slot}`", reader.id)))?;
    if found.kind.value == kind {
        return Ok(found);
    }
    let message =
        format!("{what} cannot be searched for: stage `{}` is of kind `{}`, not `{kind}`", found.id, found.kind.value);
    Err(StageError::new(message).with_help("only the encoder that made the features can encode a query for them"))
}

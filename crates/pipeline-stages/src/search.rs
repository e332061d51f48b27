//! Searches the pool of an evaluation for a text or an image that was never encoded before.

use std::collections::{HashMap, HashSet};

use pipeline_core::{InputArtifact, StageError, StageId};
use pipeline_data::{DECODER_BYTES, Limits, Memory};
use pipeline_eval::{Ranking, Similarity, rank};
use pipeline_kernels::Matrix;
use pipeline_models::EncoderRows;
use pipeline_models::checkpoint::Checkpoint;
use pipeline_spec::{PipelineSpec, StageSpec};

use crate::artifact::{self, Features};
use crate::decode_images::Decoder;
use crate::export::{Side, embed};
use crate::known_queries::KnownQueries;
use crate::pooled::{self, QueryEncoder, QueryFeatures};
use crate::relevance::has_text;
use crate::{Settings, decode_images, evaluate_recall, extract_image, extract_text, feature_spaces};

/// The images that an evaluation ranks, in the shared space, and its queries.
///
/// # Shapes
/// `images`: `[ids.len(), dim]`
pub struct SearchPool {
    ids: Vec<Option<String>>,
    rows_by_id: HashMap<String, usize>,
    images: Matrix,
    known: Option<KnownQueries>,
    heads: Checkpoint,
    similarity: Similarity,
    n_threads: usize,
}

/// The features of a query, before the heads.
pub struct Query {
    side: Side,
    features: QueryFeatures,
    text: Option<String>,
}

/// A query in the shared space.
pub struct Place {
    /// `[1, dim]`
    vector: Matrix,
    /// Its text, if it is one.
    text: Option<String>,
    /// Its row, if it is an image of the pool.
    row_idx: Option<usize>,
}

/// The images that a search has found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundImages {
    /// The images, best first.
    pub images: Vec<Found>,
    /// The images that are relevant to the text, in the order of their ranks and then those outside the pool; `None`
    /// when the evaluation has no query with this text.
    pub relevant: Option<Vec<Relevant>>,
}

/// An image in the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its similarity to the query, as in the evaluation.
    pub score: f32,
}

/// An image that is relevant to a query of the evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relevant {
    /// Its id.
    pub id: String,
    /// Its rank among all images, from 1; `None` when the pool does not have it.
    pub rank: Option<usize>,
}

/// A query of the evaluation in the results.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundQuery {
    /// Its text.
    pub text: String,
    /// Its similarity to the image.
    pub score: f32,
    /// Whether the image is relevant to it; `None` for an image that is not of the pool.
    pub is_relevant: Option<bool>,
}

/// A query of the evaluation that names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOfImage {
    /// Its text.
    pub text: String,
    /// The rank of the image for it, from 1; `None` when its score is no number.
    pub rank: Option<usize>,
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
        let Features { ids, vectors: images } = pooled::embedded_in_memory(images, &heads, Side::Images, n_threads)?;
        let similarity = evaluate_recall::similarity(params)?;
        let with_id = ids.iter().enumerate().filter_map(|(row_idx, id)| Some((id.clone()?, row_idx)));
        let rows_by_id = with_id.collect();
        Ok(Self { ids, rows_by_id, images, known: None, heads, similarity, n_threads })
    }

    /// Also reads the queries of the evaluation, so that results are marked as relevant.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_queries(&mut self, queries: &InputArtifact) -> Result<(), StageError> {
        self.known = Some(KnownQueries::read(queries)?);
        Ok(())
    }

    /// Also reads the queries of the evaluation with their text features, so that images find them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_texts(&mut self, queries: &InputArtifact, text: &InputArtifact) -> Result<(), StageError> {
        let known = KnownQueries::read(queries)?;
        self.known = Some(known.with_texts(text, &self.heads, self.n_threads)?);
        Ok(())
    }

    /// Lets later searches use this number of threads each, where several are answered at once.
    pub fn set_threads(&mut self, n_threads: usize) {
        self.n_threads = n_threads;
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
        self.rows_by_id.contains_key(id)
    }

    /// Texts to begin with: queries of the evaluation that have a relevant image in the pool, always the same.
    pub fn examples(&self, n: usize) -> Vec<&str> {
        self.known.as_ref().map_or_else(Vec::new, |known| known.examples(n, |id| self.has(id)))
    }

    /// Takes a query to the shared space.
    ///
    /// # Errors
    /// When its features do not fit the heads.
    pub fn place(&self, query: &Query) -> Result<Place, StageError> {
        let features = query.features.for_heads(&self.heads, query.side)?;
        let vector = embed(&self.heads, query.side, &features, self.n_threads)?;
        Ok(Place { vector, text: query.text.clone(), row_idx: None })
    }

    /// The place of an image of the pool, from its features in the store.
    pub fn place_of(&self, id: &str) -> Option<Place> {
        let row_idx = *self.rows_by_id.get(id)?;
        let vector = row_of(&self.images, row_idx);
        Some(Place { vector, text: None, row_idx: Some(row_idx) })
    }

    /// The place of a query of the evaluation with this text, from its features in the store, if they were read.
    pub fn place_of_text(&self, text: &str) -> Option<Place> {
        let known = self.known.as_ref()?;
        let vector = row_of(known.texts()?, *known.with_text(text).first()?);
        Some(Place { vector, text: Some(text.to_owned()), row_idx: None })
    }

    /// The `k` images most similar to the query, best first; among equal ones, the first in the pool. An image of the
    /// pool does not find itself.
    ///
    /// # Errors
    /// When queries and images have different widths.
    pub fn images(&self, place: &Place, k: usize) -> Result<FoundImages, StageError> {
        let wanted = place.text.as_ref().and_then(|text| self.named_by(text));
        // Ranks are counted to the end only where somebody has named images.
        let k_ranked = if wanted.is_some() { self.len() } else { k + usize::from(place.row_idx.is_some()) };
        let mut top = self.rank(&place.vector, &self.images, &[Vec::new()], k_ranked)?.remove(0).top;
        let relevant = wanted.map(|ids| self.ranked(ids, &top));
        top.retain(|(row_idx, _)| Some(*row_idx) != place.row_idx);
        let images = top.into_iter().take(k).map(|(row_idx, score)| Found { id: self.ids[row_idx].clone(), score });
        Ok(FoundImages { images: images.collect(), relevant })
    }

    /// The `k` texts of the evaluation's queries that are most similar to an image, best first; `None` where the
    /// queries have not been read.
    ///
    /// # Errors
    /// When queries and images have different widths.
    pub fn queries(&self, place: &Place, k: usize) -> Result<Option<Vec<FoundQuery>>, StageError> {
        let Some((known, texts)) = self.known.as_ref().and_then(|known| Some((known, known.texts()?))) else {
            return Ok(None);
        };
        let top = self.rank(&place.vector, texts, &[Vec::new()], texts.n_rows)?.remove(0).top;
        let id = place.row_idx.and_then(|row_idx| self.ids[row_idx].as_deref());
        let own = id.map(|id| known.of_image(id));
        let mut seen = HashSet::new();
        let found = top.into_iter().filter(|(row_idx, _)| has_text(known.row(*row_idx)));
        // Queries with the same text have the same score.
        let found = found.filter(|(row_idx, _)| seen.insert(known.row(*row_idx).text.as_str()));
        let of_text = |text: &str| own.map(|own| known.with_text(text).iter().any(|row_idx| own.contains(row_idx)));
        let found = found.take(k).map(|(row_idx, score)| {
            let text = known.row(row_idx).text.clone();
            FoundQuery { is_relevant: of_text(&text), text, score }
        });
        Ok(Some(found.collect()))
    }

    /// The queries of the evaluation that name an image of the pool, at most `most`, with its rank for each; `None`
    /// where the queries have not been read.
    ///
    /// # Errors
    /// When queries and images have different widths.
    pub fn queries_of(&self, id: &str, most: usize) -> Result<Option<Vec<QueryOfImage>>, StageError> {
        let (known, row_idx) = (self.known.as_ref(), self.rows_by_id.get(id));
        let Some((known, texts, row_idx)) = known.and_then(|known| Some((known, known.texts()?, *row_idx?))) else {
            return Ok(None);
        };
        let mut rows = known.of_image(id).to_vec();
        rows.truncate(most);
        let values = rows.iter().flat_map(|row_idx| texts.row(*row_idx)).copied().collect();
        let queries = Matrix::new(rows.len(), texts.n_cols, values);
        let rankings = self.rank(&queries, &self.images, &vec![vec![row_idx]; rows.len()], 0)?;
        let of = |(row_idx, ranking): (usize, Ranking)| QueryOfImage {
            text: known.row(row_idx).text.clone(),
            rank: ranking.best_rank(),
        };
        Ok(Some(rows.into_iter().zip(rankings).map(of).collect()))
    }

    fn rank(
        &self,
        queries: &Matrix,
        pool: &Matrix,
        relevant: &[Vec<usize>],
        k: usize,
    ) -> Result<Vec<Ranking>, StageError> {
        rank(queries, pool, relevant, k, self.similarity, self.n_threads)
            .map_err(|error| StageError::because("query and images cannot be compared", error))
    }

    /// The ids that the queries with this text name, each once; `None` if there is no such query that names any.
    fn named_by(&self, text: &str) -> Option<Vec<&str>> {
        let known = self.known.as_ref()?;
        let named = known.with_text(text).iter().flat_map(|row_idx| known.row(*row_idx).image_ids.iter().flatten());
        let mut seen = HashSet::new();
        let ids: Vec<&str> = named.map(String::as_str).filter(|id| seen.insert(*id)).collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// The relevant images with their ranks in a ranking of the whole pool.
    fn ranked(&self, ids: Vec<&str>, top: &[(usize, f32)]) -> Vec<Relevant> {
        let rank_of = |id: &str| {
            let wanted = self.rows_by_id.get(id)?;
            top.iter().position(|(row_idx, _)| row_idx == wanted).map(|place| place + 1)
        };
        let mut relevant: Vec<Relevant> =
            ids.into_iter().map(|id| Relevant { id: id.to_owned(), rank: rank_of(id) }).collect();
        relevant.sort_by_key(|relevant| relevant.rank.unwrap_or(usize::MAX));
        relevant
    }
}

fn row_of(matrix: &Matrix, row_idx: usize) -> Matrix {
    Matrix::new(1, matrix.n_cols, matrix.row(row_idx).to_vec())
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
        Ok(Query { side: Side::Text, features, text: Some(text.to_owned()) })
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
    /// When the image features were not computed by `extract-image` of images that this spec decodes, or the encoder
    /// cannot be loaded.
    pub fn open(
        spec: &PipelineSpec,
        evaluation: &StageId,
        settings: &Settings,
        n_threads: usize,
    ) -> Result<Self, StageError> {
        let features = input_of_kind(spec, stage(spec, evaluation)?, "images", extract_image::KIND.name, "an image")?;
        let images = match decode_images::decoding(spec, features) {
            Some(images) => images,
            None => input_of_kind(spec, features, "images", decode_images::KIND.name, "an image")?,
        };
        let encoder = extract_image::encoder(&features.params, &settings.model_search)?;
        let decoder = decode_images::decoder(images, &settings.model_search)?;
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
        Ok(Query { side: Side::Images, features, text: None })
    }
}

/// The stage with this name.
pub(crate) fn stage<'a>(spec: &'a PipelineSpec, id: &StageId) -> Result<&'a StageSpec, StageError> {
    spec.stage(id).ok_or_else(|| StageError::new(format!("the spec has no stage `{id}`")))
}

/// The stage that fills a slot.
pub(crate) fn input<'a>(spec: &'a PipelineSpec, reader: &StageSpec, slot: &str) -> Option<&'a StageSpec> {
    spec.stage(&reader.input(slot)?.value)
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

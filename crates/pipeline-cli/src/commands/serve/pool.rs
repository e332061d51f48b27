//! The searched pool: its encoders, loaded once, its thumbnails, and the answers to searches.

use pipeline_core::StageError;
use pipeline_experiments::{EvaluationPool, Opened, ReadQueries};
use pipeline_stages::{ImageSearch, PoolThumbnails, TextSearch};

use super::upload::Upload;
use crate::door::list_folder;
use crate::failure::Failure;
use crate::searching::{self, Results};

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 224;

/// Requests are answered on several threads; each searches on a single one.
const N_THREADS: usize = 1;

/// A pool with its encoders and its thumbnails.
pub struct ServedPool {
    searching: EvaluationPool,
    text: Result<TextSearch, String>,
    image: Result<ImageSearch, String>,
    thumbnails: Option<PoolThumbnails>,
    /// The reason why results have no marks and images find no queries.
    without_queries: Option<String>,
}

/// The reason why a search has no results, with the status of its answer.
pub struct NoResults {
    /// The status of HTTP.
    pub status: u16,
    /// The reason.
    pub why: String,
}

impl NoResults {
    fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

impl ServedPool {
    /// Loads everything that requests will need.
    ///
    /// # Errors
    /// When the pool is not up to date, neither texts nor images can be searched for, or the images cannot be read.
    pub fn open(opened: &Opened, stage: Option<&str>, n_threads: usize) -> Result<Self, Failure> {
        let mut searching = searching::open(opened, stage, ReadQueries::WithTexts, n_threads)?;
        searching.pool.set_threads(N_THREADS);
        let text = TextSearch::open(&opened.spec, &searching.evaluation, &opened.settings);
        // An image takes a thousand times longer than a text, and no more than a few are searched for at once.
        let image = ImageSearch::open(&opened.spec, &searching.evaluation, &opened.settings, n_threads);
        if let (Err(no_text), true) = (&text, image.is_err()) {
            return Err(Failure::from(StageError::new(in_words(no_text))).with_help(NO_ENCODER));
        }
        let thumbnails = PoolThumbnails::open(&opened.spec, &searching.evaluation, &list_folder(&opened.store))?;
        let without_queries = searching.without_queries.take();
        let without_queries = without_queries.map(|error| searching::failure(opened, error).errors.join(": "));
        let (text, image) = (text.map_err(|error| in_words(&error)), image.map_err(|error| in_words(&error)));
        Ok(Self { searching, text, image, thumbnails, without_queries })
    }

    /// The evaluation whose images are searched.
    pub fn searching(&self) -> &EvaluationPool {
        &self.searching
    }

    /// The pool, in words.
    pub fn words(&self) -> String {
        format!("{} images of `{}`", self.searching.pool.len(), self.searching.evaluation)
    }

    /// Whether images can be searched for, or the reason why not.
    pub fn takes_images(&self) -> Result<(), &str> {
        self.image.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// What is missing, for people.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let text =
            self.text.as_ref().err().map(|why| format!("Only queries of the evaluation can be searched for: {why}."));
        let queries = self
            .without_queries
            .as_ref()
            .map(|why| format!("Results are not marked as relevant, and images find no queries: {why}."));
        text.into_iter().chain(queries)
    }

    /// The results for a text.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn of_text(&self, text: &str, k: u16) -> Result<Results, NoResults> {
        let pool = &self.searching.pool;
        let place = match &self.text {
            Ok(encoder) => encoder.query(text).and_then(|query| pool.place(&query)).map_err(|error| refused(&error))?,
            Err(why) => pool.place_of_text(text).ok_or_else(|| NoResults::new(422, why))?,
        };
        Results::of_text(&self.searching, text, &place, k).map_err(|error| refused(&error))
    }

    /// The results for an image that was sent, and a thumbnail of it.
    ///
    /// # Errors
    /// When it is no image, or cannot be encoded.
    pub fn of_upload(
        &self,
        upload: &Upload<'_>,
        k: u16,
    ) -> Result<(Results, Option<pipeline_data::Thumbnail>), NoResults> {
        let encoder = self.image.as_ref().map_err(|why| NoResults::new(422, why))?;
        let query = encoder.query(upload.bytes).map_err(|error| refused(&error))?;
        let place = self.searching.pool.place(&query).map_err(|error| refused(&error))?;
        let name = upload.name.as_deref().unwrap_or("your image");
        let results = Results::of_image(&self.searching, name, &place, k).map_err(|error| refused(&error))?;
        Ok((results, pipeline_stages::thumbnail_of(upload.bytes, THUMBNAIL_SIDE)))
    }

    /// The images and queries that are nearest to an image of the pool.
    ///
    /// # Errors
    /// When the pool does not have it.
    pub fn like(&self, id: &str, k: u16) -> Result<Results, NoResults> {
        let results = Results::like(&self.searching, id, k).map_err(|error| refused(&error))?;
        results.ok_or_else(|| NoResults::new(404, "there is no such image"))
    }

    /// Whether the pool has thumbnails.
    pub fn has_thumbnails(&self) -> bool {
        self.thumbnails.is_some()
    }

    /// The thumbnail of an image of the pool.
    ///
    /// # Errors
    /// When there is none.
    pub fn thumbnail(&self, id: &str) -> Result<pipeline_data::Thumbnail, NoResults> {
        let nothing = || NoResults::new(404, "there is no such image");
        let thumbnails = self.thumbnails.as_ref().filter(|_| self.searching.pool.has(id)).ok_or_else(nothing)?;
        let thumbnail =
            thumbnails.thumbnail(id, THUMBNAIL_SIDE).map_err(|error| NoResults::new(500, error.to_string()))?;
        thumbnail.ok_or_else(nothing)
    }
}

const NO_ENCODER: &str = "only the encoder that made the features can encode a query for them";

fn refused(error: &StageError) -> NoResults {
    NoResults::new(400, in_words(error))
}

fn in_words(error: &StageError) -> String {
    pipeline_experiments::in_one_line(error)
}

//! Measures the retrieval of held-out images by held-out queries for each epoch, and selects the heads to keep.

use super::TrainOptions;
use crate::Device;
use crate::heads::{EmbedError, Features, Heads, embed_features};
use crate::ranking::rank;
use pipeline_eval::{RankError, Recall, Similarity, recall_at};

/// The `k` of MUGE's Recall@k.
const K: [usize; 3] = [1, 5, 10];

/// Held-out queries and images, on which the heads are measured after each epoch, and before the first if wanted.
///
/// # Shapes
/// - text: `[n_queries, d_text]`, images: `[n_images, d_image]`
#[derive(Debug, Clone, Copy)]
pub struct Validation<'a> {
    /// The features of the queries.
    pub text: Features<'a>,
    /// The features of the images.
    pub images: Features<'a>,
    /// The rows of each query's relevant images; without one it is a miss.
    pub relevant: &'a [Vec<usize>],
    /// The number of epochs in a row without a better MeanRecall after which training stops; 0 disables this.
    pub patience: usize,
    /// Whether the start is measured, too: as epoch 0, so that the first with steps is epoch 1.
    pub measures_start: bool,
    /// Where images are ranked, if that pays.
    pub device: Device,
}

/// The reason why heads cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The features do not fit the heads.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The embeddings of the two sides cannot be compared.
    #[error(transparent)]
    Rank(#[from] RankError),
}

/// The state that is kept of an epoch.
pub(super) struct Kept {
    pub(super) heads: Option<Heads>,
    pub(super) temperature: f32,
}

/// The measurements so far.
pub(super) struct Validated<'a> {
    validation: &'a Validation<'a>,
    options: &'a TrainOptions,
    /// The recalls of each epoch.
    pub(super) recalls: Vec<Recall>,
    /// The best epoch: its place in `recalls`, and its heads.
    pub(super) best: Option<(usize, Kept)>,
}

impl Validation<'_> {
    /// Measures Recall@1, 5 and 10 and their mean, as an evaluation does. Uses the cosine if embeddings have length
    /// one, else the inner product, as training does.
    ///
    /// # Errors
    /// When the features do not fit the heads, or cannot be read.
    pub fn recall(&self, heads: Option<&Heads>, normalize: bool, n_threads: usize) -> Result<Recall, ValidationError> {
        let queries = embed_features(self.text, heads.map(|heads| &heads.text), normalize, n_threads)?;
        let images = embed_features(self.images, heads.map(|heads| &heads.image), normalize, n_threads)?;
        let similarity = if normalize { Similarity::Cosine } else { Similarity::Dot };
        let rankings = rank(&queries, &images, self.relevant, 0, similarity, self.device, n_threads)?;
        Ok(recall_at(&rankings, &K, images.n_rows))
    }
}

impl<'a> Validated<'a> {
    pub(super) fn new(validation: &'a Validation<'a>, options: &'a TrainOptions) -> Self {
        Self { validation, options, recalls: Vec::new(), best: None }
    }

    /// Measures the heads after the next epoch; false when training should stop.
    ///
    /// The first of equally good epochs is the best.
    ///
    /// # Errors
    /// When the features cannot be read.
    pub(super) fn see(&mut self, now: Kept) -> Result<bool, ValidationError> {
        let recall = match (&now.heads, self.recalls.last()) {
            // Without heads no epoch changes anything.
            (None, Some(recall)) => recall.clone(),
            (heads, _) => {
                let TrainOptions { normalize, n_threads, .. } = *self.options;
                self.validation.recall(heads.as_ref(), normalize, n_threads)?
            }
        };
        let epoch = self.recalls.len();
        let is_better = self.best.as_ref().is_none_or(|(best, _)| recall.mean > self.recalls[*best].mean);
        self.recalls.push(recall);
        if is_better {
            self.best = Some((epoch, now));
        }
        let n_without = self.best.as_ref().map_or(0, |(best, _)| epoch - best);
        Ok(self.validation.patience == 0 || n_without < self.validation.patience)
    }
}

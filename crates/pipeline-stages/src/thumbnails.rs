//! Thumbnails of a pool by id: from the source of `decode-images`, or from its pixels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use pipeline_core::{InputArtifact, StageError, StageId};
use pipeline_data::{DECODER_BYTES, DataError, ImageTsv, Limits, Memory, RgbImage, Thumbnail};
use pipeline_spec::{PipelineSpec, StageSpec};
use rayon::prelude::*;

use crate::decode_images::{self, source_and_limit};
use crate::{artifact, search};

/// The available thumbnails among the requested ones, each converted by `shrink`.
pub type Thumbnails = BTreeMap<String, Vec<u8>>;

/// The thumbnails of a pool by id, made on request from the originals: the store's pixels have one size and may have
/// been dropped.
pub struct PoolThumbnails {
    images: ImageTsv,
    rows: HashMap<String, usize>,
    memory: Memory,
}

impl PoolThumbnails {
    /// Finds the images behind the input `images` of the stage `evaluation`; `None` when they were not decoded by this
    /// spec.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn open(spec: &PipelineSpec, evaluation: &StageId) -> Result<Option<Self>, StageError> {
        let features = search::input(spec, search::stage(spec, evaluation)?, "images");
        let images = features.and_then(|features| search::input(spec, features, "images"));
        let Some(images) = images.filter(|images| images.kind.value == decode_images::KIND.name) else {
            return Ok(None);
        };
        let images = decode_images::originals(&images.params)?;
        let rows = images.rows().iter().enumerate().map(|(row_idx, row)| (row.id.clone(), row_idx)).collect();
        Ok(Some(Self { images, rows, memory: Memory::new(DECODER_BYTES) }))
    }

    /// The thumbnail of the image with this id; `None` when it does not exist or cannot be decoded.
    ///
    /// # Errors
    /// When the file cannot be read or has changed.
    pub fn thumbnail(&self, id: &str, max_side: u32) -> Result<Option<Thumbnail>, StageError> {
        let Some(row_idx) = self.rows.get(id) else { return Ok(None) };
        let limits = Limits { memory: &self.memory, is_cancelled: &|| false };
        let work = |file| pipeline_data::thumbnail_of_file(file, max_side, limits);
        let thumbnail = self.images.with_file(&self.images.rows()[*row_idx], limits, work);
        Ok(thumbnail.map_err(|error| StageError::because("the images cannot be read", error))?.ok())
    }
}

/// The file of images that a `decode-images` stage reads; `None` when the stage is of another kind.
pub fn image_source(stage: &StageSpec) -> Option<PathBuf> {
    source_and_limit(stage).map(|(path, _)| path)
}

/// Makes thumbnails from the source of a `decode-images` stage, with white for transparent pixels; `None` when the
/// stage is of another kind.
///
/// # Errors
/// When the file cannot be read.
pub fn thumbnails_of_source(
    stage: &StageSpec,
    wanted: &BTreeSet<String>,
    shrink: &(dyn Fn(&RgbImage) -> Vec<u8> + Sync),
) -> Result<Option<Thumbnails>, DataError> {
    let Some((path, max_samples)) = source_and_limit(stage) else { return Ok(None) };
    let tsv = ImageTsv::open(&path, max_samples)?;
    let rows: Vec<_> = tsv.rows().iter().filter(|row| wanted.contains(&row.id)).collect();
    let memory = Memory::new(DECODER_BYTES);
    let thumbnails = rows.par_iter().map(|row| {
        let limits = Limits { memory: &memory, is_cancelled: &|| false };
        Ok(tsv.image_on_white(row, limits)?.ok().map(|image| (row.id.clone(), shrink(&image))))
    });
    let thumbnails: Vec<Option<(String, Vec<u8>)>> = thumbnails.collect::<Result<_, DataError>>()?;
    Ok(Some(thumbnails.into_iter().flatten().collect()))
}

/// Makes thumbnails from an artifact of decoded images, shard by shard.
///
/// # Errors
/// When a shard cannot be read.
pub fn thumbnails_of_pixels(
    images: &InputArtifact,
    wanted: &BTreeSet<String>,
    shrink: &(dyn Fn(&RgbImage) -> Vec<u8> + Sync),
) -> Result<Thumbnails, DataError> {
    let mut thumbnails = Thumbnails::new();
    for path in artifact::shards(images) {
        let shard = pipeline_data::read_pixels(&path)?;
        let (width, height) = (shard.width, shard.height);
        let rows = shard.rows.into_par_iter().filter(|row| wanted.contains(&row.id));
        let some: Vec<_> =
            rows.filter_map(|row| Some((row.id, shrink(&RgbImage { width, height, pixels: row.pixels? })))).collect();
        thumbnails.extend(some);
    }
    Ok(thumbnails)
}

//! Thumbnails of a pool by id: from the source of `decode-images`, or from its pixels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use pipeline_core::{InputArtifact, StageError, StageId};
use pipeline_data::{
    DECODER_BYTES, DataError, DecodeError, ImageTsv, Limits, Memory, Miniature, Picture, PixelRow, RgbImage, Thumbnail,
    miniature, shrunk, thumbnail,
};
use pipeline_models::image::ModelSearch;
use pipeline_spec::{PipelineSpec, StageSpec};
use rayon::prelude::*;

use crate::decode_images::{self, Decoder, source_and_limit};
use crate::{artifact, search};

/// The largest mean difference of a channel's levels, of 255, at which two small images look the same.
const MAX_MEAN_DIFFERENCE: u64 = 3;

/// The available pictures among the requested ones.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    /// The pictures by the ids of their images.
    pub by_id: BTreeMap<String, Picture>,
    /// The pixels that the model is given, in words; `None` where the originals are gone or its files are.
    pub fed_as: Option<String>,
}

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

/// Makes pictures from the source of a `decode-images` stage: the images themselves, and what the stage makes of them.
/// `None` when the stage is of another kind.
///
/// # Errors
/// When the file cannot be read.
pub fn pictures_of_source(
    stage: &StageSpec,
    search: &ModelSearch,
    wanted: &BTreeSet<String>,
    max_side: u32,
) -> Result<Option<Pictures>, DataError> {
    let Some((path, max_samples)) = source_and_limit(stage) else { return Ok(None) };
    let tsv = ImageTsv::open(&path, max_samples)?;
    // Without the model that `like` names, its view is unknown.
    let decoder = decode_images::decoder(&stage.params, search).ok();
    let rows: Vec<_> = tsv.rows().iter().filter(|row| wanted.contains(&row.id)).collect();
    let memory = Memory::new(DECODER_BYTES);
    let by_id = rows.par_iter().map(|row| {
        let limits = Limits { memory: &memory, is_cancelled: &|| false };
        let work = |file: Vec<u8>| picture(&file, decoder.as_ref(), max_side, limits);
        Ok(tsv.with_file(row, limits, work)?.ok().map(|picture| (row.id.clone(), picture)))
    });
    let by_id: Vec<Option<(String, Picture)>> = by_id.collect::<Result<_, DataError>>()?;
    let fed_as = decoder.as_ref().map(ToString::to_string);
    Ok(Some(Pictures { by_id: by_id.into_iter().flatten().collect(), fed_as }))
}

fn picture(file: &[u8], decoder: Option<&Decoder>, max_side: u32, limits: Limits<'_>) -> Result<Picture, DecodeError> {
    let Miniature { file: own, on_white } = miniature(file, max_side, limits)?;
    let fed = decoder.map(|decoder| decoder.decode(file, limits)).transpose()?;
    let fed = fed.map(|image| shrunk(&image, max_side)).filter(|image| looks_different(&on_white, image));
    Ok(Picture { own, fed: fed.map(|image| thumbnail(&image, max_side)) })
}

/// Whether two small images differ in shape, or in pixels by more than a resize on the way makes them differ.
fn looks_different(one: &RgbImage, other: &RgbImage) -> bool {
    if (one.width, one.height) != (other.width, other.height) {
        return true;
    }
    let differences = one.pixels.iter().zip(&other.pixels).map(|(one, other)| u64::from(one.abs_diff(*other)));
    differences.sum::<u64>() > MAX_MEAN_DIFFERENCE * one.pixels.len() as u64
}

/// Makes pictures from an artifact of decoded images, shard by shard: the model's view alone is left.
///
/// # Errors
/// When a shard cannot be read.
pub fn pictures_of_pixels(
    images: &InputArtifact,
    wanted: &BTreeSet<String>,
    max_side: u32,
) -> Result<Pictures, DataError> {
    let mut pictures = Pictures::default();
    for path in artifact::shards(images) {
        let shard = pipeline_data::read_pixels(&path)?;
        let (width, height) = (shard.width, shard.height);
        let rows = shard.rows.into_par_iter().filter(|row| wanted.contains(&row.id));
        let picture = |row: PixelRow| {
            let own = thumbnail(&RgbImage { width, height, pixels: row.pixels? }, max_side);
            Some((row.id, Picture { own, fed: None }))
        };
        let some: Vec<_> = rows.filter_map(picture).collect();
        pictures.by_id.extend(some);
    }
    Ok(pictures)
}

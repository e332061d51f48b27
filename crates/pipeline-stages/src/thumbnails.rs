//! Thumbnails of a pool by id: from the source of `decode-images`, or from its pixels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pipeline_core::InputArtifact;
use pipeline_data::{DECODER_BYTES, DataError, ImageTsv, Limits, Memory, RgbImage};
use pipeline_spec::StageSpec;
use rayon::prelude::*;

use crate::artifact;
use crate::decode_images::source_and_limit;

/// The available thumbnails among the requested ones, each converted by `shrink`.
pub type Thumbnails = BTreeMap<String, Vec<u8>>;

/// The file of images that a `decode-images` stage reads; `None` when the stage is of another kind.
pub fn image_source(stage: &StageSpec) -> Option<PathBuf> {
    source_and_limit(stage).map(|(path, _)| path)
}

/// Reads images from the source of a `decode-images` stage, with white for transparent pixels; `None` when the stage is
/// of another kind.
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
    let pictures = rows.par_iter().map(|row| {
        let limits = Limits { memory: &memory, is_cancelled: &|| false };
        Ok(tsv.image_on_white(row, limits)?.ok().map(|image| (row.id.clone(), shrink(&image))))
    });
    let pictures: Vec<Option<(String, Vec<u8>)>> = pictures.collect::<Result<_, DataError>>()?;
    Ok(Some(pictures.into_iter().flatten().collect()))
}

/// Reads images from an artifact of decoded images, shard by shard.
///
/// # Errors
/// When a shard cannot be read.
pub fn thumbnails_of_pixels(
    images: &InputArtifact,
    wanted: &BTreeSet<String>,
    shrink: &(dyn Fn(&RgbImage) -> Vec<u8> + Sync),
) -> Result<Thumbnails, DataError> {
    let mut pictures = Thumbnails::new();
    for path in artifact::shards(images) {
        let shard = pipeline_data::read_pixels(&path)?;
        let (width, height) = (shard.width, shard.height);
        let rows = shard.rows.into_par_iter().filter(|row| wanted.contains(&row.id));
        let some: Vec<_> =
            rows.filter_map(|row| Some((row.id, shrink(&RgbImage { width, height, pixels: row.pixels? })))).collect();
        pictures.extend(some);
    }
    Ok(pictures)
}

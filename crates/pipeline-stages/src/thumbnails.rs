//! Thumbnails of a pool by id: from the source of `decode-images`, or from its pixels.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pipeline_core::{InputArtifact, StageError, StageId};
use pipeline_data::{
    DECODER_BYTES, DecodeError, Images, Limits, Memory, Miniature, Picture, PixelRow, RgbImage, Thumbnail, miniature,
    shrunk, thumbnail,
};
use pipeline_models::image::ModelSearch;
use pipeline_spec::{PipelineSpec, StageSpec};
use rayon::prelude::*;

pub use crate::decode_images::image_sources;
use crate::decode_images::{self, Decoder, ListFolder};
use crate::{artifact, search};

/// The largest difference of a channel's levels that a resize there and back leaves at the edges of an image.
const MAX_DIFFERENCE: u8 = 96;
/// Images look the same as long as at most one of so many pixels differs by more.
const MIN_PIXELS_PER_DIFFERENT: usize = 400;

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
    images: Images,
    rows: HashMap<String, usize>,
    memory: Memory,
}

impl PoolThumbnails {
    /// Finds the images behind the input `images` of the stage `evaluation`; `None` when they were not decoded by this
    /// spec. `list` lists the files of folders.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn open(spec: &PipelineSpec, evaluation: &StageId, list: &ListFolder<'_>) -> Result<Option<Self>, StageError> {
        let features = search::input(spec, search::stage(spec, evaluation)?, "images");
        let images = features.and_then(|features| decode_images::decoding(spec, features));
        let Some(images) = images else { return Ok(None) };
        let images = decode_images::originals(images, None, list)?;
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

/// The thumbnail of the bytes of an image file, of any supported format; `None` when they are no image.
pub fn thumbnail_of(bytes: &[u8], max_side: u32) -> Option<Thumbnail> {
    let limits = Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| false };
    pipeline_data::thumbnail_of_file(bytes.to_vec(), max_side, limits).ok()
}

/// Makes pictures from the source of a stage that decodes images: the images themselves, and what the stage makes of
/// them. `None` when the stage decodes none. `list` lists the files of folders.
///
/// # Errors
/// When the source cannot be read.
pub fn pictures_of_source(
    stage: &StageSpec,
    search: &ModelSearch,
    wanted: &BTreeSet<String>,
    list: &ListFolder<'_>,
    max_side: u32,
) -> Result<Option<Pictures>, StageError> {
    if decode_images::params_of(stage).is_none() {
        return Ok(None);
    }
    let images = decode_images::originals(stage, Some(wanted), list)?;
    // Without the model that `like` names, its view is unknown.
    let decoder = decode_images::decoder(stage, search).ok();
    let rows: Vec<_> = images.rows().iter().filter(|row| wanted.contains(&row.id)).cloned().collect();
    let memory = Memory::new(DECODER_BYTES);
    let found =
        images.each(&rows, &memory, &|| false, |_, file, limits| picture(&file, decoder.as_ref(), max_side, limits));
    let found = found.map_err(|error| StageError::because("the images cannot be read", error))?;
    let by_id = rows.into_iter().zip(found).filter_map(|(row, found)| Some((row.id, found.ok()?)));
    let fed_as = decoder.as_ref().map(ToString::to_string);
    Ok(Some(Pictures { by_id: by_id.collect(), fed_as }))
}

fn picture(file: &[u8], decoder: Option<&Decoder>, max_side: u32, limits: Limits<'_>) -> Result<Picture, DecodeError> {
    let Miniature { file: own, on_white } = miniature(file, max_side, limits)?;
    let fed = decoder.map(|decoder| decoder.decode(file, limits)).transpose()?;
    // In the size of the image itself, so that an enlarged one does not differ by that alone.
    let max_side = on_white.width.max(on_white.height);
    let fed = fed.map(|image| shrunk(&image, max_side)).filter(|image| looks_different(&on_white, image));
    Ok(Picture { own, fed: fed.map(|image| thumbnail(&image, max_side)) })
}

/// Whether two small images differ in shape, or some pixels in colour by more than a resize on the way makes them
/// differ.
fn looks_different(one: &RgbImage, other: &RgbImage) -> bool {
    if (one.width, one.height) != (other.width, other.height) {
        return true;
    }
    let pixels = one.pixels.chunks_exact(3).zip(other.pixels.chunks_exact(3));
    let differs = |(one, other): &(&[u8], &[u8])| one.iter().zip(*other).any(|(a, b)| a.abs_diff(*b) > MAX_DIFFERENCE);
    pixels.filter(differs).count() * MIN_PIXELS_PER_DIFFERENT > one.pixels.len() / 3
}

/// Makes pictures from an artifact of decoded images, shard by shard: the model's view alone is left.
///
/// # Errors
/// When a shard cannot be read.
pub fn pictures_of_pixels(
    images: &InputArtifact,
    wanted: &BTreeSet<String>,
    max_side: u32,
) -> Result<Pictures, StageError> {
    let failed = |error| StageError::because("the images cannot be read", error);
    let mut pictures = Pictures::default();
    for path in artifact::shards(images)? {
        let shard = pipeline_data::read_pixels(&path).map_err(failed)?;
        let (width, height) = (shard.info.width, shard.info.height);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipeline_data::Selection;

    use super::*;

    /// The pictures of the demo's first images, which are transparent, as a stage with these params gives them.
    fn pictures(params: &str) -> Pictures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/demo/data/MR_valid_imgs.tsv");
        let images = Images::of_tsv(&path, &Selection::first(Some(3))).unwrap();
        let ids: BTreeSet<String> = images.rows().iter().map(|row| row.id.clone()).collect();
        let params = format!("{{ path: {}, max_samples: 3{params} }}", path.display());
        let spec = format!("name: x\nstages:\n  images: {{ kind: decode-images, params: {params} }}\n");
        let spec = pipeline_spec::parse(&spec, Path::new("spec.yaml")).unwrap();
        let stage = spec.stage(&"images".parse().unwrap()).unwrap();
        let pictures =
            pictures_of_source(stage, &ModelSearch::default(), &ids, &|_| Ok(Vec::new()), 72).unwrap().unwrap();
        assert_eq!(pictures.by_id.len(), ids.len());
        pictures
    }

    #[test]
    fn a_picture_keeps_its_transparency_and_shows_what_the_model_sees_where_that_differs() {
        let dropped = pictures("");
        assert_eq!(dropped.fed_as.as_deref(), Some("squashed to 224 × 224 pixels, transparency dropped"));
        for picture in dropped.by_id.values() {
            assert!(picture.own.starts_with(b"\x89PNG"), "transparent");
            assert!(picture.fed.as_ref().is_some_and(|fed| fed.starts_with(b"\xff\xd8")), "smeared");
        }
        let white = pictures(", alpha: white");
        assert_eq!(white.fed_as.as_deref(), Some("squashed to 224 × 224 pixels, transparency on white"));
        assert!(white.by_id.values().all(|picture| picture.fed.is_none()), "the same on white");
    }
}

//! The pixels of an artifact: their description, and the rows of a shard.

use std::ops::Range;
use std::path::Path;

use pipeline_core::{Digest, InputArtifact, StageError};
use pipeline_data::{DataError, PixelShard, PixelsInfo};
use pipeline_models::EncoderRows;

use crate::artifact;
use crate::extraction::Rows;

/// The description of the pixels of all shards, with the resize of any of them; `None` without shards.
pub(super) fn pixels_info(images: &InputArtifact) -> Result<Option<PixelsInfo>, StageError> {
    let infos = artifact::shards(images).map(|path| pipeline_data::read_pixels_info(&path).map_err(unreadable));
    let infos: Vec<PixelsInfo> = infos.collect::<Result<_, _>>()?;
    let resized = infos.iter().find_map(|info| info.resized.clone());
    Ok(infos.into_iter().next().map(|first| PixelsInfo { resized, ..first }))
}

/// The properties of the pixels that change every vector: their size, and the resize if an image had another size.
pub(super) fn properties(pixels: &PixelsInfo) -> Vec<(&'static str, String)> {
    let size = ("size", format!("[{}, {}]", pixels.height, pixels.width));
    std::iter::once(size).chain(pixels.properties()).collect()
}

/// The images of a shard that have pixels.
pub(super) struct Pixels {
    ids: Vec<Option<String>>,
    contents: Vec<Digest>,
    pixels: Vec<Vec<u8>>,
    height: u32,
    width: u32,
}

impl Pixels {
    /// Reads one of `parts` parts of a shard's rows, as even as possible.
    pub(super) fn read(path: &Path, part_idx: usize, parts: usize) -> Result<Self, StageError> {
        let PixelShard { height, width, rows } = pipeline_data::read_pixels(path).map_err(unreadable)?;
        let (mut ids, mut pixels): (Vec<_>, Vec<_>) =
            rows.into_iter().filter_map(|row| Some((Some(row.id), row.pixels?))).unzip();
        let kept = part_rows(ids.len(), part_idx, parts);
        ids = ids.drain(kept.clone()).collect();
        pixels = pixels.drain(kept).collect();
        let contents = pixels.iter().map(|pixels| pixels_digest(pixels, height, width)).collect();
        Ok(Self { ids, contents, pixels, height, width })
    }

    /// The pixels, ready to be encoded.
    pub(super) fn rows<'a>(self) -> Rows<'a> {
        let Self { ids, contents, pixels, height, width } = self;
        Rows {
            order: (0..ids.len()).collect(),
            ids,
            contents,
            give: Box::new(move |row_idxs, to| {
                let pixels: Vec<&[u8]> = row_idxs.iter().map(|row_idx| pixels[*row_idx].as_slice()).collect();
                to(EncoderRows::Images { pixels: &pixels, height: height as usize, width: width as usize });
            }),
            count: None,
        }
    }
}

/// The rows of one of `parts` parts of so many rows.
pub(super) fn part_rows(n_rows: usize, part_idx: usize, parts: usize) -> Range<usize> {
    n_rows * part_idx / parts..n_rows * (part_idx + 1) / parts
}

/// The digest of everything that an image's vector depends on.
fn pixels_digest(pixels: &[u8], height: u32, width: u32) -> Digest {
    let [height, width] = [height, width].map(u32::to_le_bytes);
    Digest::of(&[Digest::of(pixels).as_bytes().as_slice(), &height, &width].concat())
}

/// The error of a shard that cannot be read.
pub(super) fn unreadable(error: DataError) -> StageError {
    StageError::because("the images cannot be read", error)
}

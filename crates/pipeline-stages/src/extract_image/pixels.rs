//! The pixels of an artifact, shard by shard: a process opens the shards that it encodes, and no others.

use std::collections::BTreeMap;
use std::ops::Range;

use pipeline_core::{Digest, InputArtifact, Reject, Shard, StageContext, StageError};
use pipeline_data::{DataError, PixelShard, PixelsInfo};
use pipeline_models::{EncoderModel, EncoderRows};

use super::expected::Decoding;
use crate::artifact;
use crate::extraction::{ReadRows, Rows};

/// The shards of decoded images that a stage encodes.
pub(super) struct PixelShards<'a> {
    images: &'a InputArtifact,
    /// The names of the shards, in the order of their rows.
    names: Vec<&'a str>,
    /// The units in each shard.
    parts: usize,
    decoding: Decoding<'a>,
}

impl<'a> PixelShards<'a> {
    /// The shards of the input, each in `parts` parts.
    pub(super) fn new(context: &'a StageContext<'a>, parts: usize) -> Self {
        let images = artifact::input(context, "images");
        let names = artifact::shard_names(&images.tree);
        Self { images, names, parts, decoding: Decoding::new(context) }
    }

    /// The number of rows in each unit. Opens all files of an artifact whose record does not say it: a program's, or
    /// one of an earlier version.
    pub(super) fn n_rows(&self) -> Result<Vec<u64>, StageError> {
        let known = self.images.shard_rows.as_ref().filter(|rows| rows.len() == self.names.len());
        let of_shards = match known {
            Some(n_rows) => n_rows.clone(),
            None => {
                let counts = artifact::shards(self.images)?.into_iter().map(|path| pipeline_data::count_rows(&path));
                counts.collect::<Result<_, _>>().map_err(unreadable)?
            }
        };
        let of_parts = |n_rows: u64| {
            (0..self.parts).map(move |part_idx| part_rows(n_rows as usize, part_idx, self.parts).len() as u64)
        };
        Ok(of_shards.into_iter().flat_map(of_parts).collect())
    }

    /// The description of the pixels of a shard of the result. Opens the pixels only if the report is one of an earlier
    /// version.
    fn info(&self, shard: &Shard) -> Result<PixelsInfo, StageError> {
        match PixelsInfo::of_map(&shard.report.facts) {
            Some(info) => Ok(info),
            None => {
                let path = self.images.file(self.names[shard.units.start / self.parts])?;
                pipeline_data::read_pixels_info(&path).map_err(unreadable)
            }
        }
    }
}

impl<'a> ReadRows<'a> for PixelShards<'a> {
    fn read(&self, units: Range<usize>, model: &dyn EncoderModel) -> Result<Rows<'a>, StageError> {
        let (shard_idx, part_idx) = (units.start / self.parts, units.start % self.parts);
        let path = self.images.file(self.names[shard_idx])?;
        let shard = pipeline_data::read_pixels(&path).map_err(unreadable)?;
        self.decoding.check(model, &shard.info)?;
        let facts = shard.info.to_map();
        Ok(Pixels::of(shard, part_idx, self.parts).rows(facts, Vec::new()))
    }

    fn properties(
        &self,
        shards: &[Shard],
        model: &dyn EncoderModel,
    ) -> Result<Vec<(&'static str, String)>, StageError> {
        let infos = shards.iter().map(|shard| self.info(shard)).collect::<Result<_, _>>()?;
        Ok(self.decoding.properties(infos, model))
    }
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
    /// One of `parts` parts of the images of a shard, as even as possible.
    pub(super) fn of(shard: PixelShard, part_idx: usize, parts: usize) -> Self {
        let PixelShard { info: PixelsInfo { height, width, .. }, rows } = shard;
        let (mut ids, mut pixels): (Vec<_>, Vec<_>) =
            rows.into_iter().filter_map(|row| Some((Some(row.id), row.pixels?))).unzip();
        let kept = part_rows(ids.len(), part_idx, parts);
        ids = ids.drain(kept.clone()).collect();
        pixels = pixels.drain(kept).collect();
        let contents = pixels.iter().map(|pixels| pixels_digest(pixels, height, width)).collect();
        Self { ids, contents, pixels, height, width }
    }

    /// The pixels, ready to be encoded.
    pub(super) fn rows<'a>(self, facts: BTreeMap<String, String>, rejects: Vec<Reject>) -> Rows<'a> {
        let Self { ids, contents, pixels, height, width } = self;
        Rows {
            order: (0..ids.len()).collect(),
            ids,
            contents,
            give: Box::new(move |row_idxs, to| {
                let pixels: Vec<&[u8]> = row_idxs.iter().map(|row_idx| pixels[*row_idx].as_slice()).collect();
                to(EncoderRows::Images { pixels: &pixels, height: height as usize, width: width as usize });
            }),
            facts,
            rejects,
        }
    }
}

/// The rows of one of `parts` parts of so many rows.
fn part_rows(n_rows: usize, part_idx: usize, parts: usize) -> Range<usize> {
    n_rows * part_idx / parts..n_rows * (part_idx + 1) / parts
}

/// The digest of everything that an image's vector depends on.
fn pixels_digest(pixels: &[u8], height: u32, width: u32) -> Digest {
    let [height, width] = [height, width].map(u32::to_le_bytes);
    Digest::of(&[Digest::of(pixels).as_bytes().as_slice(), &height, &width].concat())
}

/// The error of a shard that cannot be read.
fn unreadable(error: DataError) -> StageError {
    StageError::because("the images cannot be read", error)
}

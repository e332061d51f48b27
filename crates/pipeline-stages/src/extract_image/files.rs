//! The images of files, decoded where they are encoded: no pixels are stored.

use std::ops::Range;
use std::path::Path;

use pipeline_core::{Digest, OpenRows as _, Shard, StageContext, StageError};
use pipeline_data::{PixelShard, PixelsInfo};
use pipeline_models::EncoderModel;

use super::expected::Decoding;
use super::pixels::Pixels;
use crate::decode_images::{DecodedImages, rejects};
use crate::extraction::{ReadRows, Rows};
use crate::shard_sizes::SHARD_MIB;

/// The params of `decode` that only affect the rows.
pub(super) const IN_ROWS: &[&str] = &[
    "decode.columns",
    "decode.file",
    "decode.form",
    "decode.image_id",
    "decode.max_samples",
    "decode.split",
    SHARD_MIB,
];

/// The images of files that a stage decodes and encodes.
pub(super) struct ImageFiles<'a> {
    images: DecodedImages<'a>,
    decoding: Decoding<'a>,
}

impl<'a> ImageFiles<'a> {
    pub(super) fn new(images: DecodedImages<'a>, context: &'a StageContext<'a>) -> Self {
        Self { images, decoding: Decoding::new(context) }
    }

    /// The digests of the rows.
    pub(super) fn digests(&self) -> &[Digest] {
        self.images.digests()
    }
}

impl<'a> ReadRows<'a> for ImageFiles<'a> {
    fn read(&self, units: Range<usize>, model: &dyn EncoderModel) -> Result<Rows<'a>, StageError> {
        let (rows, info) = self.images.pixels(units)?;
        self.decoding.check(model, &info)?;
        let (facts, rejects) = (info.to_map(), rejects(&rows));
        Ok(Pixels::of(PixelShard { info, rows }, 0, 1).rows(facts, rejects))
    }

    fn properties(
        &self,
        shards: &[Shard],
        model: &dyn EncoderModel,
    ) -> Result<Vec<(&'static str, String)>, StageError> {
        let info = |shard: &Shard| {
            let info = PixelsInfo::of_map(&shard.report.facts);
            info.ok_or_else(|| StageError::new("BUG: the report of a shard does not say how its images were decoded"))
        };
        let infos = shards.iter().map(info).collect::<Result<_, _>>()?;
        Ok(self.decoding.properties(infos, model))
    }

    fn report_rejects(&self, shards: &[Shard], scratch: &Path) -> Result<u64, StageError> {
        self.images.report_rejects(shards, scratch)
    }
}

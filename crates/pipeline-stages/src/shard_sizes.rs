//! The sizes of shards whose rows may be large: fewer rows where they are.

use pipeline_core::cut::CutSizes;
use pipeline_models::EncoderModel;

use crate::load_queries;

/// 128 images of 224 × 224 pixels are 18 MiB. That is small enough that ten changed rows cost little, and large enough
/// that the encoders run whole batches.
const PIXELS: CutSizes = CutSizes { min_rows: 32, target_rows: 128, max_rows: 512 };

/// The most bytes of a shard's values: a column of 2 GiB cannot be written, and readers hold a shard in memory. Sizes
/// up to 418 × 418 never reach it.
const MAX_SHARD_BYTES: u64 = 256 << 20;

/// The sizes of shards of images with `row_bytes` bytes of pixels each.
pub(crate) fn of_pixels(row_bytes: u64) -> CutSizes {
    within_bytes(PIXELS, row_bytes)
}

/// The most bytes of the token vectors of a row, where a model gives tokens; images are of `size`.
///
/// Of single precision, so that half precision has the same cuts and takes no more memory.
pub(crate) fn token_row_bytes(model: &dyn EncoderModel, size: [u32; 2]) -> Option<u64> {
    model.tokens()?;
    Some((model.most_tokens(size) * model.dim().ok()? * size_of::<f32>()) as u64)
}

/// The sizes of shards of texts whose tokens have at most `row_bytes` bytes of vectors each.
pub(crate) fn of_text_tokens(row_bytes: u64) -> CutSizes {
    within_bytes(load_queries::SIZES, row_bytes)
}

/// The number of shards for the rows of a pixel shard: images have `row_bytes` bytes of vectors each, and `pixel_bytes` of
/// pixels.
pub(crate) fn parts_of_pixels(row_bytes: u64, pixel_bytes: u64) -> usize {
    let most_rows = of_pixels(pixel_bytes).max_rows as u64;
    usize::try_from((most_rows * row_bytes).div_ceil(MAX_SHARD_BYTES)).unwrap_or(usize::MAX).max(1)
}

/// The sizes `usual`, or fewer rows in the same ratios, so that the rows still determine the cuts.
fn within_bytes(usual: CutSizes, row_bytes: u64) -> CutSizes {
    let max_rows = usize::try_from(MAX_SHARD_BYTES / row_bytes.max(1)).unwrap_or(usize::MAX).max(1);
    if max_rows >= usual.max_rows {
        return usual;
    }
    let target_rows = ((1 << max_rows.ilog2()) / (usual.max_rows / usual.target_rows)).max(1);
    CutSizes { min_rows: (target_rows * usual.min_rows / usual.target_rows).max(1), target_rows, max_rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_large_images_have_fewer_rows_and_those_of_usual_ones_as_many_as_ever() {
        for side in [1, 224, 384, 418] {
            assert_eq!(of_pixels(3 * side * side), PIXELS, "{side}");
        }
        assert_eq!(of_pixels(3 * 512 * 512), CutSizes { min_rows: 16, target_rows: 64, max_rows: 341 });
        assert_eq!(of_pixels(3 * 4096 * 4096), CutSizes { min_rows: 1, target_rows: 1, max_rows: 5 });
    }

    #[test]
    fn shards_of_tokens_stay_within_their_bytes() {
        let bert_base = 128 * 768 * 4;
        assert_eq!(of_text_tokens(bert_base), CutSizes { min_rows: 32, target_rows: 128, max_rows: 682 });
        assert_eq!(of_text_tokens(16 * 48 * 4), load_queries::SIZES);
        let pixels = 3 * 224 * 224;
        for (row_bytes, parts) in [(17 * 40 * 4, 1), (49 * 2048 * 4, 1), (197 * 768 * 4, 2), (577 * 1024 * 4, 5)] {
            assert_eq!(parts_of_pixels(row_bytes, pixels), parts, "{row_bytes}");
        }
    }
}

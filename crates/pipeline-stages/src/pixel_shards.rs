//! The sizes of pixel shards: fewer images where they are large.

use pipeline_core::cut::CutSizes;

/// 128 images of 224 × 224 pixels are 18 MiB. That is small enough that ten changed rows cost little, and large enough
/// that the encoders run whole batches.
const SIZES: CutSizes = CutSizes { min_rows: 32, target_rows: 128, max_rows: 512 };

/// The most bytes of a shard's pixels: a column of 2 GiB cannot be written, and readers hold a shard in memory. Sizes
/// up to 418 × 418 never reach it.
const MAX_SHARD_BYTES: u64 = 256 << 20;

/// The sizes of shards whose rows have `row_bytes` bytes each.
pub(crate) fn sizes(row_bytes: u64) -> CutSizes {
    let max_rows = usize::try_from(MAX_SHARD_BYTES / row_bytes.max(1)).unwrap_or(usize::MAX).max(1);
    if max_rows >= SIZES.max_rows {
        return SIZES;
    }
    // Fewer rows in the same ratios, so that the rows still determine the cuts.
    let target_rows = ((1 << max_rows.ilog2()) / (SIZES.max_rows / SIZES.target_rows)).max(1);
    CutSizes { min_rows: (target_rows * SIZES.min_rows / SIZES.target_rows).max(1), target_rows, max_rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_large_images_have_fewer_rows_and_those_of_usual_ones_as_many_as_ever() {
        for side in [1, 224, 384, 418] {
            assert_eq!(sizes(3 * side * side), SIZES, "{side}");
        }
        assert_eq!(sizes(3 * 512 * 512), CutSizes { min_rows: 16, target_rows: 64, max_rows: 341 });
        assert_eq!(sizes(3 * 4096 * 4096), CutSizes { min_rows: 1, target_rows: 1, max_rows: 5 });
    }
}

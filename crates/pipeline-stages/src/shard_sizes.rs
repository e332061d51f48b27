//! The sizes of shards whose rows may be large: fewer rows where they are.

use pipeline_core::cut::CutSizes;
use pipeline_models::EncoderModel;
use pipeline_spec::{Node, SpecError};

use crate::kind::span_of;
use crate::load_queries;
use crate::tokens::PrecisionParam;

/// 128 images of 224 × 224 pixels are 18 MiB. That is small enough that ten changed rows cost little, and large enough
/// that the encoders run whole batches.
const PIXELS: CutSizes = CutSizes { min_rows: 32, target_rows: 128, max_rows: 512 };

/// The most bytes of a shard's values: a column of 2 GiB cannot be written, and readers hold a shard in memory. Sizes
/// up to 418 × 418 never reach it.
const MAX_SHARD_BYTES: u64 = 256 << 20;

/// The least bytes that a row counts: beside its values it has an id.
const MIN_ROW_BYTES: u64 = 32;

/// The param with the size of shards, in MiB.
pub(crate) const SHARD_MIB: &str = "shard_mib";

/// The largest size of shards that a spec may ask for, in MiB: the largest shard has four times the average.
const MAX_MIB: u32 = (MAX_SHARD_BYTES >> 22) as u32;

/// Refuses a size of shards that cannot work.
///
/// # Errors
/// At the place of the param.
pub(crate) fn check(params: &Node, shard_mib: Option<u32>) -> Result<(), SpecError> {
    if shard_mib.is_none_or(|mib| (1..=MAX_MIB).contains(&mib)) {
        return Ok(());
    }
    let message = format!("`{SHARD_MIB}` must be from 1 to {MAX_MIB}: the size of a shard in MiB, on the average");
    Err(SpecError::at(span_of(params, SHARD_MIB), message).with_help("readers hold a shard in memory; try 16"))
}

/// Refuses a size of shards of encoded images that cannot work, or where it has no meaning. `decode` has the params of
/// their decoding, if the stage does it.
///
/// # Errors
/// At the place of the param.
pub(crate) fn check_of_images(params: &Node, decode: Option<&Node>, shard_mib: Option<u32>) -> Result<(), SpecError> {
    let at = |node: &Node, message: &str, help: &str| {
        Err(SpecError::at(span_of(node, SHARD_MIB), message.to_owned()).with_help(help.to_owned()))
    };
    match decode {
        None if shard_mib.is_some() => at(
            params,
            "`shard_mib` needs `decode`: with the input `images`, shards are those of the decoded images",
            "give `shard_mib` to the stage that decodes them",
        ),
        Some(decode) if decode.get(SHARD_MIB).is_some() => at(
            decode,
            "`shard_mib` has no meaning in `decode`, since no pixels are stored",
            "as a param of the stage it is the size of the shards of vectors",
        ),
        _ => check(params, shard_mib),
    }
}

/// The sizes of shards of `shard_mib` MiB on the average, where a row of the result has `row_bytes` bytes, and takes
/// `held_bytes` of memory while it is computed.
///
/// Depends on these numbers alone, so that the same spec always has the same shards.
pub(crate) fn of_mib(shard_mib: u32, row_bytes: u64, held_bytes: u64) -> CutSizes {
    let most_rows = rows_in(MAX_SHARD_BYTES, row_bytes.max(held_bytes));
    let mean_rows = rows_in(u64::from(shard_mib) << 20, row_bytes.max(MIN_ROW_BYTES)).min(most_rows);
    // From the smallest number of rows on, one in `target_rows` ends a shard: together they make the mean.
    let target_rows = (mean_rows * 4 / 5).max(1);
    let target_rows = 1 << target_rows.ilog2();
    let max_rows = mean_rows.saturating_mul(4).min(most_rows);
    CutSizes { min_rows: mean_rows + 1 - target_rows, target_rows, max_rows }
}

/// The sizes of shards of images with `row_bytes` bytes of pixels each.
pub(crate) fn of_pixels(row_bytes: u64) -> CutSizes {
    within_bytes(PIXELS, row_bytes)
}

/// The most bytes of the token vectors of a row, where a model gives tokens; images are of `size`.
///
/// Of single precision, so that half precision has the same cuts and takes no more memory.
pub(crate) fn token_row_bytes(model: &dyn EncoderModel, size: [u32; 2]) -> Option<u64> {
    model.tokens()?;
    row_bytes(model, size, PrecisionParam::F32)
}

/// The sizes of shards of texts whose tokens have at most `row_bytes` bytes of vectors each.
pub(crate) fn of_text_tokens(row_bytes: u64) -> CutSizes {
    within_bytes(load_queries::SIZES, row_bytes)
}

/// The bytes of a row of vectors of the model, at most: of its tokens in `precision`, or of one vector. Images are of
/// `size`. `None` where the model's files do not show it, which is reported elsewhere.
fn row_bytes(model: &dyn EncoderModel, size: [u32; 2], precision: PrecisionParam) -> Option<u64> {
    let n_vectors = if model.tokens().is_some() { model.most_tokens(size) } else { 1 };
    Some((n_vectors * model.dim().ok()? * precision.bytes()) as u64)
}

/// The sizes of shards of vectors that a spec asks for; `None` where it does not, or the model's files do not show the
/// bytes of a row. A row takes `held_bytes` of memory while it is computed.
pub(crate) fn of_vectors(
    shard_mib: Option<u32>,
    model: &dyn EncoderModel,
    size: [u32; 2],
    precision: PrecisionParam,
    held_bytes: u64,
) -> Option<CutSizes> {
    Some(of_mib(shard_mib?, row_bytes(model, size, precision)?, held_bytes))
}

/// The number of shards for the images of one pixel shard, which has at most `most_rows`, or as many as ever.
pub(crate) fn parts_of_images(model: &dyn EncoderModel, size: [u32; 2], most_rows: Option<usize>) -> usize {
    let usual_rows = || of_pixels(size.map(u64::from).iter().product::<u64>() * 3).max_rows;
    let (row_bytes, most_rows) = match most_rows {
        Some(most_rows) => (row_bytes(model, size, PrecisionParam::F32), most_rows),
        None => (token_row_bytes(model, size), usual_rows()),
    };
    row_bytes.map_or(1, |row_bytes| parts_of_pixels(row_bytes, most_rows))
}

/// The number of shards for the rows of a pixel shard of at most `most_rows` rows: each has `row_bytes` bytes of
/// vectors.
fn parts_of_pixels(row_bytes: u64, most_rows: usize) -> usize {
    usize::try_from((most_rows as u64 * row_bytes).div_ceil(MAX_SHARD_BYTES)).unwrap_or(usize::MAX).max(1)
}

/// The rows of `row_bytes` bytes that fit into `bytes`; at least one.
fn rows_in(bytes: u64, row_bytes: u64) -> usize {
    usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX).max(1)
}

/// The sizes `usual`, or fewer rows in the same ratios, so that the rows still determine the cuts.
fn within_bytes(usual: CutSizes, row_bytes: u64) -> CutSizes {
    let max_rows = rows_in(MAX_SHARD_BYTES, row_bytes);
    if max_rows >= usual.max_rows {
        return usual;
    }
    let target_rows = ((1 << max_rows.ilog2()) / (usual.max_rows / usual.target_rows)).max(1);
    CutSizes { min_rows: (target_rows * usual.min_rows / usual.target_rows).max(1), target_rows, max_rows }
}

#[cfg(test)]
mod tests {
    use pipeline_core::Digest;
    use pipeline_core::cut::cut;

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
    fn shards_have_the_size_that_a_spec_asks_for() {
        let digests: Vec<Digest> = (0..400_000_u32).map(|row| Digest::of(&row.to_le_bytes())).collect();
        for (shard_mib, row_bytes) in [(16, 3 * 224 * 224), (16, 3072), (1, 3 * 64 * 64), (16, 512 << 10), (64, 8192)] {
            let sizes = of_mib(shard_mib, row_bytes, row_bytes);
            let ranges = cut(&digests[..digests.len().min(((4_000 << 20) / row_bytes) as usize)], sizes);
            let n_rows = ranges.last().unwrap().end as u64;
            let mean = n_rows * row_bytes / ranges.len() as u64;
            let asked = u64::from(shard_mib) << 20;
            assert!((asked * 7 / 10..=asked * 13 / 10).contains(&mean), "{shard_mib} MiB of {row_bytes}: {mean}");
            assert!(ranges.iter().all(|range| range.len() as u64 * row_bytes <= (asked * 4).min(MAX_SHARD_BYTES)));
        }
        // One row is larger, memory is the limit, and rows of nothing have ids.
        assert_eq!(of_mib(1, 3 << 20, 0), CutSizes { min_rows: 1, target_rows: 1, max_rows: 4 });
        assert_eq!(of_mib(64, 4096, 16 << 20).max_rows, 16);
        assert_eq!(of_mib(1, 0, 0).min_rows + of_mib(1, 0, 0).target_rows, (1 << 15) + 1);
    }

    #[test]
    fn shards_of_tokens_stay_within_their_bytes() {
        let bert_base = 128 * 768 * 4;
        assert_eq!(of_text_tokens(bert_base), CutSizes { min_rows: 32, target_rows: 128, max_rows: 682 });
        assert_eq!(of_text_tokens(16 * 48 * 4), load_queries::SIZES);
        let pixels = 3 * 224 * 224;
        for (row_bytes, parts) in [(17 * 40 * 4, 1), (49 * 2048 * 4, 1), (197 * 768 * 4, 2), (577 * 1024 * 4, 5)] {
            assert_eq!(parts_of_pixels(row_bytes, of_pixels(pixels).max_rows), parts, "{row_bytes}");
        }
    }
}

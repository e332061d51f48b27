//! Content-defined cutting: the end of a shard depends only on the rows around the cut.
//!
//! Adding or removing a row in the middle moves at most the next one or two cuts; see `the_cost_of_ten_rows`.

use std::ops::Range;

use crate::Digest;

/// The sizes of shards, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutSizes {
    /// The minimum, except for the last shard.
    pub min_rows: usize,
    /// The average beyond the minimum; a power of two.
    pub target_rows: usize,
    /// The maximum.
    pub max_rows: usize,
}

/// Cuts rows, given by their digests, into shards.
///
/// A shard ends after a row whose digest has as many zero low bits as `target_rows`. It has at least `min_rows` and at
/// most `max_rows`. The first N rows of a list share all shards with the whole list, except the last.
///
/// # Panics
/// When the sizes do not ascend or the target is not a power of two: a bug of the caller.
pub fn cut(row_digests: &[Digest], sizes: CutSizes) -> Vec<Range<usize>> {
    let CutSizes { min_rows, target_rows, max_rows } = sizes;
    assert!(target_rows.is_power_of_two() && 1 <= min_rows && min_rows <= max_rows, "BUG: odd shard sizes {sizes:?}");
    let (mut ranges, mut start, mut end) = (Vec::new(), 0, 0);
    for digest in row_digests {
        end += 1;
        let n_rows = end - start;
        let (low, _) = digest.as_bytes().split_first_chunk().expect("a digest has more than eight bytes");
        let is_boundary = u64::from_le_bytes(*low) & (target_rows as u64 - 1) == 0;
        if (is_boundary && n_rows >= min_rows) || n_rows == max_rows {
            ranges.push(start..end);
            start = end;
        }
    }
    if start < end {
        ranges.push(start..end);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SIZES: CutSizes = CutSizes { min_rows: 32, target_rows: 128, max_rows: 512 };

    fn rows(range: Range<u32>) -> Vec<Digest> {
        range.map(|row| Digest::of(&row.to_le_bytes())).collect()
    }

    fn shards(rows: &[Digest]) -> BTreeSet<Vec<Digest>> {
        cut(rows, SIZES).into_iter().map(|range| rows[range].to_vec()).collect()
    }

    #[test]
    fn the_cost_of_ten_rows() {
        let before = rows(0..100_000);
        let shards_before = shards(&before);
        for at in [0, 1, 777, 50_000, 99_999, 100_000] {
            let mut inserted = before.clone();
            inserted.splice(at..at, rows(200_000..200_010));
            let n_new = shards(&inserted).difference(&shards_before).count();
            assert!(n_new <= 3, "{n_new} new shards for ten rows inserted at {at}");
            let mut deleted = before.clone();
            deleted.drain(at.min(99_990)..at.min(99_990) + 10);
            let n_new = shards(&deleted).difference(&shards_before).count();
            assert!(n_new <= 3, "{n_new} new shards for ten rows deleted at {at}");
        }
    }

    #[test]
    fn the_first_rows_share_all_shards_but_the_last() {
        let (some, all) = (rows(0..500), rows(0..1000));
        let some = cut(&some, SIZES);
        let all = cut(&all, SIZES);
        assert_eq!(some[..some.len() - 1], all[..some.len() - 1]);
    }

    #[test]
    fn shards_cover_all_rows_within_their_sizes() {
        let ranges = cut(&rows(0..20_000), SIZES);
        assert_eq!(ranges.first().map(|range| range.start), Some(0));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(ranges.last().map(|range| range.end), Some(20_000));
        assert!(ranges[..ranges.len() - 1].iter().all(|range| (32..=512).contains(&range.len())));
        let mean = 20_000 / ranges.len();
        assert!((128..192).contains(&mean), "{mean} rows on the average");
        assert_eq!(cut(&[], SIZES), []);
    }
}

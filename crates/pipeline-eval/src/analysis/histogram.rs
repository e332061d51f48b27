//! A histogram of the ranks of the best relevant images.

/// The last ranks of the bins; each bin begins after the one before.
const BINS: [u32; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, u32::MAX];

/// Queries by the rank of their best relevant image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The bins by ascending ranks; the last one has the last rank of the pool.
    pub bins: Vec<RankBin>,
    /// The number of queries without a relevant image in the pool.
    pub n_without: usize,
}

/// The queries between two ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankBin {
    /// The lowest rank in the bin.
    pub first: u32,
    /// The highest rank in the bin, even if the pool ends before it; `None` for the bin of all further ranks.
    pub last: Option<u32>,
    /// The number of queries with their best rank in the bin.
    pub n: usize,
}

impl Histogram {
    /// Counts the best ranks of queries over a pool of `pool_size` images.
    pub(super) fn new(ranks: &[Option<u32>], pool_size: u32) -> Self {
        let firsts = std::iter::once(1).chain(BINS.map(|last| last.saturating_add(1)));
        let bins = firsts.zip(BINS).take_while(|(first, _)| *first <= pool_size).map(|(first, last)| RankBin {
            first,
            last: (last < u32::MAX).then_some(last),
            n: ranks.iter().flatten().filter(|rank| (first..=last).contains(*rank)).count(),
        });
        Self { bins: bins.collect(), n_without: ranks.iter().filter(|rank| rank.is_none()).count() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_is_in_the_bin_of_its_rank_and_bins_end_with_the_pool() {
        let bin = |first, last, n| RankBin { first, last: Some(last), n };
        let histogram = Histogram::new(&[Some(1), Some(2), Some(3), Some(5), Some(7), None], 7);
        assert_eq!(histogram.bins, [bin(1, 1, 1), bin(2, 2, 1), bin(3, 5, 2), bin(6, 10, 1)]);
        assert_eq!(histogram.n_without, 1);
        let further = Histogram::new(&[Some(5_000), Some(5_001), Some(29_806)], 29_806).bins[12];
        assert_eq!(further, RankBin { first: 5_001, last: None, n: 2 });
        assert_eq!(Histogram::new(&[], 0), Histogram::default());
    }
}

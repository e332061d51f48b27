//! Hubs: images that many queries return, whether they fit or not.

use std::collections::BTreeMap;

use crate::RankingRow;

/// An image and how often it is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// The image's id.
    pub image: String,
    /// The number of queries that have it among their first images.
    pub n_returned: usize,
    /// The number of those queries to which it is relevant.
    pub n_relevant: usize,
}

/// The distribution of returned images over a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hubs {
    /// The images that are returned most, at most `n_most`.
    pub most: Vec<Hub>,
    /// The number of images that are returned at all.
    pub n_returned: usize,
}

/// Counts the images among the first `k` of each query.
pub(super) fn hubs(queries: &[RankingRow], k: usize, n_most: usize) -> Hubs {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for query in queries {
        for image in query.top_ids.iter().take(k) {
            let count = counts.entry(image).or_default();
            count.0 += 1;
            count.1 += usize::from(query.relevant.contains(image));
        }
    }
    let n_returned = counts.len();
    let mut most: Vec<_> = counts.into_iter().collect();
    most.sort_by_key(|(_, (n_returned, _))| std::cmp::Reverse(*n_returned));
    most.truncate(n_most);
    let hub = |(image, (n_returned, n_relevant)): (&str, _)| Hub { image: image.to_owned(), n_returned, n_relevant };
    Hubs { most: most.into_iter().map(hub).collect(), n_returned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_that_everybody_gets_comes_first() {
        let query = |relevant: &str, top: [&str; 2]| RankingRow {
            query_id: None,
            query_text: String::new(),
            relevant: vec![relevant.into()],
            rank: None,
            top_ids: top.map(str::to_owned).into(),
            top_scores: vec![0.5; 2],
        };
        let hubs = hubs(&[query("1", ["9", "1"]), query("9", ["2", "9"]), query("3", ["9", "2"])], 2, 1);
        assert_eq!(hubs.most, [Hub { image: "9".into(), n_returned: 3, n_relevant: 1 }]);
        assert_eq!(hubs.n_returned, 3);
    }
}

//! Parts of a data set by the hash of an image's id: an image stays in its part whatever else comes or goes.

use std::collections::BTreeMap;

/// Separates these digests from all others.
const CONTEXT: &str = "pipeline 2026-11-28 the part of a split that an image is in";

/// The largest error of a sum of fractions.
const TOLERANCE: f64 = 1e-6;

/// The parts of a data set, with their fractions of all images.
///
/// ```
/// let of = [("train".to_owned(), 0.8), ("valid".to_owned(), 0.2)].into();
/// let parts = pipeline_data::Parts::new(of, 0)?;
/// assert_eq!(parts.part_of("7.jpg"), parts.part_of("7.jpg"));
/// # Ok::<(), pipeline_data::SplitError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    of: BTreeMap<String, f64>,
    seed: u64,
}

/// The reason why fractions are no split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// A fraction below 0 or above 1.
    #[error("the fraction of `{name}` is {fraction}, not from 0 to 1")]
    Fraction {
        /// The part.
        name: String,
        /// The fraction.
        fraction: f64,
    },
    /// The fractions do not sum to 1.
    #[error("the fractions sum to {sum}, not to 1")]
    Sum {
        /// Their sum.
        sum: f64,
    },
}

impl Parts {
    /// Checks the fractions of parts by name. Another `seed` gives other parts.
    ///
    /// # Errors
    /// When a fraction is not from 0 to 1, or they do not sum to 1.
    pub fn new(of: BTreeMap<String, f64>, seed: u64) -> Result<Self, SplitError> {
        if let Some((name, fraction)) = of.iter().find(|(_, fraction)| !(0.0..=1.0).contains(*fraction)) {
            return Err(SplitError::Fraction { name: name.clone(), fraction: *fraction });
        }
        let sum: f64 = of.values().sum();
        if (sum - 1.0).abs() > TOLERANCE { Err(SplitError::Sum { sum }) } else { Ok(Self { of, seed }) }
    }

    /// The part of the image with an id.
    pub fn part_of(&self, id: &str) -> &str {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let hash = hasher.update(&self.seed.to_le_bytes()).update(id.as_bytes()).finalize();
        let (first, _) = hash.as_bytes().as_chunks::<8>();
        // 53 bits: a number from 0 to below 1.
        let place = (u64::from_le_bytes(first[0]) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut end = 0.0;
        let mut parts = self.of.iter().filter(|(_, fraction)| **fraction > 0.0);
        let mut last = parts.next();
        while let Some((name, fraction)) = last {
            end += fraction;
            match parts.next() {
                Some(next) if place >= end => last = Some(next),
                // The last part has what is left by rounding.
                _ => return name,
            }
        }
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(of: &[(&str, f64)], seed: u64) -> Result<Parts, SplitError> {
        Parts::new(of.iter().map(|(name, fraction)| ((*name).to_owned(), *fraction)).collect(), seed)
    }

    #[test]
    fn parts_have_their_fractions_and_seeds_give_others() {
        let [first, second] = [0, 1].map(|seed| parts(&[("train", 0.8), ("valid", 0.1), ("test", 0.1)], seed).unwrap());
        let ids: Vec<String> = (0..10_000).map(|id| format!("{id}.jpg")).collect();
        let count = |part: &str| ids.iter().filter(|id| first.part_of(id) == part).count();
        let counts = ["train", "valid", "test"].map(count);
        assert!(counts.iter().sum::<usize>() == 10_000 && counts[0].abs_diff(8000) < 200, "{counts:?}");
        assert!(counts[1].abs_diff(1000) < 150 && counts[2].abs_diff(1000) < 150, "{counts:?}");
        assert!(ids.iter().filter(|id| first.part_of(id) != second.part_of(id)).count() > 2000);
        // A part of today is that of tomorrow.
        assert_eq!(["a", "b", "c", "d", "e", "f"].map(|id| first.part_of(id)), FOREVER);
        assert_eq!(parts(&[("all", 1.0), ("nothing", 0.0)], 0).unwrap().part_of("a"), "all");
    }

    const FOREVER: [&str; 6] = ["test", "train", "train", "train", "test", "train"];

    #[test]
    fn fractions_that_are_no_split_are_refused() {
        assert_eq!(parts(&[("a", 0.5), ("b", 0.6)], 0).unwrap_err().to_string(), "the fractions sum to 1.1, not to 1");
        assert!(parts(&[("a", f64::NAN)], 0).is_err() && parts(&[("a", -1.0), ("b", 2.0)], 0).is_err());
    }
}

//! The share of one of several processes that run the same spec on one store: the work that it begins with.
//!
//! A share is an order of work and no limit. Every process goes on until everything is up to date, so that one which
//! dies, or never starts, leaves nothing undone.

use std::fmt;
use std::str::FromStr;

use pipeline_core::Digest;

/// The share of a process: number `idx` of `n` equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    idx: usize,
    n: usize,
}

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// It does not consist of two numbers.
    #[error("expected K/N, such as `0/4` for the first of four processes")]
    Form,
    /// There is no such share of this number.
    #[error("K counts from 0: it is at most {}", .n - 1)]
    TooLarge {
        /// The number of shares.
        n: usize,
    },
}

impl Share {
    /// The most shares.
    const MAX: usize = 1 << 20;

    /// The number of the process, from 0.
    pub fn idx(self) -> usize {
        self.idx
    }

    /// The order in which a process takes some of `n_items` items, such as shards: its own block of them first, as they
    /// are, then the rest in an order of its own. Without locks, few items are computed twice.
    pub(crate) fn order(self, mut items: Vec<usize>, n_items: usize) -> Vec<usize> {
        items.sort_by_key(|&item| (self.rank(item * self.n / n_items.max(1), item), item));
        items
    }

    /// The turn of a stage, which is number `ordinal` of its kind: low numbers come first.
    pub(crate) fn turn(self, ordinal: usize) -> u64 {
        self.rank(ordinal % self.n, ordinal)
    }

    /// Zero for an item of this share, else a number that differs between shares.
    fn rank(self, owner: usize, item: usize) -> u64 {
        if owner == self.idx {
            return 0;
        }
        let digest = Digest::of(&[self.idx.to_le_bytes(), item.to_le_bytes()].concat());
        let (first, _) = digest.as_bytes().split_first_chunk().expect("a digest has more than eight bytes");
        u64::from_le_bytes(*first).max(1)
    }
}

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let (idx, n) = text.split_once('/').ok_or(NoShare::Form)?;
        let (idx, n): (usize, usize) = number(idx).zip(number(n)).ok_or(NoShare::Form)?;
        match n {
            0 | Self::MAX.. => Err(NoShare::Form),
            _ if idx >= n => Err(NoShare::TooLarge { n }),
            _ => Ok(Self { idx, n }),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.idx, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn shares_begin_with_blocks_that_cover_everything_once_and_go_on_with_all_others() {
        for n_items in [0, 1, 5, 48, 253] {
            for n in [1, 2, 3, 7] {
                let mut begun = Vec::new();
                for idx in 0..n {
                    let share = share(&format!("{idx}/{n}"));
                    let order = share.order((0..n_items).collect(), n_items);
                    let own = order.iter().take_while(|&&item| item * n / n_items == idx).count();
                    begun.extend_from_slice(&order[..own]);
                    assert!(order[own..].iter().all(|&item| item * n / n_items != idx), "{order:?}");
                    let mut sorted = order;
                    sorted.sort_unstable();
                    assert_eq!(sorted, (0..n_items).collect::<Vec<_>>());
                }
                assert_eq!(begun, (0..n_items).collect::<Vec<_>>(), "{n_items} items, {n} shares");
            }
        }
    }

    #[test]
    fn shares_go_through_the_work_of_another_in_different_orders() {
        let rest = |text: &str| {
            let order = share(text).order((0..90).collect(), 90);
            order.into_iter().filter(|&item| item >= 60).collect::<Vec<_>>()
        };
        assert_ne!(rest("0/3"), rest("1/3"));
        assert_eq!(rest("0/3"), rest("0/3"));
        assert_eq!(rest("2/3"), (60..90).collect::<Vec<_>>());
    }

    #[test]
    fn texts_that_are_no_share_say_why() {
        assert_eq!(share("3/4").to_string(), "3/4");
        for text in ["", "3", "a/4", "1/0", "-1/4", "+1/4", "1/4/5", " 1/4", "1/1048576"] {
            assert_eq!(text.parse::<Share>(), Err(NoShare::Form), "{text}");
        }
        assert_eq!("4/4".parse::<Share>().unwrap_err().to_string(), "K counts from 0: it is at most 3");
    }
}

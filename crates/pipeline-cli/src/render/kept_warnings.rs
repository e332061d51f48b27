//! The warnings of reused stages: shown again, but few enough that they do not bury the news.

use crate::format::count;
use crate::terminal::Verbosity;

/// The most warnings of one reused stage that are shown in full.
const MAX_PER_STAGE: usize = 3;

/// The most warnings of all reused stages that are shown in full.
const MAX_IN_ALL: usize = 20;

/// Chooses the warnings to show.
#[derive(Debug)]
pub struct KeptWarnings {
    is_verbose: bool,
    n_shown: usize,
    n_left_out: usize,
}

impl KeptWarnings {
    /// `--verbose` shows all of them.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { is_verbose: verbosity == Verbosity::Verbose, n_shown: 0, n_left_out: 0 }
    }

    /// The warnings of one stage that are shown; counts the others.
    pub fn shown<'a>(&mut self, warnings: &'a [String]) -> &'a [String] {
        let n_free = MAX_PER_STAGE.min(MAX_IN_ALL.saturating_sub(self.n_shown));
        let n_shown = if self.is_verbose { warnings.len() } else { warnings.len().min(n_free) };
        self.n_shown += n_shown;
        self.n_left_out += warnings.len() - n_shown;
        &warnings[..n_shown]
    }

    /// The number of hidden warnings, in words; `None` when all were shown.
    pub fn left_out(&self) -> Option<String> {
        let plural = if self.n_left_out == 1 { "" } else { "s" };
        let more =
            format!("{} more warning{plural} from earlier runs; `run -v` shows all", count(self.n_left_out as u64));
        (self.n_left_out > 0).then_some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(n: usize) -> Vec<String> {
        (0..n).map(|idx| format!("warning {idx}")).collect()
    }

    #[test]
    fn a_few_of_each_stage_are_shown_and_the_others_counted() {
        let mut kept = KeptWarnings::new(Verbosity::Normal);
        assert_eq!((kept.shown(&warnings(2)).len(), kept.left_out()), (2, None));
        assert_eq!(kept.shown(&warnings(4)).len(), 3);
        assert_eq!(kept.left_out().unwrap(), "1 more warning from earlier runs; `run -v` shows all");
        let n_shown: usize = (0..1000).map(|_| kept.shown(&warnings(1)).len()).sum();
        assert_eq!(n_shown, MAX_IN_ALL - 5);
        assert_eq!(kept.left_out().unwrap(), "986 more warnings from earlier runs; `run -v` shows all");
    }

    #[test]
    fn verbose_shows_all() {
        let mut kept = KeptWarnings::new(Verbosity::Verbose);
        assert_eq!(kept.shown(&warnings(50)).len(), 50);
        assert_eq!(kept.left_out(), None);
    }
}

//! The cards of a run: each working stage holds one, and those that nobody holds are lent to stages with many shards.
//!
//! What is lent goes back to whoever wants to hold it, after the shards in hand.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Cancel;

/// The pause after which a waiting thread looks whether its work is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The cards of a run.
#[derive(Debug)]
pub(crate) struct Cards {
    places: Mutex<Vec<Place>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Place {
    /// The number of the card; `None` for the one that an interface prefers.
    card: Option<u16>,
    /// The stages that hold it: several only where all cards are held.
    n_holders: usize,
    /// Whether a stage that holds another one computes on it.
    is_lent: bool,
}

/// A card that a stage holds while it works.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    cards: &'a Cards,
    idx: usize,
}

/// A card that a stage computes on beside its own.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    cards: &'a Cards,
    idx: usize,
}

impl Cards {
    /// The cards with these numbers; without any, one that has no number.
    pub fn new(numbers: &[u16]) -> Self {
        let place = |card| Place { card, n_holders: 0, is_lent: false };
        let places = match numbers {
            [] => vec![place(None)],
            _ => numbers.iter().map(|number| place(Some(*number))).collect(),
        };
        Self { places: Mutex::new(places), changed: Condvar::new() }
    }

    /// The number of cards.
    pub fn n(&self) -> usize {
        self.places().len()
    }

    /// The card that fewest stages hold, once it is not lent to another one. Cancelling ends the wait.
    pub fn hold(&self, cancel: &Cancel) -> Held<'_> {
        let mut places = self.places();
        let fewest = (0..places.len()).min_by_key(|idx| (places[*idx].n_holders, places[*idx].is_lent));
        let idx = fewest.expect("a run has at least one card");
        places[idx].n_holders += 1;
        while places[idx].is_lent && !cancel.is_cancelled() {
            places = self.wait(places);
        }
        Held { cards: self, idx }
    }

    /// A card that nobody holds, as soon as there is one; `None` once the work `is_over`, which may not ask for a card.
    pub fn borrow(&self, is_over: impl Fn() -> bool) -> Option<Lent<'_>> {
        let mut places = self.places();
        while !is_over() {
            if let Some(idx) = places.iter().position(|place| place.n_holders == 0 && !place.is_lent) {
                places[idx].is_lent = true;
                return Some(Lent { cards: self, idx });
            }
            places = self.wait(places);
        }
        None
    }

    /// Lets all who wait for a card look again.
    pub fn look_again(&self) {
        // Whoever has just looked waits by now.
        drop(self.places());
        self.changed.notify_all();
    }

    fn change(&self, idx: usize, change: impl FnOnce(&mut Place)) {
        change(&mut self.places()[idx]);
        self.changed.notify_all();
    }

    fn wait<'g>(&self, places: MutexGuard<'g, Vec<Place>>) -> MutexGuard<'g, Vec<Place>> {
        let waited = self.changed.wait_timeout(places, LOOK_AGAIN);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Held<'a> {
    /// The number of the card.
    pub fn card(&self) -> Option<u16> {
        self.cards.places()[self.idx].card
    }

    /// All cards of the run.
    pub fn cards(&self) -> &'a Cards {
        self.cards
    }
}

impl Lent<'_> {
    /// The number of the card.
    pub fn card(&self) -> Option<u16> {
        self.cards.places()[self.idx].card
    }

    /// True once a stage waits to hold it.
    pub fn is_wanted(&self) -> bool {
        self.cards.places()[self.idx].n_holders > 0
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.cards.change(self.idx, |place| place.n_holders -= 1);
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.cards.change(self.idx, |place| place.is_lent = false);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread;

    use super::*;

    #[test]
    fn each_stage_holds_a_card_of_its_own_as_long_as_there_are_some() {
        let (cards, cancel) = (Cards::new(&[2, 5]), Cancel::new());
        let held: Vec<_> = (0..4).map(|_| cards.hold(&cancel)).collect();
        assert_eq!(held.iter().map(Held::card).collect::<Vec<_>>(), [2, 5, 2, 5].map(Some));
        drop(held);
        assert_eq!(cards.hold(&cancel).card(), Some(2));
        assert_eq!(Cards::new(&[]).hold(&cancel).card(), None);
    }

    #[test]
    fn a_lent_card_goes_back_to_the_stage_that_wants_to_hold_it() {
        let (cards, cancel) = (Cards::new(&[0, 1]), Cancel::new());
        let first = cards.hold(&cancel);
        let lent = cards.borrow(|| false).unwrap();
        assert_eq!((first.card(), lent.card(), lent.is_wanted()), (Some(0), Some(1), false));
        let n_looks = Cell::new(0);
        let is_second_look = || n_looks.replace(n_looks.get() + 1) > 0;
        assert!(cards.borrow(is_second_look).is_none(), "both are taken");
        thread::scope(|scope| {
            let second = scope.spawn(|| cards.hold(&cancel));
            while !lent.is_wanted() {
                thread::yield_now();
            }
            assert!(!second.is_finished(), "it waits");
            drop(lent);
            assert_eq!(second.join().unwrap().card(), Some(1));
        });
        drop(first);
        assert_eq!(cards.borrow(|| false).unwrap().card(), Some(0));
    }
}

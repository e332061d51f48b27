//! The cards of a run: each working stage holds one, and those that nobody holds are lent to stages with many shards.
//!
//! What is lent goes back to whoever wants to hold it, after the shards in hand. A card that is lost gets no more work.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline_core::StageError;

use crate::lanes::Occupancy;
use crate::worker::Workshop;
use crate::{Cancel, Node};

/// The pause after which a waiting thread looks whether its work is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The cards that a process has lost; clones share them, so that its later runs leave them alone, too.
#[derive(Clone, Default)]
pub struct LostCards {
    causes: Arc<Mutex<BTreeMap<Option<u16>, String>>>,
    look: Option<Arc<Look>>,
}

/// Says why a card is lost; `None` while it can be used.
type Look = dyn Fn(Option<u16>) -> Option<String> + Send + Sync;

/// The cards of a run.
#[derive(Debug)]
pub(crate) struct Cards {
    places: Mutex<Vec<Place>>,
    changed: Condvar,
    lost: LostCards,
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

impl LostCards {
    /// None yet. After each failure on a card, `look` says why it is lost, or `None` while it can be used.
    pub fn new(look: impl Fn(Option<u16>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { causes: Arc::default(), look: Some(Arc::new(look)) }
    }

    /// Looks at a card on which something failed; returns why it is lost.
    fn look_at(&self, card: Option<u16>) -> Option<String> {
        let cause = (self.look.as_ref()?)(card)?;
        Some(self.causes().entry(card).or_insert(cause).clone())
    }

    fn has(&self, card: Option<u16>) -> bool {
        self.causes().contains_key(&card)
    }

    fn causes(&self) -> MutexGuard<'_, BTreeMap<Option<u16>, String>> {
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LostCards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LostCards").field(&*self.causes()).finish()
    }
}

impl Workshop<'_> {
    /// The card of a stage that works on one, as long as it does.
    ///
    /// # Errors
    /// When all cards are lost.
    pub(crate) fn hold_card(&self, node: &Node) -> Result<Option<Held<'_>>, StageError> {
        let occupancy = Occupancy::new(node.stage.needs(), node.lane, self.origin.device);
        occupancy.holds_card.then(|| self.cards.hold(self.cancel)).transpose()
    }
}

/// A card that a stage computes on beside its own.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    cards: &'a Cards,
    idx: usize,
}

impl Cards {
    /// The cards with these numbers, but for those that are lost; without any, one that has no number.
    pub fn new(numbers: &[u16], lost: LostCards) -> Self {
        let place = |card| Place { card, n_holders: 0, is_lent: false };
        let places = match numbers {
            [] => vec![place(None)],
            _ => numbers.iter().map(|number| place(Some(*number))).collect(),
        };
        Self { places: Mutex::new(places), changed: Condvar::new(), lost }
    }

    /// The number of cards that are not lost.
    pub fn n(&self) -> usize {
        self.places().iter().filter(|place| !self.lost.has(place.card)).count()
    }

    /// The card that fewest stages hold, once it is not lent to another one. Cancelling ends the wait.
    ///
    /// # Errors
    /// When all are lost.
    pub fn hold(&self, cancel: &Cancel) -> Result<Held<'_>, StageError> {
        let mut places = self.places();
        loop {
            let left = (0..places.len()).filter(|idx| !self.lost.has(places[*idx].card));
            let fewest = left.min_by_key(|idx| (places[*idx].n_holders, places[*idx].is_lent));
            let idx = fewest.ok_or_else(|| self.none_left())?;
            places[idx].n_holders += 1;
            while places[idx].is_lent && !cancel.is_cancelled() {
                places = self.wait(places);
            }
            // It may have been lost meanwhile.
            if !self.lost.has(places[idx].card) {
                return Ok(Held { cards: self, idx });
            }
            places[idx].n_holders -= 1;
        }
    }

    fn none_left(&self) -> StageError {
        let causes: Vec<String> = self.lost.causes().values().cloned().collect();
        let help = "a new run finds out which cards can be used; finished shards are kept";
        StageError::because("no card is left to compute on", causes.join("; ")).with_help(help)
    }

    /// A card that nobody holds, as soon as there is one; `None` once the work `is_over`, which may not ask for a card.
    pub fn borrow(&self, is_over: impl Fn() -> bool) -> Option<Lent<'_>> {
        let mut places = self.places();
        while !is_over() {
            let is_free = |place: &Place| place.n_holders == 0 && !place.is_lent && !self.lost.has(place.card);
            if let Some(idx) = places.iter().position(is_free) {
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

    /// Looks at the card after a failure; returns why it is lost.
    pub fn look(&self) -> Option<String> {
        self.cards.lost.look_at(self.card())
    }
}

impl Lent<'_> {
    /// The number of the card.
    pub fn card(&self) -> Option<u16> {
        self.cards.places()[self.idx].card
    }

    /// Looks at the card after a failure.
    pub fn look(&self) {
        self.cards.lost.look_at(self.card());
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
        let (cards, cancel) = (Cards::new(&[2, 5], LostCards::default()), Cancel::new());
        let held: Vec<_> = (0..4).map(|_| cards.hold(&cancel).unwrap()).collect();
        assert_eq!(held.iter().map(Held::card).collect::<Vec<_>>(), [2, 5, 2, 5].map(Some));
        drop(held);
        assert_eq!(cards.hold(&cancel).unwrap().card(), Some(2));
        assert_eq!(Cards::new(&[], LostCards::default()).hold(&cancel).unwrap().card(), None);
    }

    #[test]
    fn a_lost_card_is_neither_held_nor_lent_again_not_even_in_a_later_run() {
        let lost = LostCards::new(|card| (card == Some(0)).then(|| "it fell off the bus".to_owned()));
        let (cards, cancel) = (Cards::new(&[0, 1], lost.clone()), Cancel::new());
        let [first, second] = [(); 2].map(|()| cards.hold(&cancel).unwrap());
        assert_eq!((second.card(), second.look(), cards.n()), (Some(1), None, 2), "it can still be used");
        assert!(first.look().unwrap().contains("bus"));
        drop((first, second));
        let held = cards.hold(&cancel).unwrap();
        assert_eq!((held.card(), cards.n()), (Some(1), 1));
        assert_eq!(cards.hold(&cancel).unwrap().card(), Some(1));
        let n_looks = Cell::new(0);
        assert!(cards.borrow(|| n_looks.replace(n_looks.get() + 1) > 0).is_none(), "nothing is left to lend");
        let later = Cards::new(&[0], lost);
        let error = later.hold(&cancel).unwrap_err();
        assert!(error.to_string().contains("no card is left"), "{error}");
        assert!(error.source.unwrap().to_string().contains("bus"));
    }

    #[test]
    fn a_card_that_is_lost_while_a_stage_waits_for_it_is_not_held() {
        let lost = LostCards::new(|card| (card == Some(1)).then(|| "gone".to_owned()));
        let (cards, cancel) = (Cards::new(&[0, 1], lost), Cancel::new());
        let first = cards.hold(&cancel).unwrap();
        let lent = cards.borrow(|| false).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| cards.hold(&cancel).unwrap().card());
            while !lent.is_wanted() {
                thread::yield_now();
            }
            lent.look();
            drop(lent);
            assert_eq!(second.join().unwrap(), Some(0), "it shares the one that is left");
        });
        drop(first);
    }

    #[test]
    fn a_lent_card_goes_back_to_the_stage_that_wants_to_hold_it() {
        let (cards, cancel) = (Cards::new(&[0, 1], LostCards::default()), Cancel::new());
        let first = cards.hold(&cancel).unwrap();
        let lent = cards.borrow(|| false).unwrap();
        assert_eq!((first.card(), lent.card(), lent.is_wanted()), (Some(0), Some(1), false));
        let n_looks = Cell::new(0);
        let is_second_look = || n_looks.replace(n_looks.get() + 1) > 0;
        assert!(cards.borrow(is_second_look).is_none(), "both are taken");
        thread::scope(|scope| {
            let second = scope.spawn(|| cards.hold(&cancel).unwrap());
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

//! The encoders of one stage: one on each card that it computes on, or one on the processor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline_models::Encoder;

use crate::recent_vectors::RecentVectors;

/// An encoder and its last results, used by one thread at a time.
pub(crate) struct EncoderWork {
    /// Loaded on first use.
    pub(crate) encoder: Option<Box<dyn Encoder>>,
    pub(crate) recent: RecentVectors,
}

/// The encoders by the numbers of their cards.
pub(crate) struct Encoders {
    places: Mutex<BTreeMap<Option<u16>, Arc<Mutex<EncoderWork>>>>,
    /// The bytes of vectors that each keeps for equal rows of later shards.
    recent_bytes: usize,
}

impl EncoderWork {
    /// The encoder, which a caller has loaded.
    pub(crate) fn encoder(&self) -> &dyn Encoder {
        self.encoder.as_deref().expect("an encoder is loaded before its shard is computed")
    }
}

impl Encoders {
    /// None yet.
    pub(crate) fn new(recent_bytes: usize) -> Self {
        Self { places: Mutex::default(), recent_bytes }
    }

    /// The one on a card.
    pub(crate) fn on(&self, card: Option<u16>) -> Arc<Mutex<EncoderWork>> {
        let empty = || EncoderWork { encoder: None, recent: RecentVectors::new(self.recent_bytes) };
        Arc::clone(locked(&self.places).entry(card).or_insert_with(|| Arc::new(Mutex::new(empty()))))
    }

    /// Takes the one off a card, if there is one.
    pub(crate) fn take(&self, card: Option<u16>) -> Option<Arc<Mutex<EncoderWork>>> {
        locked(&self.places).remove(&card)
    }

    /// All that are there.
    pub(crate) fn all(&self) -> Vec<Arc<Mutex<EncoderWork>>> {
        locked(&self.places).values().cloned().collect()
    }
}

/// Locks what a panic on another thread leaves as it was.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

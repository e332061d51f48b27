//! The encoders of one stage: one on each card that it computes on, or one on the processor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pipeline_core::StageError;
use pipeline_models::Encoder;

/// An encoder, once it is loaded.
#[derive(Default)]
pub(crate) struct Loaded {
    encoder: OnceLock<Box<dyn Encoder>>,
    /// Held while the encoder is loaded.
    loading: Mutex<()>,
}

/// The encoders by the numbers of their cards.
#[derive(Default)]
pub(crate) struct Encoders(Mutex<BTreeMap<Option<u16>, Arc<Loaded>>>);

impl Loaded {
    /// The encoder, which the first caller loads while others wait.
    pub(crate) fn encoder(
        &self,
        load: impl FnOnce() -> Result<Box<dyn Encoder>, StageError>,
    ) -> Result<&dyn Encoder, StageError> {
        let _loading = locked(&self.loading);
        if let Some(encoder) = self.encoder.get() {
            return Ok(&**encoder);
        }
        let loaded = load()?;
        Ok(&**self.encoder.get_or_init(|| loaded))
    }
}

impl Encoders {
    /// The one on a card.
    pub(crate) fn on(&self, card: Option<u16>) -> Arc<Loaded> {
        Arc::clone(locked(&self.0).entry(card).or_default())
    }

    /// Takes the one off a card, if there is one.
    pub(crate) fn drop_from(&self, card: Option<u16>) {
        let dropped = locked(&self.0).remove(&card);
        // Not under the lock: its memory goes back to the card.
        drop(dropped);
    }
}

/// Locks what a panic on another thread leaves as it was.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

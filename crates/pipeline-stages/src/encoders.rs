//! The encoders of one stage: one on each card that it computes on, or one on the processor.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pipeline_core::StageError;
use pipeline_models::Encoder;

/// An encoder once it is loaded, or why it cannot be.
#[derive(Default)]
pub(crate) struct Loaded(OnceLock<Result<Box<dyn Encoder>, Arc<StageError>>>);

/// The encoders by the numbers of their cards.
#[derive(Default)]
pub(crate) struct Encoders(Mutex<BTreeMap<Option<u16>, Arc<Loaded>>>);

impl Loaded {
    /// The encoder, which the first caller loads while others wait. If it fails, they get its error.
    pub(crate) fn encoder(
        &self,
        load: impl FnOnce() -> Result<Box<dyn Encoder>, StageError>,
    ) -> Result<&dyn Encoder, StageError> {
        let loaded = self.0.get_or_init(|| load().map_err(Arc::new));
        loaded.as_deref().map_err(repeated)
    }
}

/// The same error for another caller.
fn repeated(error: &Arc<StageError>) -> StageError {
    let StageError { message, source, help, param, cancelled } = &**error;
    let source = source.as_ref().map(|_| Box::new(Cause(Arc::clone(error))).into());
    StageError { message: message.clone(), source, help: help.clone(), param: *param, cancelled: *cancelled }
}

/// The cause of an error that several have.
#[derive(Debug)]
struct Cause(Arc<StageError>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source.iter().try_for_each(|cause| cause.fmt(f))
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref()?.source()
    }
}

impl Encoders {
    /// The one on a card.
    pub(crate) fn on(&self, card: Option<u16>) -> Arc<Loaded> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(card).or_default())
    }

    /// Takes the one off a card, if there is one.
    pub(crate) fn drop_from(&self, card: Option<u16>) {
        let dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&card);
        // Not under the lock: its memory goes back to the card.
        drop(dropped);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use pipeline_core::error_chain;

    use super::*;

    #[test]
    fn an_encoder_that_cannot_be_loaded_is_tried_once_and_each_caller_learns_why() {
        let (encoders, mut n_tries) = (Encoders::default(), 0);
        let mut load = || {
            n_tries += 1;
            let cause = StageError::because("the weights are damaged", io::Error::other("a wrong digest"));
            Err(StageError::because("the model cannot be loaded", cause).with_help("copy it again"))
        };
        for _ in 0..3 {
            let loaded = encoders.on(Some(1));
            let Err(error) = loaded.encoder(&mut load) else { panic!("it is loaded") };
            assert_eq!(
                error_chain(&error),
                ["the model cannot be loaded", "the weights are damaged", "a wrong digest"]
            );
            assert_eq!(error.help.as_deref(), Some("copy it again"));
        }
        encoders.drop_from(Some(1));
        assert!(encoders.on(Some(1)).encoder(&mut load).is_err());
        assert_eq!(n_tries, 2, "once, and again after the card was left");
    }
}

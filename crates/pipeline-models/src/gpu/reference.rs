//! The same models and training on burn's backend for processors: tests compare the processor's own code with them.

use burn::backend::Autodiff;
use burn_flex::Flex;

use super::backend::{FrameworkLearner, Place, Site};
use crate::heads::Heads;
use crate::train::steps::Learner;
use crate::train::{PairedFeatures, TrainOptions};

/// The forward pass of a model.
pub(crate) fn load<Forward: ?Sized>(parts: impl Place<Forward>) -> Box<Forward> {
    parts.place::<Flex>(Site::on_processor())
}

/// Heads that learn.
pub(crate) fn learner<'a>(
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    start: Option<Heads>,
) -> Box<dyn Learner + 'a> {
    Box::new(FrameworkLearner::<Autodiff<Flex>>::new(data, options, start, Default::default()))
}

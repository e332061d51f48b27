//! Models and training on the first CUDA device.

use burn::backend::Autodiff;
use burn_cuda::Cuda;

use super::DeviceError;
use super::backend::{FrameworkLearner, Place};
use crate::heads::Heads;
use crate::train::steps::Learner;
use crate::train::{PairedFeatures, TrainOptions};

pub(crate) use super::probe::probe;

/// Moves a model to the device, which makes its forward pass.
///
/// # Errors
/// When the device cannot be used.
pub(crate) fn load<Forward: ?Sized>(parts: impl Place<Forward>) -> Result<Box<Forward>, DeviceError> {
    probe()?;
    Ok(parts.place::<Cuda>(Default::default()))
}

/// Moves heads to the device, where they learn.
///
/// # Errors
/// When the device cannot be used.
pub(crate) fn learner<'a>(
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    start: Option<Heads>,
) -> Result<Box<dyn Learner + 'a>, DeviceError> {
    probe()?;
    Ok(Box::new(FrameworkLearner::<Autodiff<Cuda>>::new(data, options, start, Default::default())))
}

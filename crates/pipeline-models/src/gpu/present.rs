//! The functions of the door in a build with the interface to a GPU.

use burn::backend::Autodiff;

use super::backend::{FrameworkLearner, Place};
use super::{DeviceError, on_backend};
use crate::device::Gpu;
use crate::heads::Heads;
use crate::train::steps::Learner;
use crate::train::{PairedFeatures, TrainOptions};

/// Moves a model to the first device, which makes its forward pass.
///
/// # Errors
/// When the device cannot be used.
pub(crate) fn load<Forward: ?Sized>(gpu: Gpu, parts: impl Place<Forward>) -> Result<Box<Forward>, DeviceError> {
    super::probe(gpu)?;
    on_backend!(gpu, Backend => Ok(parts.place::<Backend>(Default::default())))
}

/// Moves heads to the first device, where they learn.
///
/// # Errors
/// When the device cannot be used.
pub(crate) fn learner<'a>(
    gpu: Gpu,
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    start: Option<Heads>,
) -> Result<Box<dyn Learner + 'a>, DeviceError> {
    super::probe(gpu)?;
    on_backend!(gpu, Backend => {
        Ok(Box::new(FrameworkLearner::<Autodiff<Backend>>::new(data, options, start, Default::default())))
    })
}

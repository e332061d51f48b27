//! The functions of the door in a build without CUDA: each says how to build it.

use super::DeviceError;
use crate::heads::Heads;
use crate::train::steps::Learner;
use crate::train::{PairedFeatures, TrainOptions};

/// Says that there is no CUDA device for this program.
///
/// # Errors
/// Always.
pub(crate) fn probe() -> Result<(), DeviceError> {
    Err(DeviceError::NotBuilt)
}

/// Takes the parts of any model, since there is no place for one.
///
/// # Errors
/// Always.
pub(crate) fn load<Parts, Forward: ?Sized>(_: Parts) -> Result<Box<Forward>, DeviceError> {
    Err(DeviceError::NotBuilt)
}

/// Takes what a training begins with, since there is no place for it.
///
/// # Errors
/// Always.
pub(crate) fn learner<'a>(
    _: &'a PairedFeatures<'a>,
    _: &'a TrainOptions,
    _: Option<Heads>,
) -> Result<Box<dyn Learner + 'a>, DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    #[test]
    fn without_the_feature_cuda_says_how_to_build_it() {
        let error = crate::device::probe(Device::Cuda).unwrap_err();
        assert!(error.help().contains("cargo build --release --features cuda"), "{error}");
        assert_eq!(load::<_, dyn Learner>(()).err(), Some(DeviceError::NotBuilt));
    }
}

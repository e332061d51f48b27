//! The functions of the door in a build without an interface to GPUs: each says how to build it.

use super::DeviceError;
use crate::device::{Gpu, Precision};
use crate::heads::Heads;
use crate::train::steps::Learner;
use crate::train::{PairedFeatures, TrainOptions};

/// Takes the parts of any model, since there is no place for one.
///
/// # Errors
/// Always.
pub(crate) fn load<Parts, Forward: ?Sized>(gpu: Gpu, _: Parts, _: Precision) -> Result<Box<Forward>, DeviceError> {
    Err(DeviceError::NotBuilt { interface: gpu.interface })
}

/// Takes what a training begins with, since there is no place for it.
///
/// # Errors
/// Always.
pub(crate) fn learner<'a>(
    gpu: Gpu,
    _: &'a PairedFeatures<'a>,
    _: &'a TrainOptions,
    _: Option<Heads>,
) -> Result<Box<dyn Learner + 'a>, DeviceError> {
    Err(DeviceError::NotBuilt { interface: gpu.interface })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::device::Interface;

    #[test]
    fn a_build_without_an_interface_says_how_to_build_it() {
        for interface in Interface::ALL {
            let gpu = Gpu { interface, number: None };
            let error = crate::device::probe(Device::Gpu(gpu)).unwrap_err();
            let command = format!("cargo build --release --features {}", interface.name());
            assert!(error.help().contains(&command), "{error}");
            assert_eq!(
                load::<_, dyn Learner>(gpu, (), Precision::F32).err(),
                Some(DeviceError::NotBuilt { interface })
            );
        }
    }
}

//! Asks Vulkan or Metal for devices, and tries them: the framework panics where there is none.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{Wgpu, WgpuDevice, WgpuRuntime};
use cubecl::Runtime;

use super::{DeviceError, present};
use crate::device::Gpu;

/// A GPU as the framework names it; where there is none with this number, the one that the interface prefers.
pub(super) fn device(gpu: Gpu) -> WgpuDevice {
    let listed = gpu.number.and_then(|number| devices().into_iter().nth(number.into()));
    listed.unwrap_or_default()
}

/// Looks for a device; processors that play one (lavapipe) count.
pub(super) fn probe(gpu: Gpu) -> Result<(), DeviceError> {
    static TRIED: Mutex<BTreeMap<Gpu, Result<(), DeviceError>>> = Mutex::new(BTreeMap::new());
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || {
        let found = devices();
        if found.is_empty() {
            return Err(DeviceError::NoAdapter);
        }
        if gpu.number.is_some_and(|number| found.len() <= number.into()) {
            return Err(DeviceError::NoSuchCard { gpu, names: found.iter().map(kind).collect() });
        }
        present::set_up(None);
        present::try_out::<Wgpu>(gpu, &device(gpu))
    };
    tried.entry(gpu).or_insert_with(look).clone()
}

/// The devices that can be told apart, in the order of the interface.
fn devices() -> Vec<WgpuDevice> {
    let mut found = Vec::new();
    for listed in WgpuRuntime::enumerate_all_devices(&AutoGraphicsApi::backend()) {
        // The framework counts within the devices of a type.
        let device = match listed.type_id {
            0 => WgpuDevice::DiscreteGpu(n_of(&found, |device| matches!(device, WgpuDevice::DiscreteGpu(_)))),
            1 => WgpuDevice::IntegratedGpu(n_of(&found, |device| matches!(device, WgpuDevice::IntegratedGpu(_)))),
            2 => WgpuDevice::VirtualGpu(n_of(&found, |device| matches!(device, WgpuDevice::VirtualGpu(_)))),
            3 => WgpuDevice::Cpu,
            _ => WgpuDevice::DefaultDevice,
        };
        if !found.contains(&device) {
            found.push(device);
        }
    }
    found
}

fn n_of(found: &[WgpuDevice], is_one: impl Fn(&WgpuDevice) -> bool) -> usize {
    found.iter().filter(|device| is_one(device)).count()
}

/// The sort of a device, for people: the framework shows no name.
fn kind(device: &WgpuDevice) -> String {
    let kind = match device {
        WgpuDevice::DiscreteGpu(_) => "discrete GPU",
        WgpuDevice::IntegratedGpu(_) => "integrated GPU",
        WgpuDevice::VirtualGpu(_) => "virtual GPU",
        WgpuDevice::Cpu => "processor",
        _ => "GPU",
    };
    kind.to_owned()
}

//! Asks Vulkan or Metal for a device, and tries it: the framework panics where there is none.

use std::sync::OnceLock;

use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use burn_wgpu::{Wgpu, WgpuRuntime};
use cubecl::Runtime;

use super::{DeviceError, present};

/// Looks for a device; processors that play one (lavapipe) count.
pub(super) fn probe() -> Result<(), DeviceError> {
    static FOUND: OnceLock<Result<(), DeviceError>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        if WgpuRuntime::enumerate_all_devices(&AutoGraphicsApi::backend()).is_empty() {
            return Err(DeviceError::NoAdapter);
        }
        present::set_up(None);
        present::try_out::<Wgpu>()
    });
    found.clone()
}

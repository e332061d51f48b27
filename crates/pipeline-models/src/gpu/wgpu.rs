//! Asks Vulkan or Metal for a device: the framework panics where there is none.

use burn_wgpu::WgpuRuntime;
use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use cubecl::Runtime;

use super::DeviceError;

/// Looks for a device; processors that play one (lavapipe) count.
pub(crate) fn probe() -> Result<(), DeviceError> {
    if WgpuRuntime::enumerate_all_devices(&AutoGraphicsApi::backend()).is_empty() {
        return Err(DeviceError::NoAdapter);
    }
    Ok(())
}

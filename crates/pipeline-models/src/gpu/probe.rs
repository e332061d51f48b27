//! Asks the CUDA driver whether it works: the framework panics where this returns an error.
//!
//! Unsafe code: loads libraries by name and calls two functions of the driver, whose signatures are part of its stable
//! interface.

#![allow(unsafe_code)]

use std::ffi::{OsString, c_int, c_uint};
use std::path::PathBuf;

use libloading::{Library, Symbol};

use super::DeviceError;

const DRIVER: &[&str] = &["libcuda.so.1", "libcuda.so"];
const COMPILER: &[&str] = &["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11"];
/// The default folders of the framework; a compiler in `/usr/bin` implies headers in `/usr`.
const DEFAULT_TOOLKITS: &[&str] = &["/usr/local/cuda", "/opt/cuda", "/usr/bin/nvcc"];

/// Looks for the driver, a device, the run-time compiler and the toolkit, in this order.
pub(crate) fn probe() -> Result<(), DeviceError> {
    let driver = load("CUDA driver library", DRIVER)?;
    if count_devices(&driver)? == 0 {
        return Err(DeviceError::NoDevice);
    }
    load("CUDA run-time compiler (NVRTC) library", COMPILER)?;
    // The framework reads this variable by itself, so the probe must use the same value.
    find_toolkit(std::env::var_os("CUDA_PATH"))
}

fn load(what: &'static str, names: &[&'static str]) -> Result<Library, DeviceError> {
    // SAFETY: these libraries are NVIDIA's; loading them runs their initialisers, which have no precondition.
    let library = names.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
    library.ok_or_else(|| DeviceError::MissingLibrary { what, names: names.to_vec() })
}

fn count_devices(driver: &Library) -> Result<c_int, DeviceError> {
    let mut n_devices: c_int = 0;
    // SAFETY: `CUresult cuInit(unsigned int)` and `CUresult cuDeviceGetCount(int *)` have these signatures in every
    // version of the driver, and the pointer is valid during the call.
    unsafe {
        let init: Symbol<unsafe extern "C" fn(c_uint) -> c_int> =
            driver.get(b"cuInit\0").map_err(|_| DeviceError::MissingFunction { function: "cuInit" })?;
        let count: Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> = driver
            .get(b"cuDeviceGetCount\0")
            .map_err(|_| DeviceError::MissingFunction { function: "cuDeviceGetCount" })?;
        check("cuInit", init(0))?;
        check("cuDeviceGetCount", count(&raw mut n_devices))?;
    }
    Ok(n_devices)
}

fn check(function: &'static str, code: c_int) -> Result<(), DeviceError> {
    if code == 0 { Ok(()) } else { Err(DeviceError::Driver { function, code }) }
}

/// The framework compiles kernels against the headers of `CUDA_PATH`, else of the first default folder.
fn find_toolkit(cuda_path: Option<OsString>) -> Result<(), DeviceError> {
    let looked_in = match cuda_path {
        Some(path) => vec![path.into()],
        None => DEFAULT_TOOLKITS.iter().map(PathBuf::from).collect(),
    };
    if looked_in.iter().any(|path| path.exists()) { Ok(()) } else { Err(DeviceError::NoToolkit { looked_in }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_an_error_and_not_a_panic() {
        let error = load("made-up library", &["libmade_up_for_a_test.so"]).unwrap_err();
        assert!(matches!(error, DeviceError::MissingLibrary { what: "made-up library", .. }));
    }

    #[test]
    fn a_toolkit_folder_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find_toolkit(Some(folder.path().into())), Ok(()));
        let missing = folder.path().join("no");
        assert_eq!(
            find_toolkit(Some(missing.clone().into())),
            Err(DeviceError::NoToolkit { looked_in: vec![missing] })
        );
    }

    #[test]
    fn a_return_code_of_the_driver_is_shown() {
        assert_eq!(check("cuInit", 100).unwrap_err().to_string(), "`cuInit` of the CUDA driver failed with code 100");
    }

    #[test]
    fn the_whole_probe_returns_on_any_machine() {
        if let Err(error) = probe() {
            assert!(error.to_string().contains("CUDA"), "{error}");
        }
    }
}

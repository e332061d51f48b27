//! Asks whether the card works, before any work: the driver, its memory, the compiler and its headers.
//!
//! Unsafe code: loads the driver by name and calls functions of it, whose signatures are part of its stable interface.

#![allow(unsafe_code)]

mod toolkit;

use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::{Library, Symbol};

use super::{Card, DeviceError};

const DRIVER: &[&str] = &["libcuda.so.1", "libcuda.so"];
/// The free memory below which nothing worth a card fits, in bytes: the framework takes pages of some 100 MB.
const LEAST_FREE: usize = 512 << 20;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// Looks for the driver, a device, its memory, the run-time compiler and its headers, in this order.
pub(super) fn look() -> Result<Card, DeviceError> {
    let driver = load("CUDA driver library", DRIVER)?;
    let mut n_devices: c_int = 0;
    let init: Symbol<'_, unsafe extern "C" fn(c_uint) -> c_int> = function(&driver, "cuInit")?;
    let count: Symbol<'_, unsafe extern "C" fn(*mut c_int) -> c_int> = function(&driver, "cuDeviceGetCount")?;
    // SAFETY: the signatures are those of every version of the driver, and the pointer is valid during the call.
    unsafe {
        check("cuInit", init(0))?;
        check("cuDeviceGetCount", count(&raw mut n_devices))?;
    }
    if n_devices == 0 {
        return Err(DeviceError::NoDevice);
    }
    let (name, capability, driver, memory) = describe(&driver)?;
    if memory[0] < LEAST_FREE {
        return Err(DeviceError::TooSmall { name, free: memory[0], total: memory[1], least: LEAST_FREE });
    }
    Ok(Card { name, capability, memory, driver, toolkit: toolkit::find()? })
}

/// The name, capability, driver version and memory of the first device.
type Described = (String, [u32; 2], [u32; 2], [usize; 2]);

fn describe(driver: &Library) -> Result<Described, DeviceError> {
    let version_of: Symbol<'_, unsafe extern "C" fn(*mut c_int) -> c_int> = function(driver, "cuDriverGetVersion")?;
    let get: Symbol<'_, unsafe extern "C" fn(*mut c_int, c_int) -> c_int> = function(driver, "cuDeviceGet")?;
    let name_of: Symbol<'_, unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
        function(driver, "cuDeviceGetName")?;
    let attribute: Symbol<'_, unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int> =
        function(driver, "cuDeviceGetAttribute")?;
    let retain: Symbol<'_, unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int> =
        function(driver, "cuDevicePrimaryCtxRetain")?;
    let release: Symbol<'_, unsafe extern "C" fn(c_int) -> c_int> = function(driver, "cuDevicePrimaryCtxRelease_v2")?;
    let set_current: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> c_int> = function(driver, "cuCtxSetCurrent")?;
    let memory_of: Symbol<'_, unsafe extern "C" fn(*mut usize, *mut usize) -> c_int> =
        function(driver, "cuMemGetInfo_v2")?;
    let (mut version, mut device, mut parts) = (0, 0, [0; 2]);
    let (mut context, mut free, mut total) = (std::ptr::null_mut(), 0, 0);
    let mut letters = [0 as c_char; 128];
    // SAFETY: the signatures are those of every version of the driver since CUDA 7, and all pointers are valid during the
    // calls. The context is retained between the calls that need it.
    unsafe {
        check("cuDriverGetVersion", version_of(&raw mut version))?;
        check("cuDeviceGet", get(&raw mut device, 0))?;
        check("cuDeviceGetName", name_of(letters.as_mut_ptr(), letters.len() as c_int, device))?;
        for (part, which) in parts.iter_mut().zip(CAPABILITY) {
            check("cuDeviceGetAttribute", attribute(part, which, device))?;
        }
        check("cuDevicePrimaryCtxRetain", retain(&raw mut context, device))?;
        check("cuCtxSetCurrent", set_current(context))?;
        check("cuMemGetInfo", memory_of(&raw mut free, &raw mut total))?;
        check("cuCtxSetCurrent", set_current(std::ptr::null_mut()))?;
        check("cuDevicePrimaryCtxRelease", release(device))?;
    }
    let name: Vec<u8> = letters.iter().take_while(|letter| **letter != 0).map(|letter| *letter as u8).collect();
    let version = version.unsigned_abs();
    Ok((
        String::from_utf8_lossy(&name).into_owned(),
        parts.map(c_int::unsigned_abs),
        [version / 1000, version % 1000 / 10],
        [free, total],
    ))
}

fn load(what: &'static str, names: &[&'static str]) -> Result<Library, DeviceError> {
    // SAFETY: these libraries are NVIDIA's; loading them runs their initialisers, which have no precondition.
    let library = names.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
    library.ok_or_else(|| DeviceError::MissingLibrary { what, names: names.to_vec() })
}

/// A function of the driver, of the type that its caller knows.
fn function<'a, T>(driver: &'a Library, name: &'static str) -> Result<Symbol<'a, T>, DeviceError> {
    // SAFETY: each caller names the type that the driver's documentation has for this name.
    unsafe { driver.get(name.as_bytes()) }.map_err(|_| DeviceError::MissingFunction { function: name })
}

fn check(function: &'static str, code: c_int) -> Result<(), DeviceError> {
    if code == 0 { Ok(()) } else { Err(DeviceError::Driver { function, code }) }
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
    fn a_return_code_of_the_driver_is_shown() {
        assert_eq!(check("cuInit", 100).unwrap_err().to_string(), "`cuInit` of the CUDA driver failed with code 100");
    }

    #[test]
    fn looking_returns_on_any_machine() {
        if let Err(error) = look() {
            assert!(error.to_string().contains("CUDA"), "{error}");
        }
    }
}

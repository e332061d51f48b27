//! Asks whether the card works, before any work: the driver, its memory, the compiler and its headers.
//!
//! Unsafe code: loads the driver by name and calls functions of it, whose signatures are part of its stable interface.

#![allow(unsafe_code)]

mod toolkit;

use std::ffi::{c_char, c_int, c_uint, c_void};

use libloading::{Library, Symbol};

use super::{Card, DeviceError};
use crate::device::{Gpu, Interface};

const DRIVER: &[&str] = &["libcuda.so.1", "libcuda.so"];
/// The free memory below which nothing worth a card fits, in bytes: the framework takes pages of some 100 MB.
const LEAST_FREE: usize = 512 << 20;
/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// Looks for the driver, the devices with these numbers or all, their memory, the run-time compiler and its headers, in
/// this order.
pub(super) fn look(numbers: Option<&[u16]>) -> Result<Vec<Card>, DeviceError> {
    let (driver, all) = driver()?;
    let numbers = numbers.unwrap_or(&all);
    let gpu = |number| Gpu { interface: Interface::Cuda, number: Some(number) };
    if let Some(absent) = numbers.iter().find(|number| !all.contains(number)) {
        return Err(DeviceError::NoSuchCard { gpu: gpu(*absent), names: names_of(&driver, &all)? });
    }
    let described: Vec<Described> =
        numbers.iter().map(|number| describe(&driver, *number)).collect::<Result<_, _>>()?;
    if let Some((number, (name, _, [free, total]))) =
        numbers.iter().zip(&described).find(|(_, (_, _, memory))| memory[0] < LEAST_FREE)
    {
        let (gpu, name, free, total) = (gpu(*number), name.clone(), *free, *total);
        return Err(DeviceError::TooSmall { gpu, name, free, total, least: LEAST_FREE });
    }
    let (version, toolkit) = (version(&driver)?, toolkit::found()?);
    let card = |(number, (name, capability, memory)): (&u16, Described)| Card {
        number: *number,
        name,
        capability,
        memory,
        driver: version,
        toolkit: toolkit.clone(),
    };
    Ok(numbers.iter().zip(described).map(card).collect())
}

/// Waits until a device has done all work of this process.
///
/// # Errors
/// When something has spoilt the device for this process: from then on each of its calls fails.
pub(super) fn wait(number: u16) -> Result<(), DeviceError> {
    let (driver, _) = driver()?;
    let (device, _) = identify(&driver, number)?;
    let synchronize: Symbol<'_, unsafe extern "C" fn() -> c_int> = function(&driver, "cuCtxSynchronize")?;
    // SAFETY: the signature is that of every version of the driver, and a context is current during the call.
    in_context(&driver, device, || check("cuCtxSynchronize", unsafe { synchronize() }))
}

/// The names of all devices.
pub(super) fn names() -> Result<Vec<String>, DeviceError> {
    let (driver, all) = driver()?;
    names_of(&driver, &all)
}

fn names_of(driver: &Library, numbers: &[u16]) -> Result<Vec<String>, DeviceError> {
    numbers.iter().map(|number| Ok(identify(driver, *number)?.1)).collect()
}

/// The driver, and the numbers of its devices, of which there is at least one.
fn driver() -> Result<(Library, Vec<u16>), DeviceError> {
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
    Ok((driver, (0..u16::try_from(n_devices).unwrap_or(u16::MAX)).collect()))
}

/// The version of CUDA that the driver is made for.
fn version(driver: &Library) -> Result<[u32; 2], DeviceError> {
    let version_of: Symbol<'_, unsafe extern "C" fn(*mut c_int) -> c_int> = function(driver, "cuDriverGetVersion")?;
    let mut version = 0;
    // SAFETY: the signature is that of every version of the driver, and the pointer is valid during the call.
    check("cuDriverGetVersion", unsafe { version_of(&raw mut version) })?;
    let version = version.unsigned_abs();
    Ok([version / 1000, version % 1000 / 10])
}

/// The device with this number, and its name.
fn identify(driver: &Library, number: u16) -> Result<(c_int, String), DeviceError> {
    let get: Symbol<'_, unsafe extern "C" fn(*mut c_int, c_int) -> c_int> = function(driver, "cuDeviceGet")?;
    let name_of: Symbol<'_, unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int> =
        function(driver, "cuDeviceGetName")?;
    let (mut device, mut letters) = (0, [0 as c_char; 128]);
    // SAFETY: the signatures are those of every version of the driver, and all pointers are valid during the calls.
    unsafe {
        check("cuDeviceGet", get(&raw mut device, number.into()))?;
        check("cuDeviceGetName", name_of(letters.as_mut_ptr(), letters.len() as c_int, device))?;
    }
    let name: Vec<u8> = letters.iter().take_while(|letter| **letter != 0).map(|letter| *letter as u8).collect();
    Ok((device, String::from_utf8_lossy(&name).into_owned()))
}

/// The name, capability and memory of a device.
type Described = (String, [u32; 2], [usize; 2]);

fn describe(driver: &Library, number: u16) -> Result<Described, DeviceError> {
    let (device, name) = identify(driver, number)?;
    let attribute: Symbol<'_, unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int> =
        function(driver, "cuDeviceGetAttribute")?;
    let memory_of: Symbol<'_, unsafe extern "C" fn(*mut usize, *mut usize) -> c_int> =
        function(driver, "cuMemGetInfo_v2")?;
    let mut parts = [0; 2];
    let (mut free, mut total) = (0, 0);
    for (part, which) in parts.iter_mut().zip(CAPABILITY) {
        // SAFETY: the signature is that of every version of the driver, and the pointer is valid during the call.
        check("cuDeviceGetAttribute", unsafe { attribute(part, which, device) })?;
    }
    // SAFETY: the signature is that of every version of the driver since CUDA 4, the pointers are valid during the
    // call, and a context is current.
    let ask = || check("cuMemGetInfo", unsafe { memory_of(&raw mut free, &raw mut total) });
    in_context(driver, device, ask)?;
    Ok((name, parts.map(c_int::unsigned_abs), [free, total]))
}

/// Calls the driver in the one context that all of this process share for a device.
fn in_context(
    driver: &Library,
    device: c_int,
    call: impl FnOnce() -> Result<(), DeviceError>,
) -> Result<(), DeviceError> {
    let retain: Symbol<'_, unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int> =
        function(driver, "cuDevicePrimaryCtxRetain")?;
    let release: Symbol<'_, unsafe extern "C" fn(c_int) -> c_int> = function(driver, "cuDevicePrimaryCtxRelease_v2")?;
    let set_current: Symbol<'_, unsafe extern "C" fn(*mut c_void) -> c_int> = function(driver, "cuCtxSetCurrent")?;
    let mut context = std::ptr::null_mut();
    // SAFETY: the signatures are those of every version of the driver since CUDA 7, and the pointer is valid during the
    // call. The context is retained while it is current.
    unsafe {
        check("cuDevicePrimaryCtxRetain", retain(&raw mut context, device))?;
        let called = check("cuCtxSetCurrent", set_current(context)).and_then(|()| call());
        let left = check("cuCtxSetCurrent", set_current(std::ptr::null_mut()));
        called.and(left).and(check("cuDevicePrimaryCtxRelease", release(device)))
    }
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
        for error in [look(None).err(), names().err(), wait(0).err()].into_iter().flatten() {
            assert!(error.to_string().contains("CUDA"), "{error}");
        }
    }
}

//! The cards of CUDA: found, tried, and remembered for the process.

mod ranking;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn_cuda::{Cuda, CudaDevice};

pub(super) use ranking::searcher;

pub(super) use super::probe::names;
use super::probe::{look, wait};
use super::{Card, DeviceError, present};
use crate::device::{Gpu, Interface};

/// A card as the framework names it.
pub(super) fn device(gpu: Gpu) -> CudaDevice {
    CudaDevice { index: gpu.number.unwrap_or_default().into() }
}

/// The cards with these numbers, or all of them, once each has computed something.
///
/// # Errors
/// When something is missing, or a small product is wrong.
pub(super) fn open(
    numbers: Option<&[u16]>,
    kernels: impl FnOnce(&[Card]) -> Option<PathBuf>,
) -> Result<Vec<Card>, DeviceError> {
    let mut tried = tried();
    let cards = look(numbers)?;
    present::set_up(kernels(&cards));
    for Card { number, .. } in &cards {
        let gpu = Gpu { interface: Interface::Cuda, number: Some(*number) };
        tried.entry(*number).or_insert_with(|| present::try_out::<Cuda>(gpu, &device(gpu))).clone()?;
    }
    Ok(cards)
}

/// Says whether a card can be used; one that was tried is not tried again.
///
/// # Errors
/// As [`open`].
pub(super) fn probe(gpu: Gpu) -> Result<(), DeviceError> {
    let number = gpu.number.unwrap_or_default();
    let before = tried().get(&number).cloned();
    before.unwrap_or_else(|| open(Some(&[number]), |_| None).map(drop))
}

/// Why a card is lost to this process; `None` while its driver still answers.
pub(super) fn lost(gpu: Gpu) -> Option<DeviceError> {
    match wait(gpu.number.unwrap_or_default()).err()? {
        DeviceError::Driver { function, code } => Some(DeviceError::Lost { gpu, function, code }),
        _ => None,
    }
}

/// The cards that were tried.
fn tried() -> MutexGuard<'static, BTreeMap<u16, Result<(), DeviceError>>> {
    static TRIED: Mutex<BTreeMap<u16, Result<(), DeviceError>>> = Mutex::new(BTreeMap::new());
    TRIED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The card of a search: the one that is named, or the first, if this process has opened it.
fn opened(gpu: Gpu) -> Option<Gpu> {
    let tried = tried();
    let is_open = |number: &u16| tried.get(number).is_some_and(Result::is_ok);
    let number = match gpu.number {
        Some(number) => Some(number).filter(is_open),
        None => tried.keys().copied().find(is_open),
    };
    number.map(|number| Gpu { number: Some(number), ..gpu })
}

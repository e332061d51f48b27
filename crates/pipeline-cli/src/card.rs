//! The device of a run, each card tried before any work, and the kernels that its compiler made for earlier ones.

use std::path::Path;

use pipeline_core::{Device, Digest};
use pipeline_engine::LostCards;
use pipeline_models::device::{self, Card};
use pipeline_store::{LentKernels, Store};

use crate::args::DeviceArg;
use crate::circumstances;
use crate::failure::Failure;

/// A device that works. Dropped, it leaves its kernels in the store.
pub struct Opened {
    /// The device.
    pub device: Device,
    /// The numbers of its cards; empty for the processor, and for the one that an interface prefers.
    pub cards: Vec<u16>,
    /// Those of them that this process has lost.
    pub lost: LostCards,
    kernels: Option<LentKernels>,
}

impl Opened {
    /// The device of a run that computes elsewhere.
    pub fn elsewhere(DeviceArg { device, cards }: DeviceArg) -> Self {
        let look = move |number| device::lost(pipeline_stages::device(device, number)).map(|error| error.to_string());
        Self { device, cards, lost: LostCards::new(look), kernels: None }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Kernels that cannot be kept are compiled again, and nothing else is lost.
        if let Some(kernels) = &self.kernels {
            let _ = kernels.keep();
        }
    }
}

/// The device, after checking that it works; its kernels come from `store` and return there.
///
/// # Errors
/// When it cannot be used.
pub fn open(device: DeviceArg, store: Option<&Store>) -> Result<Opened, Failure> {
    let mut opened = Opened::elsewhere(device);
    let named = Some(opened.cards.clone()).filter(|cards| !cards.is_empty());
    match opened.device {
        Device::Cuda => {
            let found = device::cards(named.as_deref(), |cards| {
                opened.kernels = store?.kernels().lend(&depends_on(cards)?).ok();
                opened.kernels.as_ref().map(|kernels| kernels.folder().to_owned())
            })?;
            opened.cards = found.into_iter().map(|card| card.number).collect();
        }
        device => {
            let numbers = named.map_or(vec![None], |cards| cards.into_iter().map(Some).collect());
            numbers.into_iter().try_for_each(|number| device::probe(pipeline_stages::device(device, number)))?;
        }
    }
    Ok(opened)
}

/// The digest of all that compiled kernels depend on: this program, the compiler, its headers and the sort of card.
/// `None` of several sorts, since the framework does not tell their kernels apart.
fn depends_on(cards: &[Card]) -> Option<Digest> {
    let card = cards.first()?;
    if cards.iter().any(|other| other.capability != card.capability) {
        return None;
    }
    let headers = &card.toolkit.headers;
    let files = [&card.toolkit.compiler, &headers.join("include/cuda_runtime.h"), &headers.join("include/crt/mma.h")];
    let files: Vec<String> = files.into_iter().map(|path| identity(path)).collect::<Option<_>>()?;
    let all = [vec![circumstances::program()?, format!("{:?} {:?}", card.capability, card.driver)], files].concat();
    Some(Digest::of(all.join("\n").as_bytes()))
}

/// A file as it is now, of which content would change its size or times.
fn identity(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(format!("{} {}", path.display(), circumstances::identity(&metadata)))
}

#[cfg(test)]
mod tests {
    use pipeline_models::device::Toolkit;

    use super::*;

    #[test]
    fn kernels_depend_on_the_card_and_on_every_file_of_the_compiler() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = folder.path().join("libnvrtc.so");
        let headers = folder.path().join("include");
        std::fs::create_dir_all(headers.join("crt")).unwrap();
        for file in [&compiler, &headers.join("cuda_runtime.h"), &headers.join("crt/mma.h")] {
            std::fs::write(file, "1").unwrap();
        }
        let toolkit = Toolkit { compiler, headers: folder.path().to_owned() };
        let card =
            Card { number: 0, name: "card".into(), capability: [9, 0], memory: [1, 1], driver: [13, 0], toolkit };
        let (same, other) = (Card { number: 1, ..card.clone() }, Card { capability: [12, 0], ..card.clone() });
        let of = |cards: &[&Card]| depends_on(&cards.iter().map(|card| (*card).clone()).collect::<Vec<_>>());
        let first = of(&[&card]).unwrap();
        assert_eq!(of(&[&card, &same]), Some(first));
        assert_ne!(of(&[&other]), Some(first));
        assert_eq!(of(&[&card, &other]), None, "one would get the kernels of the other");
        std::fs::write(headers.join("crt/mma.h"), "other").unwrap();
        assert_ne!(of(&[&card]), Some(first));
        std::fs::remove_file(headers.join("crt/mma.h")).unwrap();
        assert_eq!(of(&[&card]), None);
    }
}

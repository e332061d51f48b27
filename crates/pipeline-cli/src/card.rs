//! The device of a run, tried before any work, and the kernels that its compiler made for earlier ones.

use std::path::Path;

use pipeline_core::{Device, Digest};
use pipeline_models::device::Card;
use pipeline_store::{LentKernels, Store};

use crate::args::DeviceArg;
use crate::circumstances;
use crate::failure::Failure;

/// A device that works. Dropped, it leaves its kernels in the store.
pub struct Opened {
    /// The device.
    pub device: Device,
    kernels: Option<LentKernels>,
}

impl Opened {
    /// The device of a run that computes elsewhere.
    pub fn elsewhere(device: DeviceArg) -> Self {
        Self { device: device.device(), kernels: None }
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
    match opened.device {
        Device::Cuda => pipeline_models::device::card(|card| {
            opened.kernels = store?.kernels().lend(&depends_on(card)?).ok();
            opened.kernels.as_ref().map(|kernels| kernels.folder().to_owned())
        })
        .map(drop)?,
        device => pipeline_models::device::probe(pipeline_stages::device(device))?,
    }
    Ok(opened)
}

/// The digest of all that compiled kernels depend on: this program, the compiler, its headers and the card.
fn depends_on(card: &Card) -> Option<Digest> {
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
        let card = Card { name: "card".into(), capability: [9, 0], memory: [1, 1], driver: [13, 0], toolkit };
        let first = depends_on(&card).unwrap();
        assert_eq!(depends_on(&card), Some(first));
        assert_ne!(depends_on(&Card { capability: [12, 0], ..card.clone() }), Some(first));
        std::fs::write(headers.join("crt/mma.h"), "other").unwrap();
        assert_ne!(depends_on(&card), Some(first));
        std::fs::remove_file(headers.join("crt/mma.h")).unwrap();
        assert_eq!(depends_on(&card), None);
    }
}

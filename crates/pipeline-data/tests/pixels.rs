//! Every kind of image file against what Pillow made of it.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_data::{Filter, RgbImage, decode, resize};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What Pillow made of one file.
#[derive(Deserialize)]
struct Golden {
    error: Option<String>,
    #[serde(default)]
    size: [u32; 2],
    #[serde(default)]
    rgb_sha256: String,
    #[serde(default)]
    bilinear_sha256: String,
    #[serde(default)]
    bicubic_sha256: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn goldens() -> BTreeMap<String, Golden> {
    let goldens = std::fs::read_to_string(fixtures().join("goldens/images.json")).unwrap();
    serde_json::from_str(&goldens).unwrap()
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("images").join(name)).unwrap()
}

fn sha256(image: &RgbImage) -> String {
    Sha256::digest(&image.pixels).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_are_accepted_and_refused_as_by_pillow() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 52);
    for (name, golden) in goldens {
        let decoded = decode(&read(&name));
        let size = decoded.as_ref().ok().map(|image| [image.width, image.height]);
        assert_eq!(size, golden.error.is_none().then_some(golden.size), "{name}: {decoded:?}");
    }
}

#[test]
fn pixels_are_those_of_pillow_before_and_after_resizing() {
    let goldens = goldens();
    let mut differing = Vec::new();
    for (name, golden) in goldens.iter().filter(|(_, golden)| golden.error.is_none()) {
        let image = decode(&read(name)).unwrap();
        let resized = |filter| sha256(&resize(&image, 224, 224, filter));
        let is_equal = [
            sha256(&image) == golden.rgb_sha256,
            resized(Filter::Bilinear) == golden.bilinear_sha256,
            resized(Filter::Bicubic) == golden.bicubic_sha256,
        ];
        if is_equal != [true; 3] {
            differing.push((name.as_str(), is_equal));
        }
    }
    assert_eq!(differing, []);
}

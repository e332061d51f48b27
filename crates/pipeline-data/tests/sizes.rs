//! Images of any shape brought to a size, and transparent ones laid on a colour, compared with Pillow.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_data::{
    Alpha, CropOffset, DECODER_BYTES, Filter, Fit, Limits, Memory, RgbImage, Target, decode_base64, decode_within,
};
use sha2::{Digest, Sha256};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn lines(name: &str) -> String {
    std::fs::read_to_string(fixtures().join("goldens").join(name)).unwrap()
}

fn sha256(image: &RgbImage) -> String {
    Sha256::digest(&image.pixels).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Noise, as the maker of the goldens draws it.
fn drawn(width: u32, height: u32, mut seed: u32) -> RgbImage {
    let level = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    RgbImage { width, height, pixels: (0..width * height * 3).map(level).collect() }
}

#[test]
fn any_size_filter_and_fit_gives_the_pixels_of_pillow() {
    let filters = BTreeMap::from([
        ("box", Filter::Box),
        ("bilinear", Filter::Bilinear),
        ("hamming", Filter::Hamming),
        ("bicubic", Filter::Bicubic),
        ("lanczos", Filter::Lanczos),
    ]);
    let mut differing = Vec::new();
    for line in lines("resizes.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| fields[place].parse::<u32>().unwrap();
        let fit = match fields[4] {
            "squash" => Fit::Squash,
            "down" => Fit::Crop { edge: number(5), offset: CropOffset::Down },
            _ => Fit::Crop { edge: number(5), offset: CropOffset::HalfEven },
        };
        let target = Target { width: number(6), height: number(7), filter: filters[fields[3]], fit };
        if sha256(&target.of(&drawn(number(0), number(1), number(2)))) != fields[8] {
            differing.push(line.to_owned());
        }
    }
    assert_eq!(differing, [""; 0]);
}

/// A strip of which the middle is a thousandth: nothing of the rest is computed or kept.
#[test]
fn a_crop_of_a_long_strip_needs_little_memory() {
    let path = fixtures().join("images/4000x10.png");
    let bytes = std::fs::read(path).unwrap();
    let fit = Fit::Crop { edge: 4096, offset: CropOffset::Down };
    let target = Target { width: 224, height: 224, filter: Filter::Lanczos, fit };
    let memory = Memory::new(1 << 20);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let (size, image) = decode_within(&bytes, Some(target), Alpha::Drop, limits).unwrap();
    assert_eq!((size, image.width, image.height), ((4000, 10), 224, 224));
    let whole = decode_within(&bytes, Some(Target { fit: Fit::Squash, width: 4096, ..target }), Alpha::Drop, limits);
    assert!(whole.is_err(), "the whole width needs more than this");
}

#[test]
fn transparent_pixels_are_laid_on_white_and_black_as_by_transformers() {
    let memory = Memory::new(DECODER_BYTES);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let odd = std::fs::read_to_string(fixtures().join("odd_images.tsv")).unwrap();
    let odd: BTreeMap<&str, &str> = odd.lines().filter_map(|line| line.split_once('\t')).collect();
    let mut differing = Vec::new();
    for (line_idx, line) in lines("transparency.tsv").lines().enumerate() {
        let [name, base64, white, black] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = match odd.get(name) {
            Some(odd) => decode_base64(odd.split('\t').next().unwrap().as_bytes()).unwrap(),
            None if base64.is_empty() => std::fs::read(fixtures().join("images").join(name)).unwrap(),
            None => decode_base64(base64.as_bytes()).unwrap(),
        };
        for (alpha, expected) in [(Alpha::White, white), (Alpha::Black, black)] {
            let found = decode_within(&bytes, None, alpha, limits).map(|(_, image)| sha256(&image));
            if found.as_deref() != Ok(expected) {
                differing.push(format!("line {line_idx}, {name}, {alpha:?}"));
            }
        }
    }
    assert_eq!(differing, [""; 0]);
}

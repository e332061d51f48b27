//! Every kind of image file, compared with Pillow.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_data::{DecodeError, Filter, Format, RgbImage, decode, resize};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Pillow's result for one file.
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
    let goldens = std::fs::read_to_string(fixtures().join("goldens/images.json")).expect("a fixture");
    serde_json::from_str(&goldens).expect("golden values")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("images").join(name)).expect("a fixture")
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

/// Pillow writes no such files, but reads them: the hashes are those of Pillow 13.0.0.
#[test]
fn rare_chroma_samplings_and_damaged_data_give_the_pixels_of_pillow() {
    let resampled = |name: &str, [height, width]: [u8; 2], sampling: u8| {
        let mut bytes = read(name);
        let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0, height, 0, width]);
        bytes[frame + 11] = sampling;
        bytes
    };
    let mut damaged = read("444.jpg");
    damaged[1500] ^= 0x10;
    let files = [
        (resampled("422.jpg", [48, 40], 0x12), "4abd9a01bfd1340fa9874a43fdad338564772512233efccc0e792bb3a4e1b586"),
        (resampled("420.jpg", [24, 96], 0x41), "79cf287d82d700881a486f086648f8808464492268abf3bd5a084a22bc2692f5"),
        (damaged, "2c6691431c04eddb1da992c71f1cc124ff2fa2a661b8ebf6b1ef0292b9fd8bf9"),
    ];
    for (bytes, expected) in files {
        assert_eq!(sha256(&decode(&bytes).unwrap()), expected);
    }
}

#[test]
fn no_cut_and_no_flipped_bit_breaks_a_decoder_down() {
    for name in goldens().into_keys().filter(|name| !name.starts_with("bomb")) {
        let bytes = read(&name);
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 40) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            for damaged in [&bytes[..at], &flipped[..]] {
                let decoded = decode(damaged);
                assert!(!matches!(decoded, Err(DecodeError::Panicked { .. })), "{name} at {at}");
            }
        }
    }
}

/// libjpeg reads ahead: whether it detects the end of a file depends on its position within eight bytes. So it does in
/// Pillow 13.0.0 with these files.
#[test]
fn a_file_without_an_end_marker_is_read_if_some_bytes_follow_its_pixels() {
    for (name, n_needed) in [("420.jpg", 5), ("422.jpg", 6)] {
        let bytes = read(name);
        let whole = decode(&bytes);
        for n_bytes in 0..16 {
            let mut longer = bytes.strip_suffix(&[0xff, 0xd9]).unwrap().to_vec();
            longer.extend(vec![0x55; n_bytes]);
            let expected =
                if n_bytes >= n_needed { whole.clone() } else { Err(DecodeError::Truncated { format: Format::Jpeg }) };
            assert!(decode(&longer) == expected, "{name} and {n_bytes} bytes");
        }
    }
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let start = std::time::Instant::now();
    let refused = decode(&read("bomb_20000x20000.png"));
    assert_eq!(refused, Err(DecodeError::Size { width: 20_000, height: 20_000 }));
    assert!(start.elapsed() < std::time::Duration::from_millis(500), "nothing is decompressed");
}

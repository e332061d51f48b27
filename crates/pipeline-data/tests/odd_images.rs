//! Rare, damaged and hostile image files: Pillow's pixels, or a reason; never other pixels.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pipeline_data::{
    Alpha, CropOffset, DECODER_BYTES, DecodeError, Filter, Fit, Limits, Memory, RgbImage, Target, decode,
    decode_base64, decode_on_white, decode_within,
};
use sha2::{Digest, Sha256};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files by name, each with Pillow 13's result.
fn files() -> BTreeMap<String, (Vec<u8>, String)> {
    let lines = std::fs::read_to_string(root().join("tests/fixtures/odd_images.tsv")).unwrap();
    let file = |line: &str| {
        let [name, base64, pillow] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (name.to_owned(), (decode_base64(base64.as_bytes()).unwrap(), pillow.to_owned()))
    };
    lines.lines().map(file).collect()
}

fn described(image: &RgbImage) -> String {
    let digest: String = Sha256::digest(&image.pixels).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("ok {} {} {digest}", image.width, image.height)
}

/// The names in the first column of the table under a heading of `docs/reference/images.md`.
fn listed(heading: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/reference/images.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    names.map(|name| name.trim().trim_matches('`').to_owned()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_file_has_the_pixels_of_pillow_or_is_listed_in_the_documentation() {
    let (mut refused_here, mut taken_here, mut others) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (name, (bytes, pillow)) in files() {
        match decode(&bytes) {
            Ok(image) if pillow.starts_with("ok") => {
                if described(&image) != pillow {
                    others.push(name);
                }
            }
            Ok(_) => drop(taken_here.insert(name)),
            Err(error) => {
                assert!(!matches!(error, DecodeError::Panicked { .. }), "{name}");
                if pillow.starts_with("ok") {
                    refused_here.insert(name);
                }
            }
        }
    }
    assert_eq!(others, [""; 0]);
    assert_eq!(refused_here, listed("Read by Pillow, refused here"));
    assert_eq!(taken_here, listed("Refused by Pillow, read here"));
}

#[test]
fn a_resize_while_decoding_is_a_resize_afterwards() {
    let memory = Memory::new(DECODER_BYTES);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    for (name, (bytes, _)) in files() {
        let Ok(image) = decode(&bytes) else { continue };
        let crop = Fit::Crop { edge: 12, offset: CropOffset::Down };
        for (width, height, filter, fit) in [
            (7, 5, Filter::Bilinear, Fit::Squash),
            (100, 3, Filter::Bicubic, Fit::Squash),
            (2, 90, Filter::Bilinear, Fit::Squash),
            (10, 14, Filter::Bicubic, crop),
        ] {
            let target = Target { width, height, filter, fit };
            let (size, small) = decode_within(&bytes, Some(target), Alpha::Drop, limits).unwrap();
            assert_eq!(size, (image.width, image.height));
            assert_eq!(small, target.of(&image), "{name} to {width} x {height}");
        }
    }
}

#[test]
fn every_cut_and_many_changed_bytes_are_an_image_or_a_reason() {
    for (name, (bytes, _)) in files().into_iter().filter(|(_, (bytes, _))| bytes.len() < 8_000) {
        for at in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            for damaged in [&bytes[..at], &changed[..]] {
                let decoded = decode(damaged);
                assert!(!matches!(decoded, Err(DecodeError::Panicked { .. })), "{name} at {at}");
            }
        }
    }
}

#[test]
fn an_image_that_needs_too_much_memory_is_refused_with_its_size_and_the_limit() {
    let bytes = std::fs::read(root().join("tests/fixtures/images/444.jpg")).unwrap();
    let memory = Memory::new(1 << 12);
    let refused =
        decode_within(&bytes, None, Alpha::Drop, Limits { memory: &memory, is_cancelled: &|| false }).unwrap_err();
    let expected = "the JPEG file of 48 x 40 pixels needs 1 MiB to decode, more than the limit of 0 MiB";
    assert_eq!(refused.to_string(), expected);
    let stopped = decode_within(
        &bytes,
        None,
        Alpha::Drop,
        Limits { memory: &Memory::new(DECODER_BYTES), is_cancelled: &|| true },
    );
    assert_eq!(stopped.unwrap_err(), DecodeError::Cancelled);
}

/// 13,377² pixels fit in any format that is stored by rows; the frame of a progressive JPEG does not.
#[test]
fn large_files_that_are_stored_by_rows_need_little_memory() {
    let memory = Memory::new(64 << 20);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let small = Some(Target { width: 224, height: 224, filter: Filter::Bilinear, fit: Fit::Squash });
    let mut png = files()["png_text"].0.clone();
    png[16..24].copy_from_slice(&[0, 0, 0x34, 0x41, 0, 0, 0x34, 0x41]);
    let checksum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(decode_within(&png, small, Alpha::Drop, limits), Err(DecodeError::Truncated { .. })));
    let mut jpeg = std::fs::read(root().join("tests/fixtures/images/progressive.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc2]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x34, 0x41, 0x34, 0x41]);
    let memory = Memory::new(DECODER_BYTES);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    assert!(matches!(decode_within(&jpeg, small, Alpha::Drop, limits), Err(DecodeError::Memory { .. })));
}

#[test]
fn what_is_transparent_is_white_for_people_to_look_at() {
    let files = files();
    let memory = Memory::new(DECODER_BYTES);
    let limits = Limits { memory: &memory, is_cancelled: &|| false };
    let images = root().join("tests/fixtures/images");
    let mut shown: Vec<Vec<u8>> =
        ["rgba_hidden_colour.png", "gray_alpha.png", "lossless_alpha.webp", "gray_alpha16.png"]
            .map(|name| std::fs::read(images.join(name)).unwrap())
            .to_vec();
    shown.push(files["gif_frame_inside_transparent"].0.clone());
    shown.push(files["webp_animated_small_first_frame"].0.clone());
    for (file_idx, bytes) in shown.iter().enumerate() {
        let image = decode_on_white(bytes, limits).unwrap();
        assert_eq!(image.pixels[..3], [255; 3], "file {file_idx}");
        assert_ne!(image, decode(bytes).unwrap(), "file {file_idx}");
    }
    let opaque = std::fs::read(images.join("420.jpg")).unwrap();
    assert_eq!(decode_on_white(&opaque, limits).unwrap(), decode(&opaque).unwrap());
}

#[test]
fn files_that_people_take_for_images_are_named() {
    let files = files();
    let named = [
        ("foreign_avif", "an AVIF image, which is not read here: convert it to PNG, WebP or JPEG"),
        ("foreign_html", "a web page, which is not read here: convert it to PNG, WebP or JPEG"),
        ("foreign_jpeg2000", "a JPEG 2000 image, which is not read here: convert it to PNG, WebP or JPEG"),
        ("foreign_json", "not an image of a known kind"),
    ];
    for (name, reason) in named {
        assert_eq!(decode(&files[name].0).unwrap_err().to_string(), reason);
    }
}

//! The image encoder against PyTorch's goldens.

use super::*;
use crate::weights::fixtures;
use crate::weights::made::{self, Item, Made};

mod bits;

/// PyTorch itself differs by up to 6.2e-6 between batch sizes and threads.
const TOLERANCE: f32 = 1e-5;

const IMAGES: [&str; 8] =
    ["10x4000.png", "223x225.png", "2x3.png", "4000x10.png", "420.jpg", "448x448.png", "odd_17x13.jpg", "rgb.png"];

fn tiny_files() -> ImageModelFiles {
    let folder = fixtures::path("tiny/resnet").canonicalize().unwrap();
    find_image_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap()
}

/// The weights of the tiny model.
pub(crate) fn tiny_weights() -> ResNetWeights {
    let files = tiny_files();
    ResNetWeights::read(&files, &ResNetConfig::read(&files).unwrap(), MapPooling::Mean).unwrap()
}

fn pixels() -> Vec<Vec<u8>> {
    IMAGES.iter().map(|name| fixtures::pixels(&format!("goldens/images/{name}.bilinear.png"))).collect()
}

fn encode(encoder: &ImageEncoder, pixels: &[Vec<u8>], n_threads: usize) -> Matrix {
    let pixels: Vec<&[u8]> = pixels.iter().map(Vec::as_slice).collect();
    encoder.encode(&pixels, 224, 224, n_threads).unwrap()
}

#[test]
fn features_are_those_of_pytorch() {
    let golden = fixtures::tensors("goldens/image_features.safetensors");
    let features = encode(&ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap(), &pixels(), 2);
    let mut difference = 0f32;
    for (image_idx, name) in IMAGES.iter().enumerate() {
        let expected = &golden[&format!("{name}.bilinear")].values;
        difference = difference.max(fixtures::max_difference(features.row(image_idx), expected));
    }
    assert!(difference <= TOLERANCE, "largest difference of ResNet features to PyTorch: {difference:e}");
    report("ResNet features to PyTorch", difference);
}

#[test]
fn features_are_those_of_the_framework() {
    let encoder = ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap();
    let reference = ImageEncoder {
        forward: gpu::reference::load(tiny_weights()),
        ..ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap()
    };
    // The last of three batches is smaller.
    let many: Vec<Vec<u8>> = pixels().into_iter().cycle().take(17).collect();
    let (own, expected) = (encode(&encoder, &many, 2), encode(&reference, &many, 2));
    let difference = fixtures::max_difference(&own.values, &expected.values);
    assert!(difference <= TOLERANCE, "{difference:e}");
}

#[test]
fn neither_threads_nor_batch_mates_change_a_bit() {
    let encoder = ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap();
    let many: Vec<Vec<u8>> = pixels().into_iter().cycle().take(20).collect();
    let together = encode(&encoder, &many, 1);
    assert_eq!(together, encode(&encoder, &many, 3));
    for (image_idx, rgb) in many.iter().enumerate().take(IMAGES.len()) {
        let alone = encode(&encoder, std::slice::from_ref(rgb), 1);
        assert_eq!(alone.row(0), together.row(image_idx), "{}", IMAGES[image_idx]);
    }
}

#[test]
fn images_may_have_any_size() {
    let encoder = ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap();
    for (height, width) in [(1, 1), (33, 50), (160, 96)] {
        let rgb = vec![100; height * width * 3];
        let features = encoder.encode(&[&rgb], height, width, 1).unwrap();
        assert_eq!((features.n_rows, features.n_cols), (1, 128));
    }
}

#[test]
fn no_images_give_no_rows() {
    let features = encode(&ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap(), &[], 2);
    assert_eq!((features.n_rows, features.n_cols), (0, 128));
}

/// Shown with `cargo test -- --nocapture`.
fn report(what: &str, difference: f32) {
    eprintln!("largest difference of {what}: {difference:e}");
}

type Tensors = std::collections::BTreeMap<String, crate::weights::PlainTensor>;

/// Loads the tiny model after `edit` has changed its tensors.
fn load_edited(edit: impl Fn(Tensors) -> Tensors) -> Result<ImageEncoder, ModelError> {
    let folder = fixtures::folder_without_weights("tiny/resnet");
    let tensors = fixtures::tensors("tiny/resnet/resnet.pth");
    fixtures::write(&folder.path().join("model.safetensors"), &edit(tensors));
    ImageEncoder::load(&find_image_model(folder.path().to_str().unwrap(), &ModelSearch::default())?, Device::Cpu)
}

/// The name of a tensor in transformers' `ResNetForImageClassification`.
fn transformers_name(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |text: &str, prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.parse::<usize>().ok());
    let kind = |part: &str| if part.starts_with("conv") || part == "0" { "convolution" } else { "normalization" };
    match parts[..] {
        ["fc", field] => format!("classifier.1.{field}"),
        [part, field] => format!("resnet.embedder.embedder.{}.{field}", kind(part)),
        [layer, block, "downsample", part, field] => {
            let stage = number(layer, "layer").unwrap() - 1;
            format!("resnet.encoder.stages.{stage}.layers.{block}.shortcut.{}.{field}", kind(part))
        }
        [layer, block, part, field] => {
            let stage = number(layer, "layer").unwrap() - 1;
            let conv = number(part, "conv").or(number(part, "bn")).unwrap() - 1;
            format!("resnet.encoder.stages.{stage}.layers.{block}.layer.{conv}.{}.{field}", kind(part))
        }
        _ => panic!("{name}"),
    }
}

fn rename(tensors: Tensors, name: impl Fn(&str) -> String) -> Tensors {
    tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect()
}

#[test]
fn every_dialect_of_checkpoint_gives_the_same_features() {
    let image = [pixels().pop().unwrap()];
    let expected = encode(&ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap(), &image, 1);
    for (dialect, encoder) in [
        ("torchvision's pickle", load_edited(|tensors| tensors)),
        ("transformers", load_edited(|tensors| rename(tensors, transformers_name))),
        ("saved from several devices", load_edited(|tensors| rename(tensors, |name| format!("module.{name}")))),
    ] {
        assert_eq!(encode(&encoder.unwrap(), &image, 1), expected, "{dialect}");
    }
}

/// A state dict in the memory format `channels_last`, whose memory order PyTorch saves.
fn channels_last(tensors: &Tensors) -> (Vec<(&'static str, Vec<u8>)>, Item<'_>) {
    let (mut storages, mut items) = (Vec::new(), Vec::new());
    for (name, tensor) in tensors {
        let shape: Vec<u64> = tensor.shape.iter().map(|length| *length as u64).collect();
        let place = if let &[n_out, n_in, height, width] = shape.as_slice() {
            let strides = vec![n_in * height * width, 1, n_in * width, n_in];
            let taps = (height * width) as usize;
            let kernels = tensor.values.chunks_exact(n_in as usize * taps);
            let values = kernels.flat_map(|kernel| (0..taps).flat_map(|tap| kernel[tap..].iter().step_by(taps)));
            storages.push(("FloatStorage", values.flat_map(|value| value.to_le_bytes()).collect()));
            assert_eq!(shape[0], n_out);
            Item::Tensor { storage_idx: storages.len() - 1, offset: 0, shape, strides }
        } else {
            storages.push(("FloatStorage", made::bytes(&tensor.values)));
            made::whole(storages.len() - 1, &shape)
        };
        items.push((name.as_str(), place));
    }
    (storages, Item::Dict(items))
}

#[test]
fn a_training_checkpoint_in_channels_last_gives_the_same_features() {
    let image = [pixels().pop().unwrap()];
    let expected = encode(&ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap(), &image, 1);
    let tensors = rename(fixtures::tensors("tiny/resnet/resnet.pth"), |name| format!("module.backbone.{name}"));
    let (storages, model) = channels_last(&tensors);
    let root =
        Item::Dict(vec![("epoch", Item::Raw(b"K\x03")), ("optimizer", Item::Raw(b"}(K\x00}u")), ("model", model)]);
    let made = Made { storages, root };
    let folder = fixtures::folder_without_weights("tiny/resnet");
    for checkpoint in [made.zip(), made.legacy()] {
        std::fs::write(folder.path().join("model.pth"), checkpoint).unwrap();
        let files = find_image_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
        assert_eq!(encode(&ImageEncoder::load(&files, Device::Cpu).unwrap(), &image, 1), expected);
        let note = "weights from `model`, `module.` and `backbone.` taken off the names of weights";
        assert_eq!(image_weights_note(&files).unwrap().place.unwrap(), note);
    }
    assert_eq!(image_weights_note(&tiny_files()).unwrap(), WeightsNote::default());
}

#[test]
fn shallow_resnets_of_basic_blocks_are_computed_too() {
    // Saved in PyTorch's format before 1.6.
    let folder = fixtures::path("tiny/resnet_basic").canonicalize().unwrap();
    let files = find_image_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap();
    let encoder = ImageEncoder::load(&files, Device::Cpu).unwrap();
    let level = |y: usize, x: usize, channel: usize| ((7 * y * y + 13 * x * (channel + 1) + 5 * channel) % 256) as u8;
    let places = (0..64).flat_map(|y| (0..48).map(move |x| (y, x)));
    let rgb: Vec<u8> = places.flat_map(|(y, x)| (0..3).map(move |channel| level(y, x, channel))).collect();
    let features = encoder.encode(&[&rgb], 64, 48, 1).unwrap();
    let golden = &fixtures::tensors("goldens/resnet_basic_features.safetensors")["features"];
    let difference = fixtures::max_difference(&features.values, &golden.values);
    assert!(difference <= TOLERANCE, "{difference:e}");
    report("basic blocks to PyTorch", difference);
}

#[test]
fn another_variant_of_resnet_is_refused_with_the_names_of_its_tensors() {
    let deep_stem =
        |tensors| rename(tensors, |name| if name == "conv1.weight" { "conv1.0.weight" } else { name }.into());
    let error = load_edited(deep_stem).err().unwrap().to_string();
    assert!(error.contains("`conv1.weight` is missing"), "{error}");
    let squeeze = |mut tensors: Tensors| {
        let extra = tensors["fc.bias"].clone();
        tensors.insert("layer1.0.se.fc1.bias".into(), extra);
        tensors
    };
    let error = load_edited(squeeze).err().unwrap().to_string();
    assert!(error.contains("`layer1.0.se.fc1.bias` is not known in this model"), "{error}");
}

#[test]
fn a_block_that_the_configuration_names_and_the_weights_lack_is_an_error() {
    let lose = |tensors: Tensors| tensors.into_iter().filter(|(name, _)| !name.starts_with("layer2.1.")).collect();
    let error = load_edited(lose).err().unwrap().to_string();
    assert!(error.contains("`layer2.1.conv1.weight` is missing"), "{error}");
}

#[test]
fn a_damaged_batch_norm_is_an_error() {
    let damage = |mut tensors: Tensors| {
        tensors.get_mut("bn1.running_var").unwrap().values[0] = -1.0;
        tensors.get_mut("layer3.0.bn2.weight").unwrap().values[0] = f32::INFINITY;
        tensors
    };
    let error = load_edited(damage).err().unwrap().to_string();
    assert!(error.contains("`bn1.running_var` has a negative value"), "{error}");
    assert!(error.contains("`layer3.0.bn2.weight` has a value that is not finite"), "{error}");
}

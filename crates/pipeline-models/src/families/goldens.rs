//! Every family against its own library: features in f64, from the ids and the levels that the library had.

pub(crate) mod tokens;

use std::path::Path;

use pipeline_data::Filter;
use pipeline_kernels::InstructionSet;
use serde_json::{Map, Value};

use super::pooling::{ImagePooling, Pooling};
use super::reader::{ImageReader, TextReader};
use super::{bert, clip, convnext, siglip, vit};
use crate::forward::pixels::{Images, PixelTable};
use crate::forward::{ImageForward, TextForward};
use crate::gpu;
use crate::tower::cpu::{CpuImageTower, CpuTextTower};
use crate::weights::{fixtures, open, read_config};

mod settings;

/// The largest distance of a row from the library's in f64, over the row's length: a wrong epsilon gives 5e-6.
const TOLERANCE: f64 = 3e-6;

/// Mean and deviation of CLIP's pixels.
pub(super) const CLIP: [[f32; 3]; 2] =
    [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]];
const HALF: [[f32; 3]; 2] = [[0.5; 3]; 2];
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

pub(super) fn path(name: &str) -> std::path::PathBuf {
    fixtures::path(&format!("ladder/{name}"))
}

pub(super) fn config(path: &Path) -> Map<String, Value> {
    read_config(path).unwrap()
}

pub(super) fn golden_json(model: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(&format!("{model}.json"))).unwrap()).unwrap()
}

/// The largest distance of a row from the expected one, over the length of that.
fn distance(found: &[f32], expected: &[f32], n_rows: usize) -> f64 {
    assert_eq!(found.len(), expected.len());
    let width = found.len() / n_rows;
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let rows = found.chunks_exact(width).zip(expected.chunks_exact(width)).map(|(found, expected)| {
        let differences = &mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b));
        length(differences) / length(&mut expected.iter().map(|value| f64::from(*value)))
    });
    rows.fold(0.0, f64::max)
}

fn check_texts(model: &str, weights: &str, key: &str, reader: &TextReader) {
    let golden = fixtures::tensors(&format!("ladder/{model}.safetensors"));
    let ids: Vec<Vec<u32>> = serde_json::from_value(golden_json(model)["text"]["ids"].clone()).unwrap();
    let reference = gpu::reference::load::<dyn TextForward>(reader.tower(&[path(model).join(weights)]).unwrap());
    check_texts_of_reference(model, key, &ids, &*reference);
    for instructions in InstructionSet::available() {
        let tower = CpuTextTower::new(reader.tower(&[path(model).join(weights)]).unwrap(), instructions);
        let together = tower.forward(&ids.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(together.len(), ids.len() * reader.dim, "{model} {key}");
        let found = distance(&together, &golden[&format!("{key}_f64")].values, ids.len());
        assert!(found <= TOLERANCE, "{model} {key}, {instructions:?}: {found:e}");
        for (text_idx, ids) in ids.iter().enumerate() {
            let alone = tower.forward(&[ids]);
            let row = &together[text_idx * reader.dim..][..reader.dim];
            assert_eq!(fixtures::bits(&alone), fixtures::bits(row), "{model} {key}, text {text_idx} alone");
        }
    }
}

/// The same by the code for devices, on a backend for processors.
fn check_texts_of_reference(model: &str, key: &str, ids: &[Vec<u32>], forward: &dyn TextForward) {
    let golden = fixtures::tensors(&format!("ladder/{model}.safetensors"));
    let found = distance(&forward.forward(ids, 5, 1).unwrap(), &golden[&format!("{key}_f64")].values, ids.len());
    assert!(found <= TOLERANCE, "{model} {key}, reference: {found:e}");
}

fn check_images_of_reference(model: &str, key: &str, [mean, std]: [[f32; 3]; 2], forward: &dyn ImageForward) {
    let golden = fixtures::tensors(&format!("ladder/{model}.safetensors"));
    let (levels, [n_images, height, width]) = levels(model, key);
    let pixels: Vec<&[u8]> = levels.chunks_exact(height * width * 3).collect();
    let table = &PixelTable::new(1.0 / 255.0, mean, std);
    let features = forward.forward(&Images { pixels: &pixels, height, width, table }, 1).unwrap();
    let found = distance(&features, &golden[&format!("{key}_f64")].values, n_images);
    assert!(found <= TOLERANCE, "{model} {key}, reference: {found:e}");
}

fn check_images(model: &str, weights: &str, key: &str, normalized: [[f32; 3]; 2], reader: &ImageReader) {
    let reference = gpu::reference::load::<dyn ImageForward>(reader.tower(&[path(model).join(weights)]).unwrap());
    check_images_of_reference(model, key, normalized, &*reference);
    for instructions in InstructionSet::available() {
        let tower = CpuImageTower::new(reader.tower(&[path(model).join(weights)]).unwrap(), instructions);
        let forward = |pixels: &[f32], height, width| tower.forward(pixels, height, width);
        check_pixels(model, key, normalized, reader.dim, &forward);
    }
}

/// Pixels, their height and width to features.
type Forward<'a> = dyn Fn(&[f32], usize, usize) -> Vec<f32> + 'a;

/// The features of all images of a model together, and of each alone.
fn check_pixels(model: &str, key: &str, [mean, std]: [[f32; 3]; 2], dim: usize, forward: &Forward<'_>) {
    let golden = fixtures::tensors(&format!("ladder/{model}.safetensors"));
    let (levels, [n_images, height, width]) = levels(model, key);
    let pixel = |(idx, level): (usize, &u8)| (f32::from(*level) / 255.0 - mean[idx % 3]) / std[idx % 3];
    let pixels: Vec<f32> = levels.iter().enumerate().map(pixel).collect();
    let together = forward(&pixels, height, width);
    assert_eq!(together.len(), n_images * dim, "{model} {key}");
    let found = distance(&together, &golden[&format!("{key}_f64")].values, n_images);
    assert!(found <= TOLERANCE, "{model} {key}: {found:e}");
    for (image_idx, pixels) in pixels.chunks_exact(height * width * 3).enumerate() {
        let alone = forward(pixels, height, width);
        let row = &together[image_idx * dim..][..dim];
        assert_eq!(fixtures::bits(&alone), fixtures::bits(row), "{model} {key}, image {image_idx} alone");
    }
}

/// Levels of all images for an output of a model, and their number, height and width.
pub(super) fn levels(model: &str, key: &str) -> (Vec<u8>, [usize; 3]) {
    if key.ends_with("_other_size") {
        return levels_of_other_size(model);
    }
    let bytes = std::fs::read(path(&format!("{model}.safetensors"))).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("levels").unwrap();
    (tensor.data().to_vec(), [tensor.shape()[0], tensor.shape()[1], tensor.shape()[2]])
}

/// The images squashed by the model's own filter to the size that its golden has beside the model's own.
fn levels_of_other_size(model: &str) -> (Vec<u8>, [usize; 3]) {
    let other = golden_json(model)["other_size"].clone();
    let side = |name: &str| other[name].as_u64().unwrap() as u32;
    let (height, width) = (side("height"), side("width"));
    let filter = match config(&path(model).join("preprocessor_config.json"))["resample"].as_u64().unwrap() {
        2 => Filter::Bilinear,
        3 => Filter::Bicubic,
        other => panic!("resample {other}"),
    };
    let mut files: Vec<_> = std::fs::read_dir(path("images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let resized = |file: &std::path::PathBuf| {
        let image = pipeline_data::decode(&std::fs::read(file).unwrap()).unwrap();
        pipeline_data::resize(&image, width, height, filter).pixels
    };
    (files.iter().flat_map(resized).collect(), [files.len(), height as usize, width as usize])
}

#[test]
fn images_of_another_size_than_the_models_own() {
    let file = |model: &str| path(model).join("config.json");
    let (chinese, siglip, vit) = (file("chinese_clip"), file("siglip2"), file("vit_hf"));
    for (model, key, normalized, reader) in [
        ("chinese_clip", "image_projected", CLIP, clip::hub::image(&config(&chinese), &chinese, None).unwrap()),
        ("siglip2", "image_projected", HALF, siglip::image(&config(&siglip), &siglip, None).unwrap()),
        ("vit_hf", "image_cls", HALF, vit::hub::vit(&config(&vit), &vit, None).unwrap()),
    ] {
        check_images(model, "model.safetensors", &format!("{key}_other_size"), normalized, &reader);
    }
}

#[test]
fn clip_and_chinese_clip_of_transformers() {
    let file = |model: &str| path(model).join("config.json");
    let (chinese, clip) = (file("chinese_clip"), file("clip"));
    for (pooling, key) in [(Pooling::Projected, "projected"), (Pooling::Cls, "cls"), (Pooling::Mean, "mean")] {
        let reader = clip::chinese::text(&config(&chinese), &chinese, Some(pooling)).unwrap();
        check_texts("chinese_clip", "model.safetensors", &format!("text_{key}"), &reader);
    }
    for (pooling, key) in [(Pooling::Projected, "projected"), (Pooling::Pooler, "pooler")] {
        let reader = clip::hub::text(&config(&clip), &clip, Some(pooling)).unwrap();
        check_texts("clip", "model.safetensors", &format!("text_{key}"), &reader);
    }
    for (model, path) in [("chinese_clip", &chinese), ("clip", &clip)] {
        for (pooling, key) in [(ImagePooling::Projected, "projected"), (ImagePooling::Cls, "pooler")] {
            let reader = clip::hub::image(&config(path), path, Some(pooling)).unwrap();
            check_images(model, "model.safetensors", &format!("image_{key}"), CLIP, &reader);
        }
    }
}

/// transformers takes the whole configuration of a tower from there, whatever the other one says.
#[test]
fn an_early_second_configuration_of_a_tower_is_preferred() {
    let file = path("clip").join("config.json");
    let mut early = config(&file);
    for (usual, name) in [("text_config", "text_config_dict"), ("vision_config", "vision_config_dict")] {
        let part = early.insert(usual.to_owned(), serde_json::json!({"hidden_size": 8})).unwrap();
        early.insert(name.to_owned(), part);
    }
    let text = clip::hub::text(&early, &file, None).unwrap();
    check_texts("clip", "model.safetensors", "text_projected", &text);
    let image = clip::hub::image(&early, &file, None).unwrap();
    check_images("clip", "model.safetensors", "image_projected", CLIP, &image);
}

#[test]
fn metaclip_2() {
    let file = path("metaclip_2").join("config.json");
    for (pooling, key) in [(Pooling::Projected, "text_projected"), (Pooling::Mean, "text_mean")] {
        let reader = clip::hub::text(&config(&file), &file, Some(pooling)).unwrap();
        check_texts("metaclip_2", "model.safetensors", key, &reader);
    }
    let reader = clip::hub::image(&config(&file), &file, None).unwrap();
    check_images("metaclip_2", "model.safetensors", "image_projected", CLIP, &reader);
}

#[test]
fn clip_under_openais_names() {
    let file = path("open_clip").join("open_clip_config.json");
    let text = clip::openai::open_clip_text(&config(&file), &file, None).unwrap();
    check_texts("open_clip", "open_clip_model.safetensors", "text_projected", &text);
    let image = clip::openai::open_clip_image(&config(&file), &file, None).unwrap();
    check_images("open_clip", "open_clip_model.safetensors", "image_projected", CLIP, &image);
    for (model, weights) in [("cn_clip_vit", "clip_cn_vit.pt"), ("cn_clip_rn50", "clip_cn_rn50.pt")] {
        let file = path(model).join(weights);
        let list = open(std::slice::from_ref(&file), clip::openai::cn_text_family()).unwrap();
        let text = clip::openai::cn_clip_text(&list, &file, None).unwrap();
        check_texts(model, weights, "text_projected", &text);
    }
    let file = path("cn_clip_vit").join("clip_cn_vit.pt");
    let list = open(std::slice::from_ref(&file), clip::openai::image_family()).unwrap();
    let image = clip::openai::cn_clip_image(&list, &file, None).unwrap();
    check_images("cn_clip_vit", "clip_cn_vit.pt", "image_projected", CLIP, &image);
}

#[test]
fn siglip_2() {
    let file = path("siglip2").join("config.json");
    let text = siglip::text(&config(&file), &file, None).unwrap();
    check_texts("siglip2", "model.safetensors", "text_projected", &text);
    for (pooling, key) in [(ImagePooling::Projected, "image_projected"), (ImagePooling::Mean, "image_mean")] {
        let image = siglip::image(&config(&file), &file, Some(pooling)).unwrap();
        check_images("siglip2", "model.safetensors", key, HALF, &image);
    }
}

#[test]
fn vision_transformers() {
    let hub = |model: &str| path(model).join("config.json");
    use ImagePooling::{Cls, Mean, Pooler};
    for (pooling, key) in [(Cls, "image_cls"), (Mean, "image_mean"), (Pooler, "image_pooler")] {
        let file = hub("vit_hf");
        let image = vit::hub::vit(&config(&file), &file, Some(pooling)).unwrap();
        check_images("vit_hf", "model.safetensors", key, HALF, &image);
    }
    for (pooling, key) in [(Cls, "image_cls"), (Mean, "image_mean")] {
        let file = hub("dinov2");
        let image = vit::hub::dinov2(&config(&file), &file, Some(pooling)).unwrap();
        check_images("dinov2", "model.safetensors", key, IMAGENET, &image);
        let file = hub("vit_timm");
        let list = open(&[path("vit_timm").join("model.safetensors")], &vit::timm::TIMM_VIT).unwrap();
        let image = vit::timm::vit(&config(&file), &file, &list, Some(pooling)).unwrap();
        check_images("vit_timm", "model.safetensors", key, HALF, &image);
    }
}

#[test]
fn berts_with_poolers_and_counted_positions() {
    use Pooling::{Cls, Mean, Pooler, Projected};
    let file = path("taiyi").join("config.json");
    for (pooling, key) in [(Pooler, "text_pooler"), (Projected, "text_projected")] {
        let reader = bert::bert(&config(&file), &file, Some(pooling)).unwrap();
        check_texts("taiyi", "pytorch_model.bin", key, &reader);
    }
    for (model, pooling, key) in [
        ("roberta", Cls, "text_cls"),
        ("roberta", Mean, "text_mean"),
        ("xlm_roberta", Cls, "text_cls"),
        ("xlm_roberta", Mean, "text_mean"),
        ("xlm_roberta", Pooler, "text_pooler"),
    ] {
        let file = path(model).join("config.json");
        let reader = bert::roberta(&config(&file), &file, Some(pooling)).unwrap();
        check_texts(model, "model.safetensors", key, &reader);
    }
}

#[test]
fn convnexts() {
    let hub = path("convnext_hf").join("config.json");
    let timm = path("convnext_timm").join("config.json");
    // timm's smallest models have convolutions of 1 × 1 for maps.
    let atto = path("convnext_conv_mlp").join("config.json");
    for (model, key, reader) in [
        ("convnext_hf", "image_pooler", convnext::ConvNeXtReader::hub(&config(&hub), &hub, None).unwrap()),
        ("convnext_timm", "image_pooled", convnext::ConvNeXtReader::timm(&config(&timm), &timm, None).unwrap()),
        ("convnext_conv_mlp", "image_pooled", convnext::ConvNeXtReader::timm(&config(&atto), &atto, None).unwrap()),
    ] {
        let mut list = open(&[path(model).join("model.safetensors")], reader.family()).unwrap();
        let reference = gpu::reference::load::<dyn ImageForward>(reader.read(&mut list));
        check_images_of_reference(model, key, IMAGENET, &*reference);
        for instructions in InstructionSet::available() {
            let mut list = open(&[path(model).join("model.safetensors")], reader.family()).unwrap();
            let dim = reader.dim(&list).unwrap();
            let encoder = convnext::CpuConvNeXt::new(reader.read(&mut list), instructions);
            list.finish().unwrap();
            let forward = |pixels: &[f32], height, width| encoder.forward(pixels, height, width);
            check_pixels(model, key, IMAGENET, dim, &forward);
        }
    }
}

#[test]
fn the_resnet_of_clip() {
    let file = path("cn_clip_rn50").join("clip_cn_rn50.pt");
    let mut list = open(std::slice::from_ref(&file), &clip::resnet::CLIP_RESNET).unwrap();
    let reader = clip::resnet::ClipResNetReader::new(&list, &file, None).unwrap();
    let reference = gpu::reference::load::<dyn ImageForward>(reader.read(&mut list));
    check_images_of_reference("cn_clip_rn50", "image_projected", CLIP, &*reference);
    for instructions in InstructionSet::available() {
        let mut list = open(std::slice::from_ref(&file), &clip::resnet::CLIP_RESNET).unwrap();
        let reader = clip::resnet::ClipResNetReader::new(&list, &file, None).unwrap();
        let encoder = clip::resnet::CpuClipResNet::new(reader.read(&mut list), instructions);
        list.finish().unwrap();
        let forward = |pixels: &[f32], height, width| encoder.forward(pixels, height, width);
        check_pixels("cn_clip_rn50", "image_projected", CLIP, reader.dim, &forward);
    }
}

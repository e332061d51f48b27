//! The ResNet of burn, layer by layer.

use burn_flex::Flex;

use super::*;
use crate::families::resnet::config::ResNetConfig;
use crate::families::resnet::cpu::CpuResNet;
use crate::forward::pixels::PixelTable;
use crate::preprocessing::Preprocessing;
use crate::weights::{find_image_model, fixtures};
use pipeline_kernels::InstructionSet;

/// PyTorch itself differs by up to 6.2e-6 between batch sizes and threads.
const TOLERANCE: f32 = 1e-5;

#[test]
fn maps_after_every_stage_are_those_of_pytorch() {
    let folder = fixtures::path("tiny/resnet").canonicalize().unwrap();
    let files = find_image_model(folder.to_str().unwrap(), &Default::default()).unwrap();
    let config = ResNetConfig::read(&files).unwrap();
    let resnet = ResNet::<Flex>::new(ResNetWeights::read(&files, &config).unwrap(), Default::default());
    let image = fixtures::pixels("goldens/images/rgb.png.bilinear.png");
    let mut planes = Vec::new();
    PixelTable::new(&Preprocessing::default()).append_planes(&image, &mut planes);
    let pixels = Tensor::from_data(TensorData::new(planes, [1, 3, 224, 224]), &resnet.device);

    check("bn1_relu", relu(resnet.stem.forward(pixels.clone())));
    let mut maps = resnet.stem_maps(pixels);
    check("maxpool", maps.clone());
    for (stage, blocks) in [("layer1", 0..1), ("layer2", 1..3), ("layer3", 3..4), ("layer4", 4..5)] {
        maps = resnet.blocks[blocks].iter().fold(maps, |maps, block| block.forward(maps));
        check(stage, maps.clone());
    }
    check("pool", pool(maps).unsqueeze_dims(&[2, 3]));
}

#[test]
fn the_processor_and_burn_give_the_same_features() {
    let folder = fixtures::path("tiny/resnet").canonicalize().unwrap();
    let files = find_image_model(folder.to_str().unwrap(), &Default::default()).unwrap();
    let config = ResNetConfig::read(&files).unwrap();
    let image = fixtures::pixels("goldens/images/rgb.png.bilinear.png");
    let (mut planes, mut pixels) = (Vec::new(), Vec::new());
    PixelTable::new(&Preprocessing::default()).append_planes(&image, &mut planes);
    PixelTable::new(&Preprocessing::default()).append_pixels(&image, &mut pixels);
    let weights = || ResNetWeights::read(&files, &config).unwrap();
    let burn = ResNet::<Flex>::new(weights(), Default::default()).forward(planes, 224, 224);
    let cpu = CpuResNet::new(weights(), InstructionSet::best()).forward(&pixels, 224, 224);
    let difference = fixtures::max_difference(&burn, &cpu);
    assert!(difference <= TOLERANCE, "{difference:e}");
}

/// Compares the mean and the top-left value of every channel.
fn check(stage: &str, maps: Tensor<Flex, 4>) {
    let golden = fixtures::tensors("goldens/resnet_layers.safetensors");
    let corner = maps.clone().slice([0..1, 0..maps.dims()[1], 0..1, 0..1]).into_data().into_vec::<f32>().unwrap();
    let mean = pool(maps).into_data().into_vec::<f32>().unwrap();
    for (what, values) in [("corner", corner), ("mean", mean)] {
        let difference = fixtures::max_difference(&values, &golden[&format!("{stage}.{what}")].values);
        assert!(difference <= TOLERANCE, "{what} after {stage}: {difference:e}");
    }
}

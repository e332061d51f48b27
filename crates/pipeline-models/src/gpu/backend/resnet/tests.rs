//! The ResNet of burn, layer by layer.

use burn_flex::Flex;

use super::*;
use crate::families::resnet::tests::tiny_weights;
use crate::weights::fixtures;

/// PyTorch itself differs by up to 6.2e-6 between batch sizes and threads.
const TOLERANCE: f32 = 1e-5;

#[test]
fn maps_after_every_stage_are_those_of_pytorch() {
    let resnet = ResNet::<Flex>::new(tiny_weights(), &Site::on_processor());
    let levels = fixtures::tensors("goldens/pixel_table.safetensors")["normalized_level"].values.clone();
    let image = fixtures::pixels("goldens/images/rgb.png.bilinear.png");
    let numbers = image.iter().enumerate().map(|(idx, level)| levels[idx % 3 * 256 + usize::from(*level)]);
    let numbers = TensorData::new(numbers.collect::<Vec<f32>>(), [1, 224, 224, 3]);
    let pixels = Tensor::from_data(numbers, &Default::default());

    let Stem::Single(stem) = &resnet.stem else { panic!("a plain ResNet has one convolution first") };
    check("bn1_relu", stem.forward(pixels.clone(), None, Then::Relu));
    let mut maps = resnet.stem_maps(pixels);
    check("maxpool", maps.clone());
    for (stage, blocks) in [("layer1", 0..1), ("layer2", 1..3), ("layer3", 3..4), ("layer4", 4..5)] {
        maps = resnet.blocks[blocks].iter().fold(maps, |maps, block| block.forward(maps));
        check(stage, maps.clone());
    }
    check("pool", pool(maps).unsqueeze_dims(&[1, 2]));
}

/// Compares the mean and the top-left value of every channel.
fn check(stage: &str, maps: Tensor<Flex, 4>) {
    let golden = fixtures::tensors("goldens/resnet_layers.safetensors");
    let n_channels = maps.dims()[3];
    let values = maps.into_data().into_vec::<f32>().unwrap();
    let corner = values[..n_channels].to_vec();
    // In double precision: the sum of 12,544 numbers would be what is measured.
    let mean_of = |channel: usize| {
        let of_channel = values[channel..].iter().step_by(n_channels);
        (of_channel.map(|value| f64::from(*value)).sum::<f64>() / (values.len() / n_channels) as f64) as f32
    };
    let mean = (0..n_channels).map(mean_of).collect();
    for (what, values) in [("corner", corner), ("mean", mean)] {
        let difference = fixtures::max_difference(&values, &golden[&format!("{stage}.{what}")].values);
        assert!(difference <= TOLERANCE, "{what} after {stage}: {difference:e}");
    }
}

//! An image's features have the same bits in any batch, order and company, on any number of threads.

use super::*;

/// A ResNet with one block per stage: convolutions are computed in several ways, by their size.
fn load_made_up(widths: [usize; 4]) -> ImageEncoder {
    let mut tensors = Tensors::new();
    let mut add = |conv: &str, norm: &str, shape: [usize; 4]| {
        let n_taps: usize = shape[1..].iter().product();
        tensors.insert(format!("{conv}.weight"), fixtures::noise(conv, shape.into(), 2.0 / (n_taps as f32).sqrt()));
        for (field, middle) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            let mut vector = fixtures::noise(&format!("{norm}.{field}"), vec![shape[0]], 0.5);
            vector.values.iter_mut().for_each(|value| *value += middle);
            tensors.insert(format!("{norm}.{field}"), vector);
        }
    };
    add("conv1", "bn1", [64, 3, 7, 7]);
    let mut n_in = 64;
    for (stage_idx, width) in widths.into_iter().enumerate() {
        let block = format!("layer{}.0", stage_idx + 1);
        let conv = |number: usize| (format!("{block}.conv{number}"), format!("{block}.bn{number}"));
        for (number, shape) in [(1, [width, n_in, 1, 1]), (2, [width, width, 3, 3]), (3, [4 * width, width, 1, 1])] {
            add(&conv(number).0, &conv(number).1, shape);
        }
        add(&format!("{block}.downsample.0"), &format!("{block}.downsample.1"), [4 * width, n_in, 1, 1]);
        n_in = 4 * width;
    }
    let folder = tempfile::tempdir().unwrap();
    fixtures::write(&folder.path().join("model.safetensors"), &tensors);
    let files = find_image_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
    ImageEncoder::load(&files, Device::Cpu).unwrap()
}

/// Encodes `n_images` images alone, then in batches of `(batch_rows, n_threads, stride)`.
fn check(encoder: &ImageEncoder, [height, width]: [usize; 2], n_images: usize, cases: &[(usize, usize, usize)]) {
    let image = |image_idx: usize| {
        let noise = fixtures::noise(&format!("image {image_idx}"), vec![height, width, 3], 1.0);
        noise.values.iter().map(|value| (127.0 * value + 128.0) as u8).collect()
    };
    let images: Vec<Vec<u8>> = (0..n_images).map(image).collect();
    let forward = |images: &[&[u8]], n_threads| encoder.encode(images, height, width, n_threads).unwrap();
    let alone: Vec<Vec<f32>> = images.iter().map(|image| forward(&[image], 1).values).collect();
    for &(batch_rows, n_threads, stride) in cases {
        // A stride without a common factor visits every image once; some occur twice, so that batches differ, too.
        let order: Vec<usize> = (0..n_images + 3).map(|idx| idx * stride % n_images).collect();
        for batch in order.chunks(batch_rows) {
            let mates: Vec<&[u8]> = batch.iter().map(|image_idx| images[*image_idx].as_slice()).collect();
            let features = forward(&mates, n_threads);
            for (row_idx, image_idx) in batch.iter().enumerate() {
                let same = fixtures::bits(features.row(row_idx)) == fixtures::bits(&alone[*image_idx]);
                let case = format!("batches of {batch_rows}, {n_threads} threads, stride {stride}");
                assert!(same, "image {image_idx} of {height} x {width}: {case}");
            }
        }
    }
}

fn every_case() -> Vec<(usize, usize, usize)> {
    let cases = |batch_rows| [1, 2, 3].into_iter().flat_map(move |n| [1, 3, 7].map(|stride| (batch_rows, n, stride)));
    [1, 3, 16].into_iter().flat_map(cases).collect()
}

#[test]
fn the_tiny_models_features_have_the_same_bits_in_any_company() {
    let encoder = ImageEncoder::load(&tiny_files(), Device::Cpu).unwrap();
    for size in [[1, 1], [32, 32], [33, 50], [64, 48]] {
        check(&encoder, size, 17, &every_case());
    }
    check(&encoder, [224, 224], 17, &[(1, 2, 3), (3, 1, 7), (16, 2, 1), (16, 3, 3)]);
}

#[test]
fn resnet50_features_have_the_same_bits_in_any_company() {
    let encoder = load_made_up([64, 128, 256, 512]);
    for size in [[1, 1], [32, 32], [33, 50]] {
        check(&encoder, size, 17, &[(3, 2, 1), (16, 1, 3), (16, 3, 7)]);
    }
    check(&encoder, [224, 224], 10, &[(3, 2, 7), (16, 2, 1), (16, 1, 3)]);
}

#[test]
fn narrow_resnets_features_have_the_same_bits_in_any_company() {
    let encoder = load_made_up([64; 4]);
    for size in [[1, 1], [64, 48], [128, 128]] {
        check(&encoder, size, 17, &[(3, 2, 1), (16, 1, 3), (16, 3, 7)]);
    }
}

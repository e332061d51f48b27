//! Kernels beside sums in double precision. They need a device: `make gpu-vulkan` runs them on any driver of Vulkan.

use burn::tensor::{Tensor, TensorData};
use cubecl::prelude::CubeCount;

use crate::device::{Gpu, Interface, Precision};
use crate::gpu::backend::arithmetic::{After, Arithmetic, Then, Window, of_primitive, primitive};
use crate::gpu::{DeviceError, is_built_in, on_backend, probe};
use crate::weights::fixtures;

use super::fused::blocks;

/// Of an error, as a share of the square root of the number of terms, each of which is below 1.
const TOLERANCE: f64 = 1e-6;

/// The first interface that has a device.
pub(in crate::gpu) fn gpu() -> Gpu {
    let built_in = [Interface::Cuda, Interface::Wgpu].into_iter().filter(|interface| is_built_in(*interface));
    let tried: Vec<_> =
        built_in.map(|interface| Gpu { interface, number: None }).map(|gpu| (gpu, probe(gpu))).collect();
    let ready = tried.iter().find(|(_, found)| found.is_ok());
    ready.unwrap_or_else(|| panic!("there is no device: {tried:?}")).0
}

/// Maps before a convolution, their channels after it, and the convolution.
struct Case {
    maps: [usize; 4],
    n_out: usize,
    kernel: usize,
    window: Window,
}

impl Case {
    fn new(maps: [usize; 4], n_out: usize, kernel: usize, stride: usize) -> Self {
        Self { maps, n_out, kernel, window: Window { stride, padding: kernel / 2 } }
    }

    fn shape_out(&self) -> [usize; 4] {
        let [n_images, height, width, _] = self.maps;
        let [height, width] = [height, width].map(|side| super::side_out(side, self.kernel, self.window));
        [n_images, height, width, self.n_out]
    }

    /// The sum of the terms of each number, those of its own channel alone if `is_depthwise`.
    fn sums(&self, maps: &[f32], weight: &[f32], is_depthwise: bool) -> Vec<f64> {
        let ([n_images, height_out, width_out, n_out], [_, height, width, n_in]) = (self.shape_out(), self.maps);
        let Window { stride, padding } = self.window;
        let mut sums = Vec::with_capacity(n_images * height_out * width_out * n_out);
        for idx in 0..n_images * height_out * width_out * n_out {
            let (out, place) = (idx % n_out, idx / n_out);
            let (column, line, image) =
                (place % width_out, place / width_out % height_out, place / width_out / height_out);
            let mut sum = 0.0;
            for tap in 0..self.kernel * self.kernel {
                let (down, right) = (line * stride + tap / self.kernel, column * stride + tap % self.kernel);
                if (padding..height + padding).contains(&down) && (padding..width + padding).contains(&right) {
                    let first = ((image * height + down - padding) * width + right - padding) * n_in;
                    let of_tap = |channel| match is_depthwise {
                        true => weight[tap * n_out + out],
                        false => weight[(out * self.kernel * self.kernel + tap) * n_in + channel],
                    };
                    let channels = if is_depthwise { out..out + 1 } else { 0..n_in };
                    sum += channels.map(|idx| f64::from(maps[first + idx]) * f64::from(of_tap(idx))).sum::<f64>();
                }
            }
            sums.push(sum);
        }
        sums
    }
}

fn noise(name: &str, n: usize) -> Vec<f32> {
    fixtures::noise(name, vec![n], 1.0).values
}

fn tensor<B: Arithmetic, const D: usize>(values: &[f32], shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn compare(found: &[f32], expected: impl Iterator<Item = f64>, n_terms: usize, what: &str) {
    let worst = found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    let worst = worst.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst });
    assert!(worst <= TOLERANCE * (n_terms as f64).sqrt(), "{what}: {worst:e} apart");
}

#[test]
fn a_grid_has_enough_blocks_and_not_too_many_in_an_axis() {
    for n in [1, 65_535, 65_536, 150_528, 802_816, 1 << 23] {
        let CubeCount::Static(across, down, 1) = blocks(n) else { panic!("its size is known") };
        assert!(across.max(down) < 1 << 16, "{n} blocks: {across} by {down}");
        assert!(
            (n..n + across as usize).contains(&(across as usize * down as usize)),
            "{n} blocks: {across} by {down}"
        );
    }
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn convolutions_are_sums_over_patches() {
    // Tiles of 128 places and 64 channels, slabs of 16 terms, and shapes that they do not divide.
    for case in [
        Case::new([1, 1, 1, 1], 1, 1, 1),
        Case::new([1, 5, 7, 3], 10, 7, 2),
        Case::new([2, 9, 9, 16], 65, 3, 1),
        Case::new([3, 14, 13, 6], 130, 3, 2),
        Case::new([2, 8, 8, 64], 33, 1, 1),
        Case::new([1, 8, 7, 20], 40, 1, 2),
        Case::new([2, 12, 11, 5], 64, 5, 1),
        Case::new([1, 3, 2, 132], 200, 3, 1),
    ] {
        let (n_in, kernel, shape) = (case.maps[3], case.kernel, case.shape_out());
        let (n_terms, n_places) = (kernel * kernel * n_in, shape[..3].iter().product::<usize>());
        let (maps, weight) = (noise("maps", case.maps.iter().product()), noise("weight", case.n_out * n_terms));
        let (bias, others) = (noise("bias", case.n_out), noise("others", n_places * case.n_out));
        let sums = case.sums(&maps, &weight, false);
        for (has_others, then) in [(false, Then::Nothing), (true, Then::Relu), (false, Then::Relu)] {
            let found: Result<Vec<f32>, DeviceError> = on_backend!(gpu(), Backend, device => {
                let after = After {
                    bias: primitive(tensor::<Backend, 1>(&bias, [case.n_out], &device)),
                    others: has_others.then(|| primitive(tensor::<Backend, 4>(&others, shape, &device))),
                    then,
                };
                let maps = primitive(tensor::<Backend, 4>(&maps, case.maps, &device));
                let weight = primitive(tensor::<Backend, 4>(&weight, [case.n_out, kernel, kernel, n_in], &device));
                let convolved = Backend::convolution(maps, weight, case.window, after, Precision::F32);
                Ok(of_primitive::<Backend, 4>(convolved).into_data().into_vec().unwrap())
            });
            let expected = sums.iter().enumerate().map(|(idx, sum)| {
                let other = if has_others { others[idx] } else { 0.0 };
                let total = sum + f64::from(bias[idx % case.n_out]) + f64::from(other);
                if then == Then::Relu { total.max(0.0) } else { total }
            });
            compare(&found.unwrap(), expected, n_terms, &format!("{:?} by {kernel}², {then:?}", case.maps));
        }
    }
}

#[test]
#[ignore = "needs a GPU or a driver that plays one"]
fn depthwise_convolutions_keep_to_their_channels() {
    for case in
        [Case::new([2, 9, 8, 5], 5, 7, 1), Case::new([1, 3, 2, 33], 33, 7, 1), Case::new([3, 17, 4, 96], 96, 3, 1)]
    {
        let (kernel, n_out) = (case.kernel, case.n_out);
        let (maps, weight) = (noise("maps", case.maps.iter().product()), noise("weight", kernel * kernel * n_out));
        let bias = noise("bias", n_out);
        let found: Result<Vec<f32>, DeviceError> = on_backend!(gpu(), Backend, device => {
            let maps = primitive(tensor::<Backend, 4>(&maps, case.maps, &device));
            let weight = primitive(tensor::<Backend, 3>(&weight, [kernel, kernel, n_out], &device));
            let bias = primitive(tensor::<Backend, 1>(&bias, [n_out], &device));
            let convolved = Backend::depthwise(maps, weight, bias);
            Ok(of_primitive::<Backend, 4>(convolved).into_data().into_vec().unwrap())
        });
        let sums = case.sums(&maps, &weight, true).into_iter().enumerate();
        let expected = sums.map(|(idx, sum)| sum + f64::from(bias[idx % n_out]));
        compare(&found.unwrap(), expected, kernel * kernel, &format!("{:?} by {kernel}²", case.maps));
    }
}

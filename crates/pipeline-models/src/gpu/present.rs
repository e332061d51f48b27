//! The functions of the door in a build with the interface to a GPU.

use std::path::PathBuf;
use std::sync::{Arc, Once};

use burn::backend::Autodiff;
use burn::tensor::backend::{Backend, DeviceOps};
use burn::tensor::{Tensor, TensorData};
use cubecl::config::cache::CacheConfig;
use cubecl::config::compilation::CompilationConfig;
use cubecl::config::streaming::StreamingConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use cubecl::stream_id::StreamId;

use super::backend::{FrameworkLearner, Place, Site};
use super::watch::{self, Watch};
use super::{DeviceError, Fault, heads, on_backend};
use crate::device::{Gpu, Interface, Precision};
use crate::forward::pixels::Images;
use crate::forward::{ImageForward, TextForward};
use crate::heads::Heads;
use crate::train::steps::{Learner, Step, Taken};
use crate::train::{PairedFeatures, TrainError, TrainOptions};

/// The rows of the products that a trial computes: tensor cores take them where there are some.
const TRIAL: usize = 16;

/// Settles what the framework would otherwise read from `cubecl.toml` or `burn.toml` of a parent folder, before its
/// first use. One stream of a device serves all stages: each would have memory of its own.
pub(super) fn set_up(kernels: Option<PathBuf>) {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let streaming = StreamingConfig { max_streams: 1, ..StreamingConfig::default() };
        let compilation = CompilationConfig { cache: kernels.map(CacheConfig::File), ..CompilationConfig::default() };
        CubeClRuntimeConfig::set(CubeClRuntimeConfig { streaming, compilation, ..CubeClRuntimeConfig::default() });
        set_default(burn::runtime_config);
    });
}

/// Settles a configuration that is named nowhere but by the function that returns it.
fn set_default<C: RuntimeConfig>(_: fn() -> Arc<C>) {
    C::storage().lock().get_or_insert_with(|| Arc::new(C::default()));
}

/// Multiplies two small matrices of ones, which compiles, launches and copies as all work does.
///
/// # Errors
/// When that fails, or the product is wrong.
pub(super) fn try_out<B: Backend>(gpu: Gpu, device: &B::Device) -> Result<(), DeviceError> {
    let id = device.id();
    watch::know(gpu, [id.type_id, id.index_id]);
    let product = Watch::new(gpu).run(|| {
        on_the_stream(|| {
            let ones = || {
                let ones = TensorData::new(vec![1.0_f32; TRIAL * TRIAL], [TRIAL, TRIAL]);
                Tensor::<B, 2>::from_data(ones, device)
            };
            ones().matmul(ones()).into_data().into_vec::<f32>().unwrap_or_default()
        })
    });
    let product = product.map_err(|error| match error {
        DeviceError::Failed { gpu, fault } => DeviceError::Trial { gpu, fault },
        other => other,
    })?;
    if product.len() == TRIAL * TRIAL && product.iter().all(|sum| *sum == TRIAL as f32) {
        return Ok(());
    }
    Err(DeviceError::Trial { gpu, fault: Fault::Other { line: "it computes a wrong product".to_owned() } })
}

/// Works on the one stream of each device, whichever thread asks.
fn on_the_stream<T>(work: impl FnOnce() -> T) -> T {
    StreamId { value: 0 }.executes(work)
}

/// Moves a model to a GPU, which makes its forward pass.
///
/// # Errors
/// When the device cannot be used, or fails.
pub(crate) fn load<Forward: ?Sized + Watched>(
    gpu: Gpu,
    parts: impl Place<Forward>,
    precision: Precision,
) -> Result<Box<Forward>, DeviceError> {
    super::probe(gpu)?;
    let gpu = numbered(gpu);
    on_backend!(gpu, Backend, device => {
        let site = Site::<Backend> { device: device.clone(), precision };
        Ok(Forward::watched::<Backend>(OnDevice::new(gpu, device, || parts.place(site))?))
    })
}

/// Moves heads to a GPU, where they learn.
///
/// # Errors
/// When the device cannot be used, or fails.
pub(crate) fn learner<'a>(
    gpu: Gpu,
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    start: Option<Heads>,
) -> Result<Box<dyn Learner + 'a>, DeviceError> {
    super::probe(gpu)?;
    let gpu = numbered(gpu);
    on_backend!(gpu, Backend, device => {
        if heads::can_learn(data, options, start.as_ref()) {
            type Runtime = <Backend as heads::Launches>::Runtime;
            let heads = || heads::KernelLearner::<Runtime>::new(data, options, start, gpu, device.clone());
            return Ok(Box::new(OnDevice::<_, Backend>::new(gpu, device.clone(), heads)?));
        }
        let heads = || FrameworkLearner::<Autodiff<Backend>>::new(data, options, start, device.clone());
        Ok(Box::new(OnDevice::<_, Backend>::new(gpu, device.clone(), heads)?))
    })
}

/// The GPU with its number, which the first of CUDA has.
fn numbered(gpu: Gpu) -> Gpu {
    let first = (gpu.interface == Interface::Cuda).then_some(0);
    Gpu { number: gpu.number.or(first), ..gpu }
}

/// A forward pass that can be watched.
pub(crate) trait Watched {
    /// The same, failing where the device does.
    fn watched<B: Backend>(model: OnDevice<Box<Self>, B>) -> Box<Self>;
}

/// What lies on the device, and computes there as long as the device has not failed.
pub(crate) struct OnDevice<T, B: Backend> {
    /// Absent only before it is placed and while it is dropped.
    placed: Option<T>,
    watch: Watch,
    gpu: Gpu,
    device: B::Device,
}

impl<T, B: Backend> OnDevice<T, B> {
    pub(super) fn new(gpu: Gpu, device: B::Device, place: impl FnOnce() -> T) -> Result<Self, DeviceError> {
        let watch = Watch::new(gpu);
        let mut on_device = Self { placed: None, watch, gpu, device };
        // What was placed before a fault goes with the value.
        on_device.placed = Some(on_device.watch.run(|| on_the_stream(place))?);
        Ok(on_device)
    }

    fn run<R>(&self, work: impl FnOnce(&T) -> R) -> Result<R, DeviceError> {
        let placed = self.placed.as_ref().expect("it is there until it is dropped");
        self.watch.run(|| on_the_stream(|| work(placed)))
    }

    pub(super) fn run_mut<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> Result<R, DeviceError> {
        let placed = self.placed.as_mut().expect("it is there until it is dropped");
        self.watch.run(|| on_the_stream(|| work(placed)))
    }
}

/// The memory returns to the driver with the model, so that the next stage has all of it.
impl<T, B: Backend> Drop for OnDevice<T, B> {
    fn drop(&mut self) {
        let placed = self.placed.take();
        // A fault here is one of what comes next, which will see it.
        let _ = Watch::new(self.gpu).run(|| {
            on_the_stream(|| {
                drop(placed);
                B::memory_cleanup(&self.device);
                let _ = B::sync(&self.device);
            });
        });
    }
}

impl Watched for dyn TextForward {
    fn watched<B: Backend>(model: OnDevice<Box<Self>, B>) -> Box<Self> {
        Box::new(model)
    }
}

impl Watched for dyn ImageForward {
    fn watched<B: Backend>(model: OnDevice<Box<Self>, B>) -> Box<Self> {
        Box::new(model)
    }
}

impl<B: Backend> TextForward for OnDevice<Box<dyn TextForward>, B> {
    fn forward(&self, texts: &[Vec<u32>], batch_rows: usize, n_threads: usize) -> Result<Vec<f32>, DeviceError> {
        self.run(|model| model.forward(texts, batch_rows, n_threads))?
    }
}

impl<B: Backend> ImageForward for OnDevice<Box<dyn ImageForward>, B> {
    fn forward(&self, images: &Images<'_>, n_threads: usize) -> Result<Vec<f32>, DeviceError> {
        self.run(|model| model.forward(images, n_threads))?
    }
}

impl<L: Learner, B: Backend> Learner for OnDevice<L, B> {
    fn steps_at_once(&self) -> usize {
        self.placed.as_ref().map_or(1, Learner::steps_at_once)
    }

    fn announce(&self, batch: &[usize]) {
        self.placed.iter().for_each(|learner| learner.announce(batch));
    }

    fn take(
        &mut self,
        steps: &[Step<'_>],
        taken: &mut Vec<Taken>,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<(), TrainError> {
        self.run_mut(|learner| learner.take(steps, taken, must_stop))?
    }

    fn temperature(&self) -> Result<f32, TrainError> {
        self.run(|learner| learner.temperature())?
    }

    fn heads(&self) -> Result<Option<Heads>, TrainError> {
        self.run(|learner| learner.heads())?
    }

    fn has_heads(&self) -> bool {
        self.placed.as_ref().is_some_and(Learner::has_heads)
    }
}

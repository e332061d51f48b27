//! Training of heads on feature vectors by kernels of our own: a few launches a step, and one wait for many steps.
//!
//! The formulas are those of the processor's learner, [`crate::train::cpu`]. Features, weights and losses stay on the
//! device; the host says which pairs and learning rates a step has.

mod places;
mod source;
mod step;

use burn::tensor::backend::Backend;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime};
use cubecl::client::ComputeClient;

use super::kernels::heads::{Numbers, Relevant, update};
use crate::device::{Gpu, Precision};
use crate::heads::{Features, Heads};
use crate::train::cpu::adam::Adam;
use crate::train::options::initial_logit_scale;
use crate::train::positives::Relevance;
use crate::train::steps::{Learner, Step, Taken};
use crate::train::{PairedFeatures, Positives, TrainError, TrainOptions};
use places::{BatchPlaces, LearntPlaces};
use source::Source;

/// The pairs of the steps that are taken at once: many enough that the device seldom waits for the host, few enough
/// that a training which is to stop does so soon.
const PAIRS_AT_ONCE: usize = 4096;

/// Their multiplications: what is on its way to the device cannot be stopped, and a slow one computes so many in a
/// quarter of a second.
const PRODUCTS_AT_ONCE: usize = 1 << 38;

/// The numbers of an array that the kernels count in 32 bits, with all threads of a grid that have none.
const MOST_NUMBERS: usize = 1 << 31;

/// A backend whose kernels can be launched by name.
pub(crate) trait Launches: Backend {
    /// What launches them.
    type Runtime: CubeRuntime<CubeDevice = Self::Device>;
}

impl<R: CubeRuntime, BT: BoolElement> Launches for CubeBackend<R, f32, i32, BT> {
    type Runtime = R;
}

/// Heads and optimiser on a device.
pub(crate) struct KernelLearner<'a, R: CubeRuntime> {
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    client: ComputeClient<R>,
    device: R::Device,
    source: Source<'a, R>,
    relevant: Option<Relevant<R>>,
    learnt: Option<Learnt<R>>,
    batch: Batch<R>,
    /// The steps that are taken at once.
    n_at_once: usize,
}

/// All that is learnt, in arrays of one order.
struct Learnt<R: CubeRuntime> {
    places: LearntPlaces,
    values: Numbers<R>,
    gradients: Numbers<R>,
    means: Numbers<R>,
    squares: Numbers<R>,
    /// The values at the start, where an anchor pulls to them.
    starts: Option<Numbers<R>>,
    adam: Adam,
}

/// What a batch needs; kept from batch to batch.
struct Batch<R: CubeRuntime> {
    places: BatchPlaces,
    /// Features, then values of hidden layers.
    inputs: Numbers<R>,
    hidden_sums: Numbers<R>,
    by_hidden_sums: Numbers<R>,
    /// The sums of the last layers, without their biases.
    sums: Numbers<R>,
    embedded: Numbers<R>,
    lengths: Numbers<R>,
    /// The gradient with respect to embeddings, then to sums, and the inner products of both.
    by_embedded: Numbers<R>,
    similarities: Numbers<R>,
    by_similarities: Numbers<R>,
    relevant: Numbers<R>,
    lines: Numbers<R>,
    losses: Numbers<R>,
}

/// Whether a training is one of heads on vectors, in a precision that the kernels have, and of a size that they count.
pub(super) fn can_learn(data: &PairedFeatures<'_>, options: &TrainOptions, start: Option<&Heads>) -> bool {
    let PairedFeatures { text, images, pairs } = *data;
    let are_vectors = text.vectors().is_some() && images.vectors().is_some();
    let has_pool = |heads: &Heads| {
        [&heads.text, &heads.image].into_iter().any(|head| head.top.is_some() || head.attention.is_some())
    };
    if !are_vectors || start.is_some_and(has_pool) || options.precision == Precision::Bf16 {
        return false;
    }
    let n_pairs = options.batch_size.min(pairs.len());
    let learnt = start.map(|heads| LearntPlaces::new(heads, options.learn_temperature));
    let batch = BatchPlaces::new([text.width(), images.width()], learnt.as_ref(), n_pairs);
    let of_learnt = learnt.map_or(0, |learnt| learnt.length);
    let lengths = [n_pairs.saturating_mul(n_pairs), batch.n_inputs, batch.n_hidden, batch.n_embedded, of_learnt];
    lengths.iter().all(|length| *length <= MOST_NUMBERS) && text.n_rows().max(images.n_rows()) <= MOST_NUMBERS
}

impl<'a, R: CubeRuntime> KernelLearner<'a, R> {
    /// Copies `start` to `device`, which is `gpu`. Features go there, too, if they fit beside all else.
    ///
    /// # Panics
    /// When [`can_learn`] is false of these: a bug of the caller.
    pub(super) fn new(
        data: &'a PairedFeatures<'a>,
        options: &'a TrainOptions,
        start: Option<Heads>,
        gpu: Gpu,
        device: R::Device,
    ) -> Self {
        let client = R::client(&device);
        let readers = [data.text, data.images].map(|features| match features {
            Features::Vectors(vectors) => vectors,
            Features::Tokens(_) => panic!("BUG: tokens go through the framework"),
        });
        let n_pairs = options.batch_size.min(data.pairs.len());
        let learnt = start.map(|heads| Learnt::new(&client, &heads, options));
        let places = BatchPlaces::new(
            readers.map(|reader| reader.n_cols()),
            learnt.as_ref().map(|learnt| &learnt.places),
            n_pairs,
        );
        let relevant = Relevance::needed(data, options).map(|relevance| on_device(&client, &relevance));
        let n_learnt = learnt.as_ref().map_or(0, |learnt| learnt.places.length);
        let n_at_once = steps_at_once(n_pairs, places.dim, n_learnt);
        let batch = Batch::new(&client, places, (n_pairs, n_at_once), options);
        // The last, which takes what the others leave.
        let source = Source::new(&client, readers, gpu);
        Self { data, options, source, relevant, learnt, batch, client, device, n_at_once }
    }

    /// Changes all that is learnt against the loss that was measured last.
    fn learn(&mut self, n_pairs: usize, lr: f64) {
        let Some(learnt) = &mut self.learnt else { return };
        let step = learnt.adam.next_step(lr);
        let Some(learnt) = &self.learnt else { return };
        self.differentiate(learnt, n_pairs);
        let arrays = [&learnt.values, &learnt.means, &learnt.squares, &learnt.gradients];
        update(&self.client, arrays, learnt.starts.as_ref(), &step, learnt.places.logit_scale);
    }
}

impl<R: CubeRuntime> Learner for KernelLearner<'_, R> {
    fn steps_at_once(&self) -> usize {
        self.n_at_once
    }

    fn announce(&self, batch: &[usize]) {
        if self.source.is_read_for_each_batch() {
            self.data.announce(batch);
        }
    }

    fn take(
        &mut self,
        steps: &[Step<'_>],
        taken: &mut Vec<Taken>,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<(), TrainError> {
        let pairs = steps.iter().flat_map(|step| step.batch).map(|pair_idx| self.data.pairs[*pair_idx]);
        let rows: Vec<u32> = pairs.flat_map(|(text, image)| [text as u32, image as u32]).collect();
        if !self.source.place(&self.client, must_stop)? {
            return Ok(());
        }
        let rows_on_device = Numbers::of(&self.client, &rows);
        let mut first_pair = 0;
        for (idx, &Step { batch, rates }) in steps.iter().enumerate() {
            if must_stop() || !self.read((&rows, &rows_on_device), (first_pair, batch.len()), must_stop)? {
                return Ok(());
            }
            self.measure(idx, &rows_on_device, (first_pair, batch.len()));
            self.learn(batch.len(), rates.heads);
            first_pair += batch.len();
        }
        let found = self.batch.losses.read(&self.client, 0, 2 * steps.len());
        self.source.settle();
        let learns_temperature = self.learnt.as_ref().is_some_and(|learnt| learnt.places.logit_scale.is_some());
        let temperature = |logit_scale: f32| {
            if learns_temperature { temperature(logit_scale) } else { self.options.temperature as f32 }
        };
        taken.extend(found.chunks_exact(2).map(|step| Taken { loss: step[0], temperature: temperature(step[1]) }));
        Ok(())
    }

    fn temperature(&self) -> Result<f32, TrainError> {
        let place = self.learnt.as_ref().and_then(|learnt| Some((&learnt.values, learnt.places.logit_scale?)));
        Ok(match place {
            Some((values, place)) => temperature(values.read(&self.client, place, 1)[0]),
            None => self.options.temperature as f32,
        })
    }

    fn heads(&self) -> Result<Option<Heads>, TrainError> {
        Ok(self
            .learnt
            .as_ref()
            .map(|Learnt { places, values, .. }| places.heads(&values.read(&self.client, 0, places.length))))
    }

    fn has_heads(&self) -> bool {
        self.learnt.is_some()
    }
}

impl<R: CubeRuntime> Learnt<R> {
    fn new(client: &ComputeClient<R>, heads: &Heads, options: &TrainOptions) -> Self {
        let places = LearntPlaces::new(heads, options.learn_temperature);
        let start = places.values(heads, initial_logit_scale(options.temperature));
        let zeros = || Numbers::of(client, &vec![0f32; places.length]);
        Self {
            values: Numbers::of(client, &start),
            // Gaps between matrices are never written, and do not change what follows.
            gradients: zeros(),
            means: zeros(),
            squares: zeros(),
            starts: (options.anchor > 0.0).then(|| Numbers::of(client, &start)),
            places,
            adam: Adam::new(options.weight_decay, options.anchor),
        }
    }
}

impl<R: CubeRuntime> Batch<R> {
    /// Room for batches of up to so many pairs, so many of them at once.
    fn new(
        client: &ComputeClient<R>,
        places: BatchPlaces,
        (n_pairs, n_at_once): (usize, usize),
        options: &TrainOptions,
    ) -> Self {
        let empty = |length| Numbers::empty(client, length);
        let n_places = n_pairs * n_pairs;
        let has_relevant = options.positives != Positives::Own;
        Self {
            inputs: empty(places.n_inputs),
            hidden_sums: empty(places.n_hidden),
            by_hidden_sums: empty(places.n_hidden),
            sums: empty(places.n_embedded),
            embedded: empty(places.n_embedded),
            lengths: empty(2 * n_pairs),
            by_embedded: empty(places.n_embedded),
            similarities: empty(n_places),
            by_similarities: empty(n_places),
            relevant: empty(if has_relevant { n_places } else { 1 }),
            lines: empty(6 * n_pairs),
            losses: empty(2 * n_at_once),
            places,
        }
    }
}

/// The steps that are taken at once: batches of so many pairs, whose embeddings have `dim` numbers, and `n_learnt`
/// numbers that learn.
fn steps_at_once(n_pairs: usize, dim: usize, n_learnt: usize) -> usize {
    // Each number has a part in the forward pass, and in the gradients of inputs and weights.
    let of_pair = n_pairs.saturating_mul(dim).saturating_add(n_learnt).saturating_mul(3);
    let n_products = of_pair.saturating_mul(n_pairs).max(1);
    (PAIRS_AT_ONCE / n_pairs.max(1)).min(PRODUCTS_AT_ONCE / n_products).max(1)
}

/// The images that are relevant to each text.
fn on_device<R: CubeRuntime>(client: &ComputeClient<R>, relevance: &Relevance) -> Relevant<R> {
    let images: Vec<u32> = relevance.images.iter().flatten().map(|image| *image as u32).collect();
    let ends = relevance.images.iter().scan(0, |end, images| {
        *end += images.len() as u32;
        Some(*end)
    });
    let starts: Vec<u32> = std::iter::once(0).chain(ends).collect();
    Relevant { starts: Numbers::of(client, &starts), images: Numbers::of(client, &images) }
}

fn temperature(logit_scale: f32) -> f32 {
    (-f64::from(logit_scale)).exp() as f32
}

#[cfg(test)]
mod tests;

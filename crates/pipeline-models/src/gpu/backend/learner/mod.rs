//! Training in the framework: on a GPU, and on any backend as a reference for the processor's own steps.

mod adam;
mod attention;
mod loss;
mod projector;
mod temperature;
mod top;

use std::io;

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{Adam, GradientsParams, Optimizer};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};

use super::arithmetic::{Arithmetic, Site, product};
use crate::heads::{Features, Head, Heads};
use crate::train::positives::{Positives, Relevance};
use crate::train::steps::{Learner, Rates, Step, Taken};
use crate::train::{PairedFeatures, TrainError, TrainOptions};
use attention::LearntAttention;
use loss::{info_nce, masked_info_nce, normalize_rows, spread_info_nce};
use projector::{Projector, gather_rows};
use temperature::LearntTemperature;
use top::DeviceTop;

/// Heads and optimiser on a backend of the framework.
pub(crate) struct FrameworkLearner<'a, B: AutodiffBackend> {
    data: &'a PairedFeatures<'a>,
    options: &'a TrainOptions,
    site: Site<B>,
    relevance: Option<Relevance>,
    projector: Option<Projector<B>>,
    adam: OptimizerAdaptor<Adam, Projector<B>, B>,
    /// The start, where an anchor pulls to it.
    start: Option<Projector<B::InnerBackend>>,
    text_attention: Option<LearntAttention<B>>,
    image_attention: Option<LearntAttention<B>>,
    text_top: Option<DeviceTop<B>>,
    image_top: Option<DeviceTop<B>>,
    temperature: Option<LearntTemperature<B>>,
    loss: Option<Tensor<B, 1>>,
}

impl<'a, B: AutodiffBackend + Arithmetic> FrameworkLearner<'a, B> {
    /// Copies `start` to `device`.
    pub(crate) fn new(
        data: &'a PairedFeatures<'a>,
        options: &'a TrainOptions,
        start: Option<Heads>,
        device: B::Device,
    ) -> Self {
        let attention = |head: &Head| head.attention.as_deref().map(|vector| LearntAttention::new(vector, &device));
        let text_attention = start.as_ref().and_then(|heads| attention(&heads.text));
        let image_attention = start.as_ref().and_then(|heads| attention(&heads.image));
        let top = |head: &Head, rate| head.top.clone().map(|top| DeviceTop::new(top, rate, &device));
        let text_top = start.as_ref().and_then(|heads| top(&heads.text, options.text_top));
        let image_top = start.as_ref().and_then(|heads| top(&heads.image, options.image_top));
        let projector = start.map(|heads| Projector::new(&heads, &device));
        let temperature = options.learn_temperature.then(|| LearntTemperature::new(options.temperature, &device));
        let weight_decay = WeightDecayConfig::new(options.weight_decay as f32);
        let adam = adam::config().with_weight_decay(Some(weight_decay)).init();
        let relevance = Relevance::needed(data, options);
        let start = projector.as_ref().filter(|_| options.anchor > 0.0).map(Projector::valid);
        Self {
            data,
            options,
            site: Site { device, precision: options.precision },
            relevance,
            projector,
            adam,
            start,
            text_attention,
            image_attention,
            text_top,
            image_top,
            temperature,
            loss: None,
        }
    }
}

impl<B: AutodiffBackend + Arithmetic> FrameworkLearner<'_, B> {
    /// The mean loss of the pairs of a batch.
    fn loss(&mut self, batch: &[usize]) -> Result<f32, TrainError> {
        let Self { data, options, site, relevance, .. } = self;
        let texts: Vec<usize> = batch.iter().map(|&pair_idx| data.pairs[pair_idx].0).collect();
        let images: Vec<usize> = batch.iter().map(|&pair_idx| data.pairs[pair_idx].1).collect();
        let text = inputs(data.text, &texts, (self.text_attention.as_ref(), self.text_top.as_ref()), site)?;
        let image = inputs(data.images, &images, (self.image_attention.as_ref(), self.image_top.as_ref()), site)?;
        let (text, image) = match &self.projector {
            Some(projector) => projector.forward(text, image, options.precision),
            None => (text, image),
        };
        let (text, image) =
            if options.normalize { (normalize_rows(text), normalize_rows(image)) } else { (text, image) };
        let similarities = product(text, image.transpose(), options.precision);
        let logits = match &self.temperature {
            Some(temperature) => temperature.divide(similarities),
            None => similarities / options.temperature,
        };
        let pairs = batch.iter().map(|&pair_idx| data.pairs[pair_idx]);
        let others = relevance.as_mut().map_or(&[][..], |relevance| relevance.others(pairs));
        let loss = match options.positives {
            Positives::Own => info_nce(logits),
            Positives::Mask => masked_info_nce(logits, others),
            Positives::All => spread_info_nce(logits, others),
        };
        self.loss = Some(loss.clone());
        Ok(loss.into_scalar().elem())
    }

    /// Changes the weights against the loss of the last batch, if there are any.
    fn learn(&mut self, rates: Rates) {
        let Rates { heads: lr, attention: attention_lr, share_of_layers } = rates;
        let (Some(projector), Some(loss)) = (self.projector.take(), self.loss.take()) else { return };
        let mut gradients = loss.backward();
        let mut of_projector = GradientsParams::from_module(&mut gradients, &projector);
        if let Some(start) = &self.start {
            projector.pull_to(start, self.options.anchor, &mut of_projector);
        }
        self.projector = Some(self.adam.step(lr, projector, of_projector));
        for attention in [&mut self.text_attention, &mut self.image_attention] {
            *attention = attention.take().map(|attention| attention.learn(&mut gradients, attention_lr));
        }
        for top in [&mut self.text_top, &mut self.image_top].into_iter().flatten() {
            top.learn(&mut gradients, share_of_layers);
        }
        self.temperature = self.temperature.take().map(|temperature| temperature.learn(&mut gradients, lr));
    }
}

impl<B: AutodiffBackend + Arithmetic> Learner for FrameworkLearner<'_, B> {
    fn announce(&self, batch: &[usize]) {
        self.data.announce(batch);
    }

    fn take(&mut self, steps: &[Step<'_>], taken: &mut Vec<Taken>, _: &dyn Fn() -> bool) -> Result<(), TrainError> {
        for step in steps {
            let (temperature, loss) = (self.temperature()?, self.loss(step.batch)?);
            self.learn(step.rates);
            taken.push(Taken { loss, temperature });
        }
        Ok(())
    }

    fn temperature(&self) -> Result<f32, TrainError> {
        Ok(self.temperature.as_ref().map_or(self.options.temperature as f32, LearntTemperature::value))
    }

    fn heads(&self) -> Result<Option<Heads>, TrainError> {
        let Some(projector) = &self.projector else { return Ok(None) };
        let mut heads = projector.valid().into_heads();
        heads.text.attention = self.text_attention.as_ref().map(LearntAttention::vector);
        heads.image.attention = self.image_attention.as_ref().map(LearntAttention::vector);
        heads.text.top = self.text_top.as_ref().map(DeviceTop::to_top);
        heads.image.top = self.image_top.as_ref().map(DeviceTop::to_top);
        Ok(Some(heads))
    }

    fn has_heads(&self) -> bool {
        self.projector.is_some()
    }
}

/// The inputs of a head for some rows.
///
/// # Shapes
/// returns `[n_rows, width]`
///
/// # Errors
/// When they cannot be read.
fn inputs<B: AutodiffBackend + Arithmetic>(
    features: Features<'_>,
    rows: &[usize],
    pools: (Option<&LearntAttention<B>>, Option<&DeviceTop<B>>),
    site: &Site<B>,
) -> io::Result<Tensor<B, 2>> {
    Ok(match (features, pools) {
        (Features::Vectors(vectors), _) => gather_rows(vectors, rows, &site.device)?,
        (Features::Tokens(tokens), (_, Some(top))) => top.forward(tokens, rows, site.precision)?,
        (Features::Tokens(tokens), (Some(attention), None)) => attention.pool(tokens, rows, site)?,
        (Features::Tokens(_), (None, None)) => panic!("BUG: tokens have a head that pools them"),
    })
}

//! What can be chosen about training, and what is refused before it begins.

use std::io;
use std::ops::RangeInclusive;

use super::positives::Positives;
use super::schedule::{LearningRate, LrSchedule};
use super::validation::ValidationError;
use super::{PairedFeatures, Validation};
use crate::device::{DeviceError, Precision};
use crate::heads::{Features, Head, Heads, Linear};
use crate::ranking;

/// The temperatures that can be learnt: those of open_clip, whose `logit_scale` stays between 0 and ln 100.
pub const LEARNT_TEMPERATURES: RangeInclusive<f64> = 0.01..=1.0;

/// The same as `ln(1 / temperature)`, which is what is learnt.
pub(crate) const LOGIT_SCALES: RangeInclusive<f32> = 0.0..=4.605_170_2;

/// Where the learnt number begins.
pub(crate) fn initial_logit_scale(temperature: f64) -> f32 {
    (1.0 / temperature).ln() as f32
}

/// The learning rate of the last layers of a tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopRate {
    /// That of the last layer; not negative.
    pub lr: f64,
    /// The factor from a layer to the one below it; not negative.
    pub decay: f64,
}

impl TopRate {
    /// The learning rate of a layer with so many others above it.
    pub(crate) fn of_layer(self, n_above: usize) -> f64 {
        self.lr * self.decay.powi(n_above.try_into().unwrap_or(i32::MAX))
    }
}

/// How to train; the defaults are the baseline notebook's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// Scale embeddings to length one before they are compared.
    pub normalize: bool,
    /// What the similarities are divided by; above 0.
    pub temperature: f64,
    /// Learn it with the heads, from there; within [`LEARNT_TEMPERATURES`].
    pub learn_temperature: bool,
    /// What other pairs of a batch are to a pair if their text and image belong together.
    pub positives: Positives,
    /// Adam's learning rate; not negative.
    pub lr: f64,
    /// That of the vectors by which tokens are weighed; not negative. It warms up and goes on like `lr`.
    pub attention_lr: f64,
    /// That of the last layers of the text encoder, where they are trained. It warms up and goes on like `lr`.
    pub text_top: TopRate,
    /// That of the last layers of the image encoder.
    pub image_top: TopRate,
    /// How it goes on once it has warmed up.
    pub lr_schedule: LrSchedule,
    /// The steps in which it rises to `lr`, in equal parts.
    pub warmup_steps: usize,
    /// This share of every weight is added to its gradient; not negative.
    pub weight_decay: f64,
    /// This share of the way that every weight has come from its start is added to its gradient, too; not negative.
    pub anchor: f64,
    /// Passes over the pairs.
    pub epochs: usize,
    /// Pairs per step; at least 1.
    pub batch_size: usize,
    /// Take the pairs of every epoch in another order: the one of `torch.randperm` after `torch.manual_seed(seed)`,
    /// drawn anew for every epoch.
    pub shuffle: bool,
    /// The seed of that order.
    pub seed: u64,
    /// The rounding that products may take.
    pub precision: Precision,
    /// The threads to use. Changes no bit of the result.
    pub n_threads: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            normalize: true,
            temperature: 0.07,
            learn_temperature: false,
            positives: Positives::Own,
            lr: 1e-3,
            attention_lr: 1e-2,
            text_top: TopRate { lr: 5e-5, decay: 0.9 },
            image_top: TopRate { lr: 1e-4, decay: 0.9 },
            lr_schedule: LrSchedule::Constant,
            warmup_steps: 0,
            weight_decay: 1e-4,
            anchor: 0.0,
            epochs: 2,
            batch_size: 16,
            shuffle: false,
            seed: 0,
            precision: Precision::F32,
            n_threads: 1,
        }
    }
}

/// Why heads could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// An option is out of its range.
    #[error("`{name}` is {value}, but must be {wanted}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        wanted: &'static str,
    },
    /// Features of different widths cannot be compared without heads.
    #[error("text features have {d_text} columns and image features {d_image}: without heads they must have as many")]
    Widths {
        /// Columns of the text features.
        d_text: usize,
        /// Columns of the image features.
        d_image: usize,
    },
    /// The heads to start from do not fit the features or each other.
    #[error("the {layer} has a weight of {found:?} and {n_bias} biases, but needs {wanted:?} and {}", wanted[0])]
    HeadShape {
        /// `text head` or `image head`, or the hidden layer of one.
        layer: &'static str,
        /// The weight's shape.
        found: [usize; 2],
        /// The length of the bias.
        n_bias: usize,
        /// The shape it needs.
        wanted: [usize; 2],
    },
    /// A head pools tokens and there are none, or the reverse, or its vector has another width than they.
    #[error("the {side} head weighs tokens by {found} numbers, but the features need {wanted}")]
    Attention {
        /// `text` or `image`.
        side: &'static str,
        /// The numbers of its vector; 0 without one.
        found: usize,
        /// The numbers of a token; 0 where rows have one vector.
        wanted: usize,
    },
    /// A head begins with layers, and there are no tokens to go through them.
    #[error("the {side} head begins with layers of the encoder, which go on from tokens: these are features")]
    LayersWithoutTokens {
        /// `text` or `image`.
        side: &'static str,
    },
    /// Tokens have another width than the layers.
    #[error("the {side} tokens have {found} numbers, but the layers that go on from them take {wanted}")]
    TokensOfLayers {
        /// `text` or `image`.
        side: &'static str,
        /// The numbers of a token.
        found: usize,
        /// Those that the layers take.
        wanted: usize,
    },
    /// A row has too few tokens for a feature.
    #[error("{side} row {row_idx} has too few tokens for the pooling after the layers that are trained")]
    ShortRow {
        /// `text` or `image`.
        side: &'static str,
        /// The row.
        row_idx: usize,
    },
    /// Held-out features are of another width than those of the training.
    #[error(
        "held-out {side} features have {found} columns, but those of the training have {wanted}: they need the same \
        encoder"
    )]
    HeldOut {
        /// `text` or `image`.
        side: &'static str,
        /// Columns of the held-out features.
        found: usize,
        /// Columns of the training's.
        wanted: usize,
    },
    /// A pair names a row that does not exist.
    #[error("pair {pair_idx} names {side} row {row}, but there are {n_rows}")]
    Pair {
        /// The pair's place.
        pair_idx: usize,
        /// `text` or `image`.
        side: &'static str,
        /// The row that it names.
        row: usize,
        /// The rows there are.
        n_rows: usize,
    },
    /// A loss or weight became infinite or NaN.
    #[error(
        "the {what} at epoch {epoch}, step {step} is not finite: \
         try a lower `lr` or a higher `temperature`, and look for features that are not finite"
    )]
    NotFinite {
        /// `loss` or `weights`.
        what: &'static str,
        /// The epoch, from 0.
        epoch: usize,
        /// The step within its epoch, from 0.
        step: usize,
    },
    /// Closed-form heads have no solution in the numbers at hand.
    #[error(
        "the covariances of the features cannot be solved: look for features that are not finite, or raise `penalty`"
    )]
    Unsolvable,
    /// The observer asked to stop.
    #[error("training was stopped at epoch {epoch}, step {step}")]
    Stopped {
        /// The epoch, from 0.
        epoch: usize,
        /// The step within its epoch, from 0.
        step: usize,
    },
    /// The device cannot be used, or fails.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Features cannot be read.
    #[error("the features cannot be read")]
    Read(#[from] io::Error),
    /// The heads cannot be measured on the held-out data.
    #[error("the heads cannot be measured on the held-out data")]
    Validation(#[from] ValidationError),
}

impl TrainError {
    /// Advice on a device that fails.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Device(error) => Some(error.help()),
            Self::Validation(ValidationError::Rank(error)) => ranking::help(error),
            _ => None,
        }
    }
}

impl TrainOptions {
    /// The steps of a training on so many pairs.
    ///
    /// `batch_size` must not be 0.
    pub fn n_steps(&self, n_pairs: usize) -> usize {
        n_pairs.div_ceil(self.batch_size) * self.epochs
    }

    /// The learning rates of heads and of the vectors by which tokens are weighed, and one of 1 for shares.
    pub(super) fn learning_rates(&self, n_pairs: usize) -> [LearningRate; 3] {
        let Self { lr, attention_lr, lr_schedule, warmup_steps, .. } = *self;
        let n_steps = self.n_steps(n_pairs);
        [lr, attention_lr, 1.0].map(|lr| LearningRate { lr, schedule: lr_schedule, warmup_steps, n_steps })
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        let refuse = |name, value, wanted| Err(TrainError::Option { name, value, wanted });
        let is_number_from_zero = |value: f64| value.is_finite() && value >= 0.0;
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return refuse("temperature", self.temperature, "a number above 0");
        }
        if self.learn_temperature && !LEARNT_TEMPERATURES.contains(&self.temperature) {
            return refuse("temperature", self.temperature, "between 0.01 and 1 to be learnt");
        }
        for (name, value) in [
            ("lr", self.lr),
            ("attention_lr", self.attention_lr),
            ("weight_decay", self.weight_decay),
            ("anchor", self.anchor),
            ("lr_top", self.text_top.lr),
            ("lr_top", self.image_top.lr),
            ("lr_decay", self.text_top.decay),
            ("lr_decay", self.image_top.decay),
        ] {
            if !is_number_from_zero(value) {
                return refuse(name, value, "a number that is not negative");
            }
        }
        if self.batch_size == 0 {
            return refuse("batch_size", 0.0, "at least 1");
        }
        Ok(())
    }
}

pub(super) fn check_shapes(text: Features<'_>, images: Features<'_>, start: Option<&Heads>) -> Result<(), TrainError> {
    let [of_text, of_images] = [start.map(|heads| &heads.text), start.map(|heads| &heads.image)];
    let (d_text, d_image) = (d_features("text", text, of_text)?, d_features("image", images, of_images)?);
    for (side, features, head) in [("text", text, of_text), ("image", images, of_images)] {
        if head.is_some_and(|head| head.top.is_some()) {
            continue;
        }
        let found = head.and_then(|head| head.attention.as_ref()).map(Vec::len);
        let wanted = features.vectors().is_none().then_some(features.width());
        if found != wanted {
            return Err(TrainError::Attention { side, found: found.unwrap_or(0), wanted: wanted.unwrap_or(0) });
        }
    }
    let Some(heads) = start else {
        return if d_text == d_image { Ok(()) } else { Err(TrainError::Widths { d_text, d_image }) };
    };
    check_head(["text head", "hidden layer of the text head"], &heads.text, d_text, heads.dim())?;
    check_head(["image head", "hidden layer of the image head"], &heads.image, d_image, heads.dim())
}

/// The width of the features that a head's linear layers get.
fn d_features(side: &'static str, features: Features<'_>, head: Option<&Head>) -> Result<usize, TrainError> {
    let Some(top) = head.and_then(|head| head.top.as_ref()) else { return Ok(features.width()) };
    let Features::Tokens(tokens) = features else { return Err(TrainError::LayersWithoutTokens { side }) };
    let (found, wanted) = (tokens.width(), top.width());
    if found != wanted {
        return Err(TrainError::TokensOfLayers { side, found, wanted });
    }
    match top.first_short_row(tokens) {
        None => Ok(top.dim()),
        Some(row_idx) => Err(TrainError::ShortRow { side, row_idx }),
    }
}

fn check_head(names: [&'static str; 2], head: &Head, d_features: usize, dim: usize) -> Result<(), TrainError> {
    let Some(hidden) = &head.hidden else { return check_layer(names[0], &head.output, [dim, d_features]) };
    let d_hidden = hidden.weight.n_rows;
    check_layer(names[1], hidden, [d_hidden, d_features])?;
    check_layer(names[0], &head.output, [dim, d_hidden])
}

fn check_layer(layer: &'static str, linear: &Linear, wanted: [usize; 2]) -> Result<(), TrainError> {
    let (found, n_bias) = ([linear.weight.n_rows, linear.weight.n_cols], linear.bias.len());
    if found == wanted && n_bias == wanted[0] {
        return Ok(());
    }
    Err(TrainError::HeadShape { layer, found, n_bias, wanted })
}

pub(super) fn check_held_out(data: &PairedFeatures<'_>, held_out: &Validation<'_>) -> Result<(), TrainError> {
    for (side, training, held_out) in [("text", data.text, held_out.text), ("image", data.images, held_out.images)] {
        let (found, wanted) = (held_out.width(), training.width());
        if found != wanted || held_out.vectors().is_none() != training.vectors().is_none() {
            return Err(TrainError::HeldOut { side, found, wanted });
        }
    }
    Ok(())
}

pub(super) fn check_pairs(n_texts: usize, n_images: usize, pairs: &[(usize, usize)]) -> Result<(), TrainError> {
    for (pair_idx, &(text_row, image_row)) in pairs.iter().enumerate() {
        for (side, row, n_rows) in [("text", text_row, n_texts), ("image", image_row, n_images)] {
            if row >= n_rows {
                return Err(TrainError::Pair { pair_idx, side, row, n_rows });
            }
        }
    }
    Ok(())
}

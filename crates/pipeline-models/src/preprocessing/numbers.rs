//! Mean, deviation and factor: from the levels of a pixel to the numbers of an encoder.

use std::path::Path;

use serde_json::Value;

use super::Config;
use crate::forward::pixels::PixelTable;
use crate::weights::ModelError;

/// Levels become fractions.
pub(super) const FACTOR: f64 = 1.0 / 255.0;

/// The numbers of the levels of a pixel: `(level · factor - mean) / std`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preprocessing {
    pub(crate) factor: f64,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// A mean or a deviation, and the file that says it.
pub(super) type Said<'a> = Option<(&'a Path, [f32; 3])>;

impl Preprocessing {
    /// Mean and deviation of ImageNet's channels, as torchvision and timm have them.
    pub(crate) const IMAGENET: Self = Self { factor: FACTOR, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// Mean and deviation of CLIP's images.
    pub(crate) const CLIP: Self = Self {
        factor: FACTOR,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    };

    /// From -1 to 1.
    pub(crate) const HALF: Self = Self { factor: FACTOR, mean: [0.5; 3], std: [0.5; 3] };

    /// The numbers of all levels.
    pub(crate) fn table(&self) -> PixelTable {
        PixelTable::new(self.factor, self.mean, self.std)
    }
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self::IMAGENET
    }
}

impl std::fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mean {:?} std {:?}", self.mean, self.std)?;
        if self.factor == FACTOR { Ok(()) } else { write!(f, " factor {}", self.factor) }
    }
}

/// A mean and a deviation, as far as a file says them.
pub(super) type MeanAndStd = (Option<[f32; 3]>, Option<[f32; 3]>);

/// Three numbers, one a channel; a single one is that of all.
pub(super) fn channels(config: &Config, name: &str, path: &Path) -> Result<Option<[f32; 3]>, ModelError> {
    let numbers: Option<Vec<f64>> = match config.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
        Some(value) => value.as_f64().map(|value| vec![value; 3]),
    };
    let is_std = name.ends_with("std");
    let is_usable = |value: &f32| value.is_finite() && (!is_std || *value > 0.0);
    let numbers = numbers.unwrap_or_default().into_iter().map(|value| value as f32).collect::<Vec<_>>();
    match <[f32; 3]>::try_from(numbers).ok().filter(|numbers| numbers.iter().all(is_usable)) {
        Some(numbers) => Ok(Some(numbers)),
        None => {
            let what = format!("`{name}` is {} instead of three usable numbers", config[name]);
            Err(ModelError::Unsupported { path: path.to_owned(), what })
        }
    }
}

/// The statement of two files, which must be the same.
pub(super) fn agreed<'a>(what: &str, first: Said<'a>, second: Said<'a>) -> Result<Said<'a>, ModelError> {
    match (first, second) {
        (Some((path, one)), Some((other, two))) if one != two => {
            let what = format!("its {what} is {one:?}, and {two:?} in `{}`", other.display());
            Err(ModelError::Unsupported { path: path.to_owned(), what })
        }
        (first, second) => Ok(second.or(first)),
    }
}

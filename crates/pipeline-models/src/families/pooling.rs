//! The ways from many vectors to one that families have, and the refusal of those that a model does not have.

use std::path::Path;

use crate::weights::ModelError;

/// The way from the vectors of a text's tokens to its feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The vector of the first token, such as `[CLS]`, without a pooler.
    #[default]
    Cls,
    /// The mean over all tokens, special ones included.
    Mean,
    /// The vector that the model's own pooler makes.
    Pooler,
    /// The vector in the space that texts and images share.
    Projected,
    /// The vectors of all tokens.
    Tokens,
}

/// The way from the vectors of an image's patches to its feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImagePooling {
    /// The mean over the places of the last map, and the norm after it where there is one.
    Avg,
    /// The class token after the last norm.
    Cls,
    /// The mean over the patches after the last norm.
    Mean,
    /// The vector that the model's own pooler makes.
    Pooler,
    /// The vector in the space that texts and images share.
    Projected,
    /// The vectors of all tokens.
    Tokens,
}

impl Pooling {
    /// The name that files and specs have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Pooler => "pooler",
            Self::Projected => "projected",
            Self::Tokens => "tokens",
        }
    }
}

impl ImagePooling {
    /// The name that files and specs have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Pooler => "pooler",
            Self::Projected => "projected",
            Self::Tokens => "tokens",
        }
    }
}

/// The way from the cells of the last map of a network of convolutions to its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapPooling {
    /// The mean over the cells.
    Mean,
    /// Each cell is a vector.
    Cells,
}

impl MapPooling {
    /// The pooling of a network that has no other than the mean.
    ///
    /// # Errors
    /// When another one is asked for.
    pub(super) fn of(pooling: Option<ImagePooling>, path: &Path) -> Result<Self, ModelError> {
        match pooling {
            None | Some(ImagePooling::Avg) => Ok(Self::Mean),
            Some(ImagePooling::Tokens) => Ok(Self::Cells),
            Some(other) => {
                let what = refusal(other.name(), &[ImagePooling::Avg.name()]);
                Err(ModelError::Choice { param: "pooling", path: path.to_owned(), what })
            }
        }
    }

    /// The name that specs have for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mean => ImagePooling::Avg.name(),
            Self::Cells => ImagePooling::Tokens.name(),
        }
    }
}

/// Why a model does not have the pooling `asked`, given the names of those that it has.
pub(super) fn refusal(asked: &str, there: &[&str]) -> String {
    let lacks = match asked {
        "projected" => "this model has no projection".to_owned(),
        "cls" => "it has no class token".to_owned(),
        "pooler" => "it has no pooler".to_owned(),
        other => format!("it has no pooling `{other}`"),
    };
    let quoted: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => lacks,
        [only] => format!("{lacks}; {only} is there"),
        [first @ .., last] => format!("{lacks}; {} and {last} are there", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_poolings_that_are_there() {
        assert_eq!(refusal("projected", &["cls", "mean"]), "this model has no projection; `cls` and `mean` are there");
        assert_eq!(refusal("cls", &["avg"]), "it has no class token; `avg` is there");
    }
}

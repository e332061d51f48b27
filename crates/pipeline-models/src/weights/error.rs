//! Errors of finding, reading and using a model.

use std::path::PathBuf;

use crate::device::DeviceError;
use crate::tower::TopError;

/// The number of problems that one message lists; the rest is counted.
const N_LISTED: usize = 10;

/// The reason why a model cannot be found, read or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No place holds a usable model of this name.
    #[error(
        "{family} model `{model}` was not found, and nothing is ever downloaded; looked in:{}{}",
        places(.looked_in),
        not_set(.unset)
    )]
    NotFound {
        /// The kind of model, `text` or `image`.
        family: &'static str,
        /// The requested path or name.
        model: String,
        /// The required files: the forms of a model, one a line.
        needed: &'static [&'static str],
        /// Every place that was searched, and its fault.
        looked_in: Vec<(PathBuf, String)>,
        /// Unset variables that would have named more places.
        unset: Vec<String>,
    },
    /// Several checkpoints match a name equally well.
    #[error(
        "{family} model `{model}` may be any of {} checkpoints, so name one of them by its path:{}",
        paths.len(),
        lines(.paths)
    )]
    Ambiguous {
        /// The kind of model, `text` or `image`.
        family: &'static str,
        /// The requested path or name.
        model: String,
        /// The checkpoints.
        paths: Vec<PathBuf>,
    },
    /// The name of a checkpoint that nothing describes is not that of a plain ResNet.
    #[error(
        "`{name}` is by its name a {architecture}, and a checkpoint without `config.json` is read as a plain ResNet"
    )]
    Named {
        /// The name of the model or of its weights.
        name: String,
        /// The architecture of models with this name.
        architecture: String,
    },
    /// A file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file's content does not match its name.
    #[error("`{}` {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The fault, such as `is empty`.
        problem: String,
    },
    /// A JSON file is not valid or lacks a field.
    #[error("`{}` is not a usable configuration", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The model is of an unsupported family or variant.
    #[error("`{}` describes a model that is not supported: {what}", path.display())]
    Unsupported {
        /// The file that shows it.
        path: PathBuf,
        /// The unsupported feature.
        what: String,
    },
    /// The model is of a family that this program does not know.
    #[error(
        "`{}` describes a model that is not supported: {named}; {side} models are of {families}; vectors of any other \
         tool can be brought in by `import-{side}-features`",
        path.display()
    )]
    UnknownFamily {
        /// The file that says so.
        path: PathBuf,
        /// The words of the file about the family.
        named: String,
        /// The kind of model, `text` or `image`.
        side: &'static str,
        /// The families that are computed.
        families: String,
    },
    /// The weights do not fit the model.
    #[error("the weights in `{}` do not fit: {}{}", path.display(), listed(.problems), having(.found))]
    Weights {
        /// The file, or the first of several.
        path: PathBuf,
        /// All faults, one per tensor.
        problems: Vec<String>,
        /// Where tensors are missing, the first of those that exist.
        found: Option<String>,
    },
    /// The vocabulary or the tokenizer's file cannot be used.
    #[error("`{}` is not a usable tokenizer", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A text cannot be split into tokens.
    #[error("text {text_idx} cannot be split into tokens")]
    Tokenize {
        /// The index of the text in the request.
        text_idx: usize,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The limit of tokens does not suit the model.
    #[error("`max_length` is {max_length}, and this model takes from 2 to {max_positions} tokens")]
    MaxLength {
        /// The requested limit.
        max_length: usize,
        /// The number of positions of the model.
        max_positions: usize,
    },
    /// The model is supported, and does not have what a param asks for.
    #[error("`{}` has not what is asked for: {what}", .path.display())]
    Choice {
        /// The param.
        param: &'static str,
        /// The file that says so.
        path: PathBuf,
        /// What it has instead.
        what: String,
    },
    /// The model takes texts of one length only.
    #[error("`max_length` is {max_length}, and this model always reads {padding} tokens, padding included")]
    FixedLength {
        /// The requested limit.
        max_length: usize,
        /// The tokens of every text.
        padding: usize,
    },
    /// A feature is infinite or not a number.
    #[error("the features of row {row_idx} are not finite; the weights are probably damaged")]
    NotFinite {
        /// The index of the row in the request.
        row_idx: usize,
    },
    /// The last layers cannot be taken off.
    #[error(transparent)]
    Top(#[from] TopError),
    /// The device cannot be used, or fails.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl ModelError {
    /// Advice on a device that fails, or on a missing model: the forms of one, and the variables that would name more
    /// places.
    pub fn help(&self) -> Option<String> {
        let (family, needed) = match self {
            Self::NotFound { family, needed, .. } => (family, needed),
            Self::Device(error) => return Some(error.help()),
            _ => return None,
        };
        let forms: String = needed.iter().map(|form| format!("\n- {form}")).collect();
        let article = if *family == "image" { "an" } else { "a" };
        Some(format!("put it there, or name its folder; {article} {family} model is{forms}"))
    }

    /// The param that asks for something that the model does not have.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Choice { param, .. } => Some(param),
            Self::MaxLength { .. } | Self::FixedLength { .. } => Some("max_length"),
            _ => None,
        }
    }
}

/// Each place on its own line.
fn places(looked_in: &[(PathBuf, String)]) -> String {
    looked_in.iter().map(|(path, why)| format!("\n- `{}`: {why}", path.display())).collect()
}

fn lines(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("\n`{}`", path.display())).collect()
}

fn not_set(unset: &[String]) -> String {
    let names: Vec<String> = unset.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!("\nnot set: {}, which name more places", names.join(", ")),
    }
}

fn listed(problems: &[String]) -> String {
    let mut text = problems.iter().take(N_LISTED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if problems.len() > N_LISTED {
        text.push_str(&format!("; and {} more", problems.len() - N_LISTED));
    }
    text
}

fn having(found: &Option<String>) -> String {
    found.as_ref().map(|found| format!("; it has {found}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_problems_are_listed_and_the_rest_is_counted() {
        let problems: Vec<_> = (0..12).map(|idx| format!("`t{idx}` is missing")).collect();
        let text = ModelError::Weights { path: "m.bin".into(), problems, found: None }.to_string();
        assert!(text.starts_with("the weights in `m.bin` do not fit: `t0` is missing; `t1` is missing"), "{text}");
        assert!(text.ends_with("`t9` is missing; and 2 more"), "{text}");
    }

    #[test]
    fn a_missing_model_lists_every_place_on_a_line() {
        let text = ModelError::NotFound {
            family: "text",
            model: "bert".into(),
            needed: &["config.json"],
            looked_in: vec![("a/bert".into(), "no such folder".into()), ("b".into(), "no such folder".into())],
            unset: vec!["HF_HOME".into(), "TORCH_HOME".into()],
        }
        .to_string();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let last = "not set: `HF_HOME`, `TORCH_HOME`, which name more places";
        assert_eq!(lines, ["- `a/bert`: no such folder", "- `b`: no such folder", last]);
    }
}

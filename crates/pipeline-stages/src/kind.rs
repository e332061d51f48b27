//! The declaration of a stage kind, and the checks that need only declarations.

use std::collections::BTreeMap;

use pipeline_core::{Stage, StageId};
use pipeline_spec::{Node, PipelineSpec, Span, Spanned, SpecError, StageSpec, did_you_mean, meant, nearest};
use serde::{Deserialize, Serialize};

use crate::{KINDS, Settings, artifact, tokens};

/// The format of an artifact, so that inputs can be checked before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Query rows.
    Queries,
    /// Decoded images.
    Images,
    /// One vector per query.
    TextFeatures,
    /// One vector per image.
    ImageFeatures,
    /// The vectors of all tokens of each query.
    TextTokens,
    /// The vectors of all tokens of each image.
    ImageTokens,
    /// Trained heads.
    Projection,
    /// Metrics and rankings.
    Evaluation,
    /// The files of an external program, which may have any of the above formats.
    Files,
}

impl Format {
    /// The required files of an artifact in this format, with one shard if it has shards.
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Queries | Self::Images => &["part-00000.parquet"],
            Self::TextFeatures | Self::ImageFeatures | Self::TextTokens | Self::ImageTokens => {
                &[artifact::FEATURES, "part-00000.parquet"]
            }
            Self::Projection => &[artifact::PROJECTION],
            Self::Evaluation => &[artifact::METRICS, artifact::RANKINGS],
            Self::Files => &[],
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Queries => "queries",
            Self::Images => "decoded images",
            Self::TextFeatures => "text features",
            Self::ImageFeatures => "image features",
            Self::TextTokens => "tokens of texts",
            Self::ImageTokens => "tokens of images",
            Self::Projection => "a projection",
            Self::Evaluation => "an evaluation",
            Self::Files => "files",
        }
    }
}

/// An input of a kind.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Slot {
    /// Its name under `inputs`.
    pub name: &'static str,
    /// Its required format.
    pub accepts: Format,
    /// The other format that it takes, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or: Option<Format>,
    /// Whether it is required.
    pub is_required: bool,
    /// Its purpose.
    pub summary: &'static str,
}

impl Slot {
    /// A required input.
    pub(crate) const fn required(name: &'static str, accepts: Format, summary: &'static str) -> Self {
        Self { name, accepts, or: None, is_required: true, summary }
    }

    /// An optional input.
    pub(crate) const fn optional(name: &'static str, accepts: Format, summary: &'static str) -> Self {
        Self { name, accepts, or: None, is_required: false, summary }
    }

    /// The same input, which takes features before their pooling, too.
    pub(crate) const fn or_tokens(self) -> Self {
        let or = match self.accepts {
            Format::TextFeatures => Some(Format::TextTokens),
            Format::ImageFeatures => Some(Format::ImageTokens),
            _ => None,
        };
        Self { or, ..self }
    }

    fn takes(&self, format: Format) -> bool {
        self.accepts == format || self.or == Some(format)
    }
}

/// A stage kind: a row of the registry.
pub struct Kind {
    /// The name in specs.
    pub name: &'static str,
    /// The version of the code, raised whenever the same inputs give other bytes.
    pub version: u32,
    /// One line on its purpose.
    pub summary: &'static str,
    /// The inputs; `None` means any number under any name.
    pub slots: Option<&'static [Slot]>,
    /// The format of its artifact.
    pub produces: Format,
    /// The format of its artifact with `pooling: tokens`, if it has that.
    pub tokens: Option<Format>,
    /// The possible files of its artifacts; empty where the params decide.
    pub files: &'static [&'static str],
    /// The JSON Schema of its params, with defaults and docs.
    pub params_schema: fn() -> serde_json::Value,
    pub(crate) build: fn(BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError>,
}

impl Kind {
    /// The format of the artifact of a stage with these params.
    pub(crate) fn makes(&self, params: &Node) -> Format {
        self.tokens.filter(|_| tokens::is_unpooled(params)).unwrap_or(self.produces)
    }
}

/// The arguments of a kind's `build`.
#[derive(Clone, Copy)]
pub(crate) struct BuildContext<'a> {
    pub(crate) spec: &'a PipelineSpec,
    pub(crate) stage: &'a StageSpec,
    pub(crate) settings: &'a Settings,
}

/// The kind of a stage in the spec.
pub(crate) fn of(stage: &StageSpec) -> Result<&'static Kind, SpecError> {
    let name = stage.kind.value.as_str();
    crate::kind(name).ok_or_else(|| {
        let help = match did_you_mean(&meant_kinds(name)) {
            Some(question) => format!("{question} `pipeline stages` lists all kinds"),
            None => "`pipeline stages` lists all kinds".to_owned(),
        };
        SpecError::at(&stage.kind.span, format!("unknown kind `{name}`")).with_help(help)
    })
}

/// The kinds that a name may mean: a near one, else those that share a word with it.
pub fn meant_kinds(name: &str) -> Vec<&'static str> {
    let names = || KINDS.iter().map(|kind| kind.name);
    let near = meant(name, names());
    if !near.is_empty() {
        return near;
    }
    let words: Vec<String> = name.to_lowercase().split(['-', '_', ' ']).map(str::to_owned).collect();
    let shares = |kind: &&str| kind.split('-').any(|part| words.iter().any(|word| word == part));
    names().filter(shares).collect()
}

/// Checks that every stage has the inputs of its kind, each with the right format.
pub(crate) fn check_inputs(spec: &PipelineSpec) -> Result<(), SpecError> {
    let mut kinds: BTreeMap<&StageId, &'static Kind> = BTreeMap::new();
    for stage in &spec.stages {
        kinds.insert(&stage.id, of(stage)?);
    }
    spec.stages.iter().try_for_each(|stage| {
        let kind = kinds[&stage.id];
        let Some(slots) = kind.slots else { return Ok(()) };
        check_names(stage, kind, slots)?;
        check_formats(spec, stage, slots, &kinds)
    })
}

fn check_names(stage: &StageSpec, kind: &Kind, slots: &[Slot]) -> Result<(), SpecError> {
    let names = || slots.iter().map(|slot| slot.name);
    let list = || match slots {
        [] => format!("`{}` takes no inputs", kind.name),
        _ => {
            let quoted =
                |slot: &Slot| if slot.is_required { format!("`{}`", slot.name) } else { format!("[`{}`]", slot.name) };
            format!("`{}` takes {}", kind.name, slots.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
    };
    for (name, _) in &stage.inputs {
        if !names().any(|known| known == name.value) {
            let help = match nearest(&name.value, names()) {
                Some(known) => format!("did you mean `{known}`? {}", list()),
                None => list(),
            };
            return Err(SpecError::at(&name.span, format!("unknown input `{}`", name.value)).with_help(help));
        }
    }
    for slot in slots.iter().filter(|slot| slot.is_required) {
        if !stage.inputs.iter().any(|(name, _)| name.value == slot.name) {
            let message = format!("stage `{}` has no input `{}`: {}", stage.id, slot.name, slot.summary);
            return Err(SpecError::at(&stage.span, message).with_help(list()));
        }
    }
    Ok(())
}

fn check_formats(
    spec: &PipelineSpec,
    stage: &StageSpec,
    slots: &[Slot],
    kinds: &BTreeMap<&StageId, &'static Kind>,
) -> Result<(), SpecError> {
    for (name, from) in &stage.inputs {
        let Some(slot) = slots.iter().find(|slot| slot.name == name.value) else { continue };
        let (Some(producer), Some(maker)) = (kinds.get(&from.value), spec.stage(&from.value)) else { continue };
        if producer.produces == Format::Files {
            check_files(spec, stage, slot, from, producer)?;
        }
        let made = producer.makes(&maker.params);
        if !slot.takes(made) && made != Format::Files {
            let message = format!(
                "input `{}` of `{}` takes {}, but `{}` makes {}",
                slot.name,
                stage.id,
                slot.accepts.describe(),
                from.value,
                made.describe()
            );
            return Err(SpecError::at(&from.span, message).with_help(help(spec, slot, made, maker)));
        }
    }
    Ok(())
}

/// The way to an input of the format `wanted`, given that `maker` makes `made`.
fn help(spec: &PipelineSpec, slot: &Slot, made: Format, maker: &StageSpec) -> String {
    let wanted = slot.accepts;
    match (wanted, made) {
        (Format::TextFeatures, Format::TextTokens) | (Format::ImageFeatures, Format::ImageTokens) => {
            format!("another `pooling` of `{}` gives one vector for each row", maker.id)
        }
        (Format::TextTokens, Format::TextFeatures) if maker.kind.value == "extract-text" => {
            format!("`layers: -2` in the params of `{}` leaves the last two layers out and gives tokens", maker.id)
        }
        _ => {
            let makes = |kind: &&&Kind| kind.produces == wanted || kind.tokens == Some(wanted);
            let makers: Vec<_> = KINDS.iter().filter(makes).map(|kind| format!("`{}`", kind.name)).collect();
            let stages = spec.stages.iter().filter(|stage| slot.takes(crate::format_of(stage)));
            let names: Vec<_> = stages.map(|stage| format!("`{}`", stage.id)).collect();
            match names.as_slice() {
                [] => format!("name a stage of kind {} here", makers.join(" or ")),
                names => format!("name a stage of kind {} here: {}", makers.join(" or "), names.join(", ")),
            }
        }
    }
}

/// The outputs in the params of a program.
#[derive(Deserialize)]
struct DeclaredOutputs {
    outputs: Vec<String>,
}

/// The files and folders that the params of a stage declare as its outputs.
///
/// # Errors
/// When the params declare none, or not as a list of texts.
pub(crate) fn declared_outputs(stage: &StageSpec) -> Result<Vec<String>, SpecError> {
    pipeline_spec::params::<DeclaredOutputs>(&stage.params).map(|params| params.outputs)
}

/// Refuses a stage with arbitrary files in a slot whose files it does not declare; a kind without that param has its
/// own.
fn check_files(
    spec: &PipelineSpec,
    stage: &StageSpec,
    slot: &Slot,
    from: &Spanned<StageId>,
    producer: &Kind,
) -> Result<(), SpecError> {
    let outputs = match spec.stage(&from.value).and_then(|stage| declared_outputs(stage).ok()) {
        Some(outputs) => outputs,
        None => producer.files.iter().map(|file| (*file).to_owned()).collect(),
    };
    let Some(missing) = slot.accepts.files().iter().find(|file| !outputs.iter().any(|output| output == *file)) else {
        return Ok(());
    };
    let message = format!(
        "input `{}` of `{}` takes {}, and `{}` does not declare its `{missing}`",
        slot.name,
        stage.id,
        slot.accepts.describe(),
        from.value
    );
    let files: Vec<_> = slot.accepts.files().iter().map(|file| format!("`{file}`")).collect();
    let import = match slot.accepts {
        Format::TextFeatures => "import-text-features",
        Format::ImageFeatures => "import-image-features",
        _ => "",
    };
    let import = match import {
        "" => String::new(),
        kind => {
            format!("; for vectors in another form, put a stage of kind `{kind}` between, with `from: {}`", from.value)
        }
    };
    let help = format!("a program that makes {} leaves {}{import}", slot.accepts.describe(), files.join(" and "));
    Err(SpecError::at(&from.span, message).with_help(help))
}

/// The params as they enter the manifest: canonical JSON text by name.
///
/// Fields that serde skips (`skip_serializing`) do not enter: paths, whose content enters as a source, and params that
/// only affect speed.
pub(crate) fn manifest_params<T: Serialize>(params: &T) -> BTreeMap<String, String> {
    let value = serde_json::to_value(params).expect("params are plain data");
    let serde_json::Value::Object(fields) = value else { panic!("BUG: params are a struct") };
    fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

/// Keeps params out of the manifest while they are off, so that older keys stay valid.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// The JSON Schema of a params struct.
pub(crate) fn schema<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

/// The place of a param, or of all params when it is absent.
pub(crate) fn span_of<'a>(params: &'a Node, name: &str) -> &'a Span {
    params.get(name).map_or(&params.span, |value| &value.span)
}

//! Refuses to compare features and heads of different encodings: the recall of such a pair is meaningless.
//!
//! Compares the spec's declarations before anything runs ([`check_spec`]), and those of artifacts before they are used
//! ([`must_match`]).

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use pipeline_core::{InputArtifact, Source, StageContext, StageError};
use pipeline_models::EncoderModel;
use pipeline_models::checkpoint::{Checkpoint, FeatureSpace};
use pipeline_spec::{PipelineSpec, SpecError, StageSpec};

use crate::artifact;
use crate::export::Side;
use crate::kind::{BuildContext, Format};
use crate::pooled::TOKEN_POOL;
use crate::tokens::PRECISION;
use crate::{decode_images, extract_image, extract_text, import_features};

const HELP: &str = "both must be made with the same encoder and options, which `vars` can name once; \
                    `allow_mismatch: true` takes them as they are";

/// Features or heads, for messages: `input `text`` or `the heads of input `projection``.
pub(crate) struct Named<'a> {
    /// Their name.
    pub(crate) name: &'a str,
    /// Their space; `None` where their file has none.
    pub(crate) space: Option<&'a FeatureSpace>,
}

/// Refuses features whose space differs from that of `reference`. With `allows`, warns the user instead.
///
/// # Errors
/// When the spaces differ.
pub(crate) fn must_match(
    context: &StageContext<'_>,
    features: &Named<'_>,
    reference: &Named<'_>,
    allows: bool,
) -> Result<(), StageError> {
    match mismatch(features, reference) {
        None => Ok(()),
        Some(message) if allows => {
            context.host.warn(format!("{message} (`allow_mismatch: true`)"));
            Ok(())
        }
        Some(message) => Err(StageError::new(message).with_help(HELP)),
    }
}

/// Refuses to map features by heads that were trained on others.
///
/// # Errors
/// When the spaces differ, or the artifact cannot be read.
pub(crate) fn must_be_of_heads(heads: &Checkpoint, side: Side, features: &InputArtifact) -> Result<(), StageError> {
    let space = artifact::feature_space(features)?;
    let trained_on = heads.trained_on.as_ref().map(|on| match side {
        Side::Text => &on.text,
        Side::Images => &on.images,
    });
    let features = Named { name: &format!("input `{}`", side.name()), space: space.as_ref() };
    match mismatch(&features, &Named { name: "the heads", space: trained_on }) {
        None => Ok(()),
        Some(message) => Err(StageError::new(message).with_help(HELP)),
    }
}

/// Describes the difference of features from `reference`; `None` if they belong together or a file has no space.
pub(crate) fn mismatch(features: &Named<'_>, reference: &Named<'_>) -> Option<String> {
    let (own, other) = (features.space?, reference.space?);
    let differences = own.differences(other);
    // Only resized images depend on filter and fit: where no image was resized, the properties are absent.
    let are_resized = [own, other].iter().all(|space| space.properties.contains_key(extract_image::RESIZE));
    let counts =
        |(name, _, _): &(&str, Option<&str>, Option<&str>)| are_resized || !extract_image::OF_RESIZE.contains(name);
    // Features do not say how heads pool their tokens.
    let is_known = |(name, own, other): &(&str, Option<&str>, Option<&str>)| {
        *name != TOKEN_POOL || (own.is_some() && other.is_some())
    };
    let parts: Vec<String> = differences
        .into_iter()
        .filter(counts)
        .filter(is_known)
        .map(|(name, own, other)| format!("{name} is {} and not {}", shown(name, own), shown(name, other)))
        .collect();
    (!parts.is_empty())
        .then(|| format!("{} does not belong to {}: its {}", features.name, reference.name, parts.join(", its ")))
}

/// A value in a message; a digest is shortened. Spaces lack properties that have their usual value.
fn shown(name: &str, value: Option<&str>) -> String {
    match value {
        None => match name {
            "fit" => "`squash`".to_owned(),
            "crop_offset" => "`down`".to_owned(),
            "edge" => "that of the pixels".to_owned(),
            extract_image::ALPHA => "`drop`".to_owned(),
            PRECISION => "`f32`".to_owned(),
            _ => "unknown".to_owned(),
        },
        Some(value) if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("`{}`", &value[..12])
        }
        Some(value) => format!("`{value}`"),
    }
}

/// The width of features, and the pooling that they are made by where it is known.
pub(crate) struct Width {
    pub(crate) dim: usize,
    pub(crate) pooling: Option<String>,
}

impl Width {
    /// The width of a model's vectors; `None` where its files show none, which is reported elsewhere.
    pub(crate) fn of(model: &dyn EncoderModel) -> Option<Self> {
        Some(Self { dim: model.dim().ok()?, pooling: Some(model.pooling().to_owned()) })
    }

    /// The width of a stage's features according to the spec; `None` where its model shows none.
    pub(crate) fn declared(context: &BuildContext<'_>, maker: &StageSpec) -> Option<Self> {
        let search = &context.settings.model_search;
        match maker.kind.value.as_str() {
            "extract-text" => extract_text::width(&maker.params, search),
            "extract-image" => extract_image::width(&maker.params, search),
            _ => None,
        }
    }
}

/// The feature space of a stage according to the spec.
pub(crate) struct Declared {
    /// The properties that change every vector, by the names of params.
    pub(crate) properties: BTreeMap<&'static str, String>,
    /// Whether the properties of the model itself are among them, where it has some.
    pub(crate) is_known: bool,
    /// The model's name in the spec, and its existing files.
    pub(crate) model: Option<(String, Vec<Source>)>,
}

/// Refuses a stage whose input `slot` has features of another encoding than input `other_slot` of `other`, according to
/// the spec.
///
/// # Errors
/// When they differ, at the place of the input.
pub(crate) fn check_spec(
    context: &BuildContext<'_>,
    slot: &str,
    other: &StageSpec,
    other_slot: &str,
) -> Result<(), SpecError> {
    let (Some(own), Some(others)) = (context.stage.input(slot), other.input(other_slot)) else {
        return Ok(());
    };
    if own.value == others.value {
        return Ok(());
    }
    let stage = |id| context.spec.stage(id);
    let (Some(own_stage), Some(other_stage)) = (stage(&own.value), stage(&others.value)) else { return Ok(()) };
    let Some(difference) = declared_difference(context, own_stage, other_stage) else { return Ok(()) };
    let reader = if other.id == context.stage.id {
        format!("input `{other_slot}` is made by `{}`", other_stage.id)
    } else {
        format!("`{}` is trained on `{}`", other.id, other_stage.id)
    };
    let message = format!("`{}` does not belong here: {reader}, {difference}", own_stage.id);
    Err(SpecError::at(&own.span, message).with_help(HELP))
}

/// The difference of two stages' features according to the spec; `None` if there is none, or the spec does not declare
/// it.
fn declared_difference(context: &BuildContext<'_>, own: &StageSpec, other: &StageSpec) -> Option<String> {
    if is_written_alike(context, own, other) {
        return None;
    }
    let (own_space, other_space) = (declared(context, own)?, declared(context, other)?);
    if own.kind.value != other.kind.value {
        return Some(format!("of kind `{}` and not `{}`", other.kind.value, own.kind.value));
    }
    // Of a model that is not there, or is not computed, nothing is known: that is another error.
    let is_known = own_space.is_known && other_space.is_known;
    let names = own_space.properties.keys().chain(other_space.properties.keys());
    let has = |space: &Declared, name: &str| space.properties.contains_key(name);
    for name in names.filter(|name| is_known || has(&own_space, name) && has(&other_space, name)) {
        let (own, other) = (own_space.properties.get(name), other_space.properties.get(name));
        if own != other {
            let shown =
                |value: Option<&String>| value.map_or("its model's own".to_owned(), |value| format!("`{value}`"));
            return Some(format!("whose `{name}` is {} and not {}", shown(other), shown(own)));
        }
    }
    let ((own_name, own_files), (other_name, other_files)) = (own_space.model?, other_space.model?);
    let is_same = own_name == other_name || own_files.is_empty() || other_files.is_empty();
    (!is_same && !same_files(&own_files, &other_files))
        .then(|| format!("whose `model` is `{other_name}` and not `{own_name}`"))
}

/// Whether two stages declare the same features, as most do: then no model is searched.
fn is_written_alike(context: &BuildContext<'_>, own: &StageSpec, other: &StageSpec) -> bool {
    let decoded = |stage| {
        let geometry = decode_images::geometry_of(context.spec, stage, &context.settings.model_search)?;
        Some((geometry.size, geometry.alpha))
    };
    own.kind.value == other.kind.value && own.params.is_same(&other.params) && decoded(own) == decoded(other)
}

fn declared(context: &BuildContext<'_>, stage: &StageSpec) -> Option<Declared> {
    let search = &context.settings.model_search;
    match stage.kind.value.as_str() {
        "extract-text" => extract_text::declared(&stage.params, search),
        "extract-image" => extract_image::declared(context.spec, stage, search),
        "import-text-features" | "import-image-features" => import_features::declared(&stage.params),
        _ => None,
    }
}

/// Whether two models have the same files with the same content. Leaves an unreadable file to the run.
fn same_files(own: &[Source], other: &[Source]) -> bool {
    own.len() == other.len()
        && own.iter().zip(other).all(|(own, other)| {
            own.name == other.name && (own.path == other.path || same_content(&own.path, &other.path).unwrap_or(true))
        })
}

fn same_content(own: &Path, other: &Path) -> std::io::Result<bool> {
    let (own, other) = (pipeline_files::open(own)?, pipeline_files::open(other)?);
    if own.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut own, mut other) = (BufReader::with_capacity(1 << 20, own), BufReader::with_capacity(1 << 20, other));
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n_read = own.read(&mut left)?;
        if n_read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..n_read])?;
        if left[..n_read] != right[..n_read] {
            return Ok(false);
        }
    }
}

/// The stage that trains the heads in the input `projection` of a stage.
pub(crate) fn trainer<'a>(spec: &'a PipelineSpec, reader: &StageSpec) -> Option<&'a StageSpec> {
    crate::search::input(spec, reader, "projection").filter(|stage| crate::makes(&stage.kind.value, Format::Projection))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(name: &'a str, space: Option<&'a FeatureSpace>) -> Named<'a> {
        Named { name, space }
    }

    #[test]
    fn features_belong_to_heads_of_their_own_space_only() {
        let space = |pairs: &[(&str, &str)]| FeatureSpace {
            properties: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let model = "0123456789ab".repeat(6)[..64].to_owned();
        let cls = space(&[("model", &model), ("pooling", "cls")]);
        let mean = space(&[("model", &model), ("pooling", "mean")]);
        let none = FeatureSpace::default();
        let bilinear = space(&[("resize", "bilinear")]);
        let bicubic = space(&[("resize", "bicubic")]);
        let cases = [
            (Some(&cls), Some(&cls), None),
            (None, Some(&cls), None),
            (Some(&cls), None, None),
            (Some(&none), Some(&none), None),
            (Some(&none), Some(&bilinear), None),
            (
                Some(&mean),
                Some(&cls),
                Some("input `text` does not belong to the heads: its pooling is `mean` and not `cls`"),
            ),
            (
                Some(&none),
                Some(&cls),
                Some(
                    "input `text` does not belong to the heads: its model is unknown and not `0123456789ab`, \
                     its pooling is unknown and not `cls`",
                ),
            ),
            (
                Some(&bilinear),
                Some(&bicubic),
                Some("input `text` does not belong to the heads: its resize is `bilinear` and not `bicubic`"),
            ),
        ];
        for (own, other, expect) in cases {
            let found = mismatch(&named("input `text`", own), &named("the heads", other));
            assert_eq!(found.as_deref(), expect);
        }
    }

    /// Pixels lack the property where transparency was dropped, as all do that were decoded before there was a choice.
    #[test]
    fn transparency_that_is_not_mentioned_was_dropped() {
        let vectors = |alpha: Option<&str>| {
            let pixels =
                pipeline_data::PixelsInfo { height: 8, width: 8, resized: None, alpha: alpha.map(str::to_owned) };
            let properties = pixels.properties().into_iter().map(|(name, value)| (name.to_owned(), value));
            FeatureSpace { properties: properties.collect() }
        };
        let (dropped, white, black) = (vectors(None), vectors(Some("white")), vectors(Some("black")));
        for (own, other, expect) in [
            (&dropped, &dropped, None),
            (&white, &white, None),
            (&dropped, &white, Some("its alpha is `drop` and not `white`")),
            (&black, &dropped, Some("its alpha is `black` and not `drop`")),
            (&black, &white, Some("its alpha is `black` and not `white`")),
        ] {
            let found = mismatch(&named("input `images`", Some(own)), &named("the heads", Some(other)));
            let part = found.as_deref().and_then(|found| found.split_once(": ")).map(|(_, part)| part);
            assert_eq!(part, expect);
        }
    }

    #[test]
    fn models_are_compared_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let long = vec![7; (1 << 16) + 1];
        let mut changed = long.clone();
        *changed.last_mut().unwrap() = 8;
        let (a, b, c, d) = (file("a", &long), file("b", &long), file("c", &changed), file("d", b"short"));
        assert!(same_content(&a, &b).unwrap());
        assert!(!same_content(&a, &c).unwrap());
        assert!(!same_content(&a, &d).unwrap());
    }
}

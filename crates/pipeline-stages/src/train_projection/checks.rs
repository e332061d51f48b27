//! Checks of a training before anything has run.

use pipeline_models::train::LEARNT_TEMPERATURES;
use pipeline_spec::{Span, SpecError};

use super::held_out;
use super::params::{Fit, Fusion, HeadShape, LrSchedule, Positives, TrainProjectionParams};
use crate::feature_spaces;
use crate::kind::{BuildContext, span_of};

/// The params of a stage.
///
/// # Errors
/// The first mistake, with its place in the spec.
pub(super) fn read(context: &BuildContext<'_>) -> Result<TrainProjectionParams, SpecError> {
    let node = &context.stage.params;
    let params: TrainProjectionParams = pipeline_spec::params(node)?;
    for (name, holds, must) in ranges(&params).into_iter().chain(combinations(&params)) {
        if !holds {
            return Err(SpecError::at(span_of(node, name), format!("`{name}` {must}")));
        }
    }
    if !held_out::are_given(context.stage)? && params.patience > 0 {
        return Err(SpecError::at(span_of(node, "patience"), "`patience` needs held-out data to measure the heads on")
            .with_help("give the stage the inputs `valid_queries`, `valid_text` and `valid_images`"));
    }
    if !params.allow_mismatch {
        feature_spaces::check_spec(context, held_out::TEXT.name, context.stage, "text")?;
        feature_spaces::check_spec(context, held_out::IMAGES.name, context.stage, "images")?;
    }
    if params.fusion == Fusion::Passthrough {
        check_widths(context, span_of(node, "fusion"))?;
    }
    Ok(params)
}

/// A param, whether it is valid, and the rule in words.
type Check = (&'static str, bool, &'static str);

/// The range of widths and batch sizes: larger ones would need terabytes.
const SIZE: &str = "must be a whole number from 1 to 65536";

fn is_size(value: usize) -> bool {
    (1..=65_536).contains(&value)
}

/// Checks of numbers against their ranges.
fn ranges(params: &TrainProjectionParams) -> [Check; 7] {
    let is_above_zero = |value: f64| value.is_finite() && value > 0.0;
    let is_from_zero = |value: f64| value.is_finite() && value >= 0.0;
    [
        ("projection_dim", is_size(params.projection_dim), SIZE),
        ("hidden_dim", params.hidden_dim.is_none_or(is_size), SIZE),
        ("batch_size", is_size(params.batch_size), SIZE),
        ("temperature", is_above_zero(params.temperature), "must be a number above 0"),
        ("lr", is_from_zero(params.lr), "must be a number of at least 0"),
        ("weight_decay", is_from_zero(params.weight_decay), "must be a number of at least 0"),
        ("penalty", is_above_zero(params.penalty), "must be a number above 0"),
    ]
}

/// Checks of params that have no effect beside others.
fn combinations(params: &TrainProjectionParams) -> Vec<Check> {
    let takes_steps = params.fit == Fit::Contrastive;
    let has_heads = params.fusion == Fusion::Projection;
    let is_linear = params.head == HeadShape::Linear;
    let no_start = params.init_from.is_none();
    let learnable = !params.learn_temperature || LEARNT_TEMPERATURES.contains(&params.temperature);
    let mut checks = vec![
        ("init_from", no_start || has_heads, "needs `fusion: projection`; `passthrough` has no weights"),
        ("init_from", no_start || takes_steps, "needs `fit: contrastive`; other fits start from nothing"),
        ("fit", takes_steps || has_heads, "needs `fusion: projection`; `passthrough` has no heads"),
        ("head", is_linear || takes_steps, "needs `fit: contrastive`; other fits compute linear heads"),
        ("head", is_linear || has_heads, "needs `fusion: projection`; `passthrough` has no heads"),
        ("temperature", learnable, "must be between 0.01 and 1 to be learnt (`learn_temperature`)"),
    ];
    // The name, whether it has its default, and whether it applies to a training without heads.
    let of_steps = [
        ("positives", params.positives == Positives::Own, true),
        ("learn_temperature", !params.learn_temperature, false),
        ("lr_schedule", params.lr_schedule == LrSchedule::Constant, false),
        ("warmup_steps", params.warmup_steps == 0, false),
        ("patience", params.patience == 0, false),
    ];
    for (name, is_default, needs_no_heads) in of_steps {
        let without_heads = is_default || needs_no_heads || has_heads;
        checks.push((name, is_default || takes_steps, "needs `fit: contrastive`; other fits take no steps"));
        checks.push((name, without_heads, "needs `fusion: projection`; `passthrough` trains nothing"));
    }
    checks
}

/// Refuses a passthrough of features with different widths, as far as the models show before anything has run.
fn check_widths(context: &BuildContext<'_>, span: &Span) -> Result<(), SpecError> {
    let search = &context.settings.model_search;
    let width = |slot: &str| {
        let stage = crate::search::input(context.spec, context.stage, slot)?;
        match stage.kind.value.as_str() {
            "extract-text" => crate::extract_text::width(&stage.params, search),
            "extract-image" => crate::extract_image::width(&stage.params, search),
            _ => None,
        }
    };
    match (width("text"), width("images")) {
        (Some(text), Some(images)) if text != images => Err(SpecError::at(span, different_widths(text, images))
            .with_help("use `fusion: projection`, or encoders of one width")),
        _ => Ok(()),
    }
}

/// The message about a passthrough of features with different widths.
pub(super) fn different_widths(text: usize, images: usize) -> String {
    format!(
        "`fusion: passthrough` needs features of one width, but the text's have {text} numbers and the images' {images}"
    )
}

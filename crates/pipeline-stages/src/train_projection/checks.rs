//! Checks of a training before anything has run.

use pipeline_models::train::LEARNT_TEMPERATURES;
use pipeline_spec::{Node, SpecError};

use super::params::{Fit, Fusion, HeadShape, LrSchedule, Positives, Start, TrainProjectionParams};
use super::widths::Widths;
use super::{held_out, pools};
use crate::kind::{BuildContext, span_of};
use crate::{feature_spaces, same_queries};

/// The params of a stage.
///
/// # Errors
/// The first mistake, with its place in the spec.
pub(super) fn read(context: &BuildContext<'_>) -> Result<TrainProjectionParams, SpecError> {
    let node = &context.stage.params;
    let mut params: TrainProjectionParams = pipeline_spec::params(node)?;
    pools::resolve(context, node, &mut params)?;
    let mut params = checked(context, params)?;
    params.projection_dim = projection_dim(context, node, &params)?;
    Ok(params)
}

/// The params of the heads of a stage, once they are checked against each other and the inputs.
///
/// # Errors
/// The first mistake, with its place in the spec.
pub(super) fn checked(
    context: &BuildContext<'_>,
    mut params: TrainProjectionParams,
) -> Result<TrainProjectionParams, SpecError> {
    let node = &context.stage.params;
    for (name, holds, must) in ranges(&params).into_iter().chain(combinations(&params)) {
        if !holds {
            return Err(SpecError::at(span_of(node, name), format!("`{name}` {must}")));
        }
    }
    let is_measured = held_out::are_given(context.stage)?;
    params.measures_start = is_measured && params.has_good_start();
    if !is_measured && params.patience > 0 {
        return Err(SpecError::at(span_of(node, "patience"), "`patience` needs held-out data to measure the heads on")
            .with_help("give the stage the inputs `valid_queries`, `valid_text` and `valid_images`"));
    }
    if !params.allow_mismatch {
        same_queries::check(context, "queries", "text")?;
        same_queries::check(context, held_out::QUERIES.name, held_out::TEXT.name)?;
        feature_spaces::check_spec(context, held_out::TEXT.name, context.stage, "text")?;
        feature_spaces::check_spec(context, held_out::IMAGES.name, context.stage, "images")?;
    }
    Ok(params)
}

/// The width of the shared space; `None` where only the features show it.
///
/// # Errors
/// When the features have no one width where one is needed, as far as the models show before anything has run.
fn projection_dim(
    context: &BuildContext<'_>,
    node: &Node,
    params: &TrainProjectionParams,
) -> Result<Option<usize>, SpecError> {
    let one_width = || {
        let widths = Widths::declared(context).map(|widths| widths.one(params));
        widths.transpose().map_err(|unequal| unequal.in_spec(node))
    };
    match (params.fusion, params.start) {
        (Fusion::Projection, Start::Identity) => Ok(one_width()?.or(params.projection_dim)),
        (Fusion::Projection, Start::Random) => Ok(Some(params.dim())),
        (Fusion::Passthrough, _) => one_width().map(|_| Some(params.dim())),
    }
}

/// A param, whether it is valid, and the rule in words.
type Check = (&'static str, bool, &'static str);

/// The range of widths and batch sizes: larger ones would need terabytes.
const SIZE: &str = "must be a whole number from 1 to 65536";

fn is_size(value: usize) -> bool {
    (1..=65_536).contains(&value)
}

/// Checks of numbers against their ranges.
fn ranges(params: &TrainProjectionParams) -> [Check; 9] {
    let is_above_zero = |value: f64| value.is_finite() && value > 0.0;
    let is_from_zero = |value: f64| value.is_finite() && value >= 0.0;
    [
        ("projection_dim", params.projection_dim.is_none_or(is_size), SIZE),
        ("hidden_dim", params.hidden_dim.is_none_or(is_size), SIZE),
        ("batch_size", is_size(params.batch_size), SIZE),
        ("temperature", is_above_zero(params.temperature), "must be a number above 0"),
        ("lr", is_from_zero(params.lr), "must be a number of at least 0"),
        ("attention_lr", params.attention_lr.is_none_or(is_from_zero), "must be a number of at least 0"),
        ("weight_decay", is_from_zero(params.weight_decay), "must be a number of at least 0"),
        ("anchor", is_from_zero(params.anchor), "must be a number of at least 0"),
        ("penalty", is_above_zero(params.penalty), "must be a number above 0"),
    ]
}

/// Checks of params that have no effect beside others.
fn combinations(params: &TrainProjectionParams) -> Vec<Check> {
    let takes_steps = params.fit == Fit::Contrastive;
    let has_heads = params.fusion == Fusion::Projection;
    let is_linear = params.head == HeadShape::Linear;
    let no_start = params.init_from.is_none();
    let is_random = params.start == Start::Random;
    let learnable = !params.learn_temperature || LEARNT_TEMPERATURES.contains(&params.temperature);
    let mut checks = vec![
        ("init_from", no_start || has_heads, "needs `fusion: projection`; `passthrough` has no weights"),
        ("init_from", no_start || takes_steps, "needs `fit: contrastive`; other fits start from nothing"),
        ("fit", takes_steps || has_heads, "needs `fusion: projection`; `passthrough` has no heads"),
        ("head", is_linear || takes_steps, "needs `fit: contrastive`; other fits compute linear heads"),
        ("head", is_linear || has_heads, "needs `fusion: projection`; `passthrough` has no heads"),
        ("start", is_random || takes_steps, "needs `fit: contrastive`; other fits start from nothing"),
        ("start", is_random || has_heads, "needs `fusion: projection`; `passthrough` has no heads"),
        ("start", is_random || is_linear, "needs `head: linear`; two layers do not begin as a unit matrix"),
        ("start", is_random || no_start, "cannot stand beside `init_from`, which gives the initial weights"),
        ("temperature", learnable, "must be between 0.01 and 1 to be learnt (`learn_temperature`)"),
    ];
    // The name, whether it has its default, and whether it applies to a training without heads.
    let of_steps = [
        ("positives", params.positives == Positives::Own, true),
        ("learn_temperature", !params.learn_temperature, false),
        ("lr_schedule", params.lr_schedule == LrSchedule::Constant, false),
        ("warmup_steps", params.warmup_steps == 0, false),
        ("anchor", params.anchor == 0.0, false),
        ("patience", params.patience == 0, false),
        ("precision", params.precision.is_single(), true),
    ];
    for (name, is_default, needs_no_heads) in of_steps {
        let without_heads = is_default || needs_no_heads || has_heads;
        checks.push((name, is_default || takes_steps, "needs `fit: contrastive`; other fits take no steps"));
        checks.push((name, without_heads, "needs `fusion: projection`; `passthrough` trains nothing"));
    }
    checks
}

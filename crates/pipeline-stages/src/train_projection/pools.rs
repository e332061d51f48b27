//! The pools of the two sides' tokens: checks before anything has run.

use pipeline_models::TokenLayout;
use pipeline_spec::{Node, SpecError, StageSpec};

use super::params::{DEFAULT_ATTENTION_LR, Fit, Fusion, TrainProjectionParams};
use crate::feature_spaces::Width;
use crate::kind::{BuildContext, Format, span_of};
use crate::pooled::{NO_CLASS, PoolName};

/// A side with its param.
struct Side {
    /// The input.
    slot: &'static str,
    param: &'static str,
    tokens: Format,
    /// One row, for messages.
    row: &'static str,
}

const TEXT: Side = Side { slot: "text", param: "text_pool", tokens: Format::TextTokens, row: "text" };
const IMAGES: Side = Side { slot: "images", param: "image_pool", tokens: Format::ImageTokens, row: "image" };

/// Gives the pools of tokens their defaults.
///
/// # Errors
/// When a pool does not go with the input or other params, at its place.
pub(super) fn resolve(
    context: &BuildContext<'_>,
    node: &Node,
    params: &mut TrainProjectionParams,
) -> Result<(), SpecError> {
    params.text_pool = one(context, node, params, &TEXT, params.text_pool)?;
    params.image_pool = one(context, node, params, &IMAGES, params.image_pool)?;
    let attentive = params.attentive();
    let is_learnt = attentive.text || attentive.images;
    match params.attention_lr {
        Some(_) if !is_learnt => {
            let message = "`attention_lr` needs tokens with an `attentive` pool: nothing else learns at it";
            Err(SpecError::at(span_of(node, "attention_lr"), message))
        }
        None if is_learnt => {
            params.attention_lr = Some(DEFAULT_ATTENTION_LR);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn one(
    context: &BuildContext<'_>,
    node: &Node,
    params: &TrainProjectionParams,
    side: &Side,
    asked: Option<PoolName>,
) -> Result<Option<PoolName>, SpecError> {
    let Some(maker) = crate::search::input(context.spec, context.stage, side.slot) else { return Ok(asked) };
    let (slot, param) = (side.slot, side.param);
    let wrong = |message: String| SpecError::at(span_of(node, param), message);
    match crate::format_of(maker) {
        made if made == side.tokens => {}
        // A program may leave either; the run looks at what it has left.
        Format::Files => return Ok(asked),
        _ if asked.is_none() => return Ok(None),
        _ => {
            let pooling = Width::declared(context, maker).and_then(|width| width.pooling);
            let pooling = pooling.map(|pooling| format!(" (pooling `{pooling}`)")).unwrap_or_default();
            let message =
                format!("`{param}` pools tokens, but input `{slot}` has one vector for each {}{pooling}", side.row);
            return Err(wrong(message).with_help(format!("`pooling: tokens` of `{}` gives the tokens", maker.id)));
        }
    }
    let pool = asked.unwrap_or(PoolName::Attentive);
    if pool == PoolName::Cls && layout(context, maker).is_some_and(|layout| !layout.has_class) {
        return Err(wrong(format!("input `{slot}`: {NO_CLASS}")));
    }
    let needs = match (params.fusion, params.fit) {
        (Fusion::Passthrough, _) => {
            Some("`fusion: projection`; `passthrough` trains nothing, and the pool would stay random")
        }
        (_, Fit::Ridge | Fit::Cca) => {
            Some("`fit: contrastive`; other fits take no steps, and the pool would stay random")
        }
        _ => None,
    };
    match needs.filter(|_| pool == PoolName::Attentive) {
        None => Ok(Some(pool)),
        Some(needs) => Err(wrong(format!("`{param}: attentive`, the default for tokens, needs {needs}"))
            .with_help(format!("`{param}: mean` or `cls` learns nothing"))),
    }
}

fn layout(context: &BuildContext<'_>, maker: &StageSpec) -> Option<TokenLayout> {
    let search = &context.settings.model_search;
    match maker.kind.value.as_str() {
        "extract-text" => crate::extract_text::layout(&maker.params, search),
        "extract-image" => crate::extract_image::layout(&maker.params, search),
        _ => None,
    }
}

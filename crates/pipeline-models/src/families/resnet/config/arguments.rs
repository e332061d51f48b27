//! timm's `model_args`: the arguments of a model's builder beside the name of its architecture.

use serde_json::{Map, Value, json};

/// Arguments that change no feature, or whose effect follows from the shapes of the weights.
const FREE: &[&str] = &[
    "layers",
    "channels",
    "num_classes",
    "base_width",
    // Applies only to a deep stem, which `stem_type` would name.
    "stem_width",
    "drop_rate",
    "drop_path_rate",
    "drop_block_rate",
    "zero_init_last",
    "pretrained",
];

/// The reason why a model with these arguments is not supported.
pub(super) fn unsupported(arguments: &Map<String, Value>) -> Option<String> {
    arguments.iter().find_map(|(name, value)| match name.as_str() {
        "layers" if !is_list_of_sizes(value) => Some(format!("`model_args.layers` is {value}")),
        name if FREE.contains(&name) || is_plain(name, value) => None,
        name => Some(format!("`model_args.{name}` is {value}")),
    })
}

/// Whether a plain ResNet has exactly this value, so that it changes nothing.
fn is_plain(name: &str, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    let plain: &[Value] = &match name {
        "in_chans" => [json!(3), json!(3)],
        "cardinality" | "down_kernel_size" | "block_reduce_first" => [json!(1), json!(1)],
        "output_stride" => [json!(32), json!(32)],
        "stem_type" | "aa_layer" => [json!(""), json!(false)],
        "global_pool" => [json!("avg"), json!("")],
        "act_layer" => [json!("relu"), json!("ReLU")],
        "norm_layer" => [json!("batchnorm2d"), json!("batchnorm")],
        "replace_stem_pool" | "avg_down" => [json!(false), json!(false)],
        "block_args" => [json!({}), json!({})],
        _ => return false,
    };
    plain.contains(value)
}

fn is_list_of_sizes(value: &Value) -> bool {
    value.as_array().is_some_and(|sizes| sizes.iter().all(Value::is_u64))
}

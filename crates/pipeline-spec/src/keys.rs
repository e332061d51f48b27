//! The keys of specs in one place: those that are accepted, those that messages suggest, and the schema of each.

use pipeline_core::Lane;
use serde_json::{Map, Value, json};

use crate::SpecError;
use crate::drawing::{Draw, MAX_POINTS};
use crate::merge::Entries;

/// A key of a map.
pub(crate) struct SpecKey {
    pub(crate) name: &'static str,
    /// One sentence for the schema.
    about: &'static str,
    /// The JSON Schema of the value, without that sentence.
    schema: fn() -> Value,
}

/// The keys of a spec.
pub(crate) const SPEC_KEYS: &[SpecKey] = &[
    SpecKey {
        name: "name",
        about: "The pipeline's name; by default the file's name.",
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
    SpecKey {
        name: "extends",
        about: "Another spec, relative to this file: the entries here override or add to it.",
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
    SpecKey {
        name: "folder",
        about: "Where relative paths start; by default the folder of this file.",
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
    SpecKey {
        name: "vars",
        about: "Texts that `${name}` stands for.",
        schema: || {
            json!({
                "type": ["object", "null"],
                "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$" },
                "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            })
        },
    },
    SpecKey {
        name: "stages",
        about: "The stages by name.",
        schema: || json!({ "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" } }),
    },
    SpecKey {
        name: "sweep",
        about: "Values to try, by `STAGE.params.NAME` or `vars.NAME`, and how points are drawn from them.",
        schema: || {
            json!({
                "type": ["object", "null"],
                "properties": properties(SWEEP_KEYS),
                "propertyNames": { "pattern": "^(vars\\..+|.+\\.params\\..+|draw|points|seed|halving)$" },
                "additionalProperties": { "anyOf": [
                    { "type": ["array", "null"], "minItems": 1 },
                    { "$ref": "#/$defs/sweep-range" },
                ] },
            })
        },
    },
    SpecKey {
        name: "check",
        about: "What `pipeline check` asks of metrics.",
        schema: || json!({ "type": ["object", "null"], "additionalProperties": { "$ref": "#/$defs/check-rule" } }),
    },
];

/// The keys of a stage. The values of `kind` and the schemas of inputs and params depend on the kinds.
pub(crate) const STAGE_KEYS: &[SpecKey] = &[
    SpecKey { name: "kind", about: "What the stage does.", schema: || json!({}) },
    SpecKey {
        name: "inputs",
        about: "The stages whose artifacts this one reads, by slot.",
        schema: || json!({ "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] } }),
    },
    SpecKey { name: "params", about: "The settings of the kind.", schema: || json!({ "type": ["object", "null"] }) },
    SpecKey {
        name: "retain",
        about: "false: the bytes are dropped after use.",
        schema: || json!({ "type": "boolean", "default": true }),
    },
    SpecKey {
        name: "pool",
        about: "The lane in which it works; by default that of its kind.",
        schema: || json!({ "enum": Lane::ALL.map(Lane::name) }),
    },
    SpecKey {
        name: "publish",
        about: "Files and folders of the artifact and the paths of their copies.",
        schema: || json!({ "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] } }),
    },
];

/// The keys of a rule for a metric.
pub(crate) const CHECK_KEYS: &[SpecKey] = &[
    SpecKey {
        name: "max_drop",
        about: "How far the metric may fall below the accepted one.",
        schema: || json!({ "type": "number", "minimum": 0 }),
    },
    SpecKey {
        name: "max_rise",
        about: "How far a metric whose lower values are better, such as `loss`, may rise above the accepted one.",
        schema: || json!({ "type": "number", "minimum": 0 }),
    },
    SpecKey { name: "min_value", about: "What the metric must reach.", schema: || json!({ "type": "number" }) },
    SpecKey {
        name: "max_value",
        about: "What a metric whose lower values are better may not exceed.",
        schema: || json!({ "type": "number" }),
    },
    SpecKey {
        name: "paired",
        about: "A drop beyond `max_drop` fails only if a paired test over the queries says that it is no chance.",
        schema: || {
            json!({
                "type": ["object", "null"], "properties": properties(PAIRED_KEYS), "additionalProperties": false
            })
        },
    },
];

/// The keys of a paired test.
pub(crate) const PAIRED_KEYS: &[SpecKey] = &[SpecKey {
    name: "alpha",
    about: "How often chance alone may be taken for a drop.",
    schema: || json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 0.5, "default": 0.05 }),
}];

/// The keys of a sweep beside its axes.
pub(crate) const SWEEP_KEYS: &[SpecKey] = &[
    SpecKey {
        name: "draw",
        about: "How points are drawn from the axes: all combinations, at random, or evenly spread; by default a grid \
                of lists, and at random from ranges.",
        schema: || {
            let names = Draw::ALL.map(|draw| Some(draw.name()));
            json!({ "enum": names.into_iter().chain([None]).collect::<Vec<_>>() })
        },
    },
    SpecKey {
        name: "points",
        about: "How many points are drawn.",
        schema: || json!({ "type": ["integer", "null"], "minimum": 1, "maximum": MAX_POINTS }),
    },
    SpecKey {
        name: "seed",
        about: "The seed of the draws: the same seed gives the same points.",
        schema: || json!({ "type": ["integer", "null"], "minimum": 0, "default": 0 }),
    },
    SpecKey {
        name: "halving",
        about: "Successive halving: all points get a little of a resource, and the best of them more.",
        schema: || {
            json!({
                "type": ["object", "null"],
                "properties": properties(HALVING_KEYS),
                "additionalProperties": false,
            })
        },
    },
];

/// The keys of successive halving.
pub(crate) const HALVING_KEYS: &[SpecKey] = &[
    SpecKey {
        name: "resource",
        about: "The param that grows from rung to rung, such as `projection.params.epochs`.",
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
    SpecKey {
        name: "rungs",
        about: "The values of the resource, rising.",
        schema: || json!({ "type": "array", "items": { "type": "integer", "minimum": 1 }, "minItems": 2 }),
    },
    SpecKey {
        name: "factor",
        about: "One of so many points is promoted to the next rung.",
        schema: || json!({ "type": "integer", "minimum": 2, "maximum": 1000, "default": 3 }),
    },
    SpecKey {
        name: "metric",
        about: "The metric by which points are promoted, as STAGE.METRIC; by default the MeanRecall on held-out data.",
        schema: || json!({ "type": "string", "minLength": 1 }),
    },
];

/// The keys of a range of a sweep axis.
pub(crate) const RANGE_KEYS: &[SpecKey] = &[
    SpecKey { name: "uniform", about: "The lowest and the highest number.", schema: || two("number", None) },
    SpecKey {
        name: "log_uniform",
        about: "The lowest and the highest number; their logarithms are drawn evenly.",
        schema: || two("number", Some(0)),
    },
    SpecKey { name: "int_uniform", about: "The lowest and the highest whole number.", schema: || two("integer", None) },
    SpecKey {
        name: "int_log_uniform",
        about: "The lowest and the highest whole number; their logarithms are drawn evenly.",
        schema: || two("integer", Some(0)),
    },
    SpecKey {
        name: "step",
        about: "The distance of the values of `uniform` and `int_uniform`, counted from the lowest.",
        schema: || json!({ "type": "number", "exclusiveMinimum": 0 }),
    },
];

/// The schema of the two ends of a range.
fn two(kind: &str, above: Option<u8>) -> Value {
    let mut item = json!({ "type": kind });
    if let Some(above) = above {
        item["exclusiveMinimum"] = above.into();
    }
    json!({ "type": "array", "items": item, "minItems": 2, "maxItems": 2 })
}

/// Refuses a key that is not among the `known` ones.
pub(crate) fn check_keys(entries: &Entries, known: &[SpecKey]) -> Result<(), SpecError> {
    match entries.iter().find(|(key, _)| !known.iter().any(|known| known.name == key.value)) {
        Some((key, _)) => Err(SpecError::unknown("key", &key.value, &key.span, known.iter().map(|known| known.name))),
        None => Ok(()),
    }
}

/// The `properties` of a JSON Schema with these keys.
pub(crate) fn properties(keys: &[SpecKey]) -> Value {
    let property = |key: &SpecKey| {
        let mut schema = (key.schema)();
        schema["description"] = key.about.into();
        (key.name.to_owned(), schema)
    };
    keys.iter().map(property).collect::<Map<String, Value>>().into()
}

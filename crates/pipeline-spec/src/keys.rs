//! The keys of specs in one place: those that are accepted, those that messages suggest, and the schema of each.

use pipeline_core::Lane;
use serde_json::{Map, Value, json};

use crate::SpecError;
use crate::merge::Entries;

/// A key of a map.
pub(crate) struct SpecKey {
    name: &'static str,
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
        about: "Values to try, by `STAGE.params.NAME` or `vars.NAME`.",
        schema: || {
            json!({
                "type": ["object", "null"],
                "propertyNames": { "pattern": "^(vars\\..+|.+\\.params\\..+)$" },
                "additionalProperties": { "type": ["array", "null"], "minItems": 1 },
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
    SpecKey { name: "min_value", about: "What the metric must reach.", schema: || json!({ "type": "number" }) },
    SpecKey {
        name: "paired",
        about: "A drop beyond `max_drop` fails only if a paired test over the queries says that it is no chance.",
        schema: || json!({ "type": ["object", "null"], "properties": properties(PAIRED_KEYS), "additionalProperties": false }),
    },
];

/// The keys of a paired test.
pub(crate) const PAIRED_KEYS: &[SpecKey] = &[SpecKey {
    name: "alpha",
    about: "How often chance alone may be taken for a drop.",
    schema: || json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 0.5, "default": 0.05 }),
}];

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

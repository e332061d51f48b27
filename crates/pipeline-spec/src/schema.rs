//! A JSON Schema of specs, so that editors can complete and check them.

use serde_json::{Map, Value, json};

use crate::keys::{CHECK_KEYS, RANGE_KEYS, SPEC_KEYS, STAGE_KEYS, properties};

/// The schema's facts about one kind of stage.
#[derive(Debug, Clone)]
pub struct KindSchema<'a> {
    /// The kind.
    pub kind: &'a str,
    /// One sentence on its purpose.
    pub summary: &'a str,
    /// The slots by name, and whether each is required; a slot named `*` stands for any names.
    pub inputs: &'a [(&'a str, bool)],
    /// The JSON Schema of the params, an object.
    pub params: Value,
}

/// The JSON Schema (draft 2020-12) of a whole spec.
///
/// Inputs and params depend on the kind. A spec that `extends` another may leave out required parts, and may remove
/// stages with `null`.
pub fn json_schema(kinds: &[KindSchema<'_>]) -> Value {
    let mut definitions = Map::new();
    for kind in kinds {
        hoist(kind, &mut definitions);
    }
    definitions.insert("stage".into(), stage(kinds, false));
    definitions.insert("stage-of-overlay".into(), stage(kinds, true));
    definitions.insert("check-rule".into(), check_rule());
    definitions.insert("sweep-range".into(), sweep_range());
    let stages = |stage: Value| json!({ "properties": { "stages": { "additionalProperties": stage } } });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipeline spec",
        "type": "object",
        "properties": properties(SPEC_KEYS),
        "additionalProperties": false,
        "if": { "required": ["extends"] },
        "then": stages(json!({ "$ref": "#/$defs/stage-of-overlay" })),
        "else": {
            "required": ["stages"],
            "allOf": [stages(json!({ "$ref": "#/$defs/stage" }))],
        },
        "$defs": definitions,
    })
}

fn check_rule() -> Value {
    json!({
        "type": ["object", "null"],
        "properties": properties(CHECK_KEYS),
        "additionalProperties": false,
        "minProperties": 1,
    })
}

fn sweep_range() -> Value {
    json!({
        "type": "object",
        "properties": properties(RANGE_KEYS),
        "additionalProperties": false,
        "oneOf": RANGE_KEYS.iter().map(|key| key.name).filter(|name| *name != "step")
            .map(|name| json!({ "required": [name] })).collect::<Vec<_>>(),
    })
}

/// The schema of a stage; an overlay's stage may leave out required parts.
fn stage(kinds: &[KindSchema<'_>], is_overlay: bool) -> Value {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.kind).collect();
    let by_kind: Vec<Value> = kinds.iter().map(|kind| stage_of_kind(kind, is_overlay)).collect();
    let required: &[&str] = if is_overlay { &[] } else { &["kind"] };
    let mut properties = properties(STAGE_KEYS);
    properties["kind"]["enum"] = json!(names);
    json!({
        "type": if is_overlay { json!(["object", "null"]) } else { json!("object") },
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "allOf": by_kind,
    })
}

/// `if` the stage has this kind, `then` it has these inputs and params.
fn stage_of_kind(kind: &KindSchema<'_>, is_overlay: bool) -> Value {
    let named: Vec<&(&str, bool)> = kind.inputs.iter().filter(|(slot, _)| *slot != "*").collect();
    let slots: Map<String, Value> =
        named.iter().map(|(slot, _)| ((*slot).into(), json!({ "type": ["string", "null"] }))).collect();
    let takes_any = named.len() < kind.inputs.len();
    let mut inputs = json!({ "properties": slots, "additionalProperties": takes_any });
    let params = definition_name(kind.kind, if is_overlay { "params-of-overlay" } else { "params" });
    let mut required = Vec::new();
    if !is_overlay {
        let slots: Vec<&str> = named.iter().filter(|(_, required)| *required).map(|(slot, _)| *slot).collect();
        if !slots.is_empty() {
            required.push("inputs");
            inputs["type"] = json!("object");
        }
        inputs["required"] = json!(slots);
        if requires_params(kind) {
            required.push("params");
        }
    }
    json!({
        "if": { "properties": { "kind": { "const": kind.kind } }, "required": ["kind"] },
        "then": {
            "description": kind.summary,
            "properties": {
                "inputs": inputs,
                "params": { "$ref": format!("#/$defs/{params}") },
            },
            "required": required,
        },
    })
}

fn requires_params(kind: &KindSchema<'_>) -> bool {
    kind.params["required"].as_array().is_some_and(|names| !names.is_empty())
}

fn definition_name(kind: &str, name: &str) -> String {
    format!("{kind}.{name}")
}

/// Moves the schema of a kind's params and its definitions into the whole schema, under names of the kind.
fn hoist(kind: &KindSchema<'_>, definitions: &mut Map<String, Value>) {
    let mut params = kind.params.clone();
    rename_references(&mut params, kind.kind);
    if let Some(fields) = params.as_object_mut() {
        fields.remove("$schema");
        fields.remove("title");
        fields.insert("additionalProperties".into(), false.into());
        if let Some(Value::Object(own)) = fields.remove("$defs") {
            definitions.extend(own.into_iter().map(|(name, schema)| (definition_name(kind.kind, &name), schema)));
        }
    }
    // An empty `params:` is null.
    let optional = json!(["object", "null"]);
    if !requires_params(kind) {
        params["type"] = optional.clone();
    }
    definitions.insert(definition_name(kind.kind, "params"), params.clone());
    params["type"] = optional;
    if let Some(fields) = params.as_object_mut() {
        fields.remove("required");
    }
    definitions.insert(definition_name(kind.kind, "params-of-overlay"), params);
}

fn rename_references(schema: &mut Value, kind: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, kind)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => {
                        if let Some(own) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{}", definition_name(kind, own));
                        }
                    }
                    _ => rename_references(value, kind),
                }
            }
        }
        _ => {}
    }
}

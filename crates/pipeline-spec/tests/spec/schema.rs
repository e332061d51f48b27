//! The JSON Schema for editors.

use pipeline_spec::{KindSchema, SpecPath, json_schema};
use schemars::JsonSchema;
use serde_json::Value;

/// How features are pooled.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Pooling {
    Cls,
    Mean,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Params {
    /// Where the model lies.
    model: SpecPath,
    #[serde(default)]
    pooling: Option<Pooling>,
}

fn schema() -> Value {
    json_schema(&[
        KindSchema {
            kind: "extract-text",
            summary: "Turns queries into vectors.",
            inputs: &[("queries", true)],
            params: schemars::schema_for!(Params).to_value(),
        },
        KindSchema {
            kind: "command",
            summary: "Runs a program.",
            inputs: &[("*", false)],
            params: serde_json::json!({ "type": "object" }),
        },
    ])
}

/// All `$ref`s of a schema.
fn references(schema: &Value) -> Vec<&str> {
    match schema {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => vec![target],
                _ => references(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_reference_leads_to_a_definition() {
    let schema = schema();
    let references = references(&schema);
    assert!(references.contains(&"#/$defs/extract-text.Pooling"), "{references:?}");
    for reference in references {
        assert!(schema.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn params_and_inputs_depend_on_the_kind() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let stage = &schema["$defs"]["stage"];
    assert_eq!(stage["properties"]["kind"]["enum"], serde_json::json!(["extract-text", "command"]));
    assert_eq!(stage["additionalProperties"], false);
    let [extract, command] = stage["allOf"].as_array().unwrap().as_slice() else { panic!("two kinds") };
    assert_eq!(extract["if"]["properties"]["kind"]["const"], "extract-text");
    assert_eq!(extract["then"]["required"], serde_json::json!(["inputs", "params"]));
    assert_eq!(extract["then"]["properties"]["inputs"]["additionalProperties"], false);
    assert_eq!(command["then"]["properties"]["inputs"]["additionalProperties"], true);
    let params = &schema["$defs"]["extract-text.params"];
    assert_eq!(params["additionalProperties"], false);
    assert_eq!(params["properties"]["model"]["description"], "Where the model lies.");
    assert_eq!(params["required"], serde_json::json!(["model"]));
    assert!(schema["$defs"]["extract-text.params-of-overlay"]["required"].is_null());
}

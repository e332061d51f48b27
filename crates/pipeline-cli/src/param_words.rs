//! Params in words, as `pipeline stages KIND` lists them: their values, their default and their purpose.

use serde_json::Value;

/// One line for each param, and below it one for each value of an enumeration.
pub fn params(schema: &Value) -> Vec<String> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return vec!["  none".to_owned()];
    };
    let lines = |(name, property): (&String, &Value)| {
        let own = resolved(property, schema);
        let default = match &property["default"] {
            Value::Null if required.contains(&name.as_str()) => Some("required".to_owned()),
            Value::Null => None,
            default => Some(format!("default {}", literal(default))),
        };
        let facts: Vec<String> = [Some(values(property, schema)), default].into_iter().flatten().collect();
        let mut lines = vec![format!("  {name} ({}){}", facts.join("; "), description(property, own))];
        lines.extend(choices(own).into_iter().filter_map(|(value, text)| Some(format!("      {value}: {}", text?))));
        lines
    };
    properties.iter().flat_map(lines).collect()
}

/// The params by name, each with the first sentence about it and the values of an enumeration.
pub fn choices_by_param(schema: &Value) -> Vec<(String, String, Vec<String>)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let of = |(name, property): (&String, &Value)| {
        let own = resolved(property, schema);
        let about = description(property, own);
        let sentence = about.trim_start_matches(": ").split(". ").next().unwrap_or_default().to_owned();
        let values = match kind(own) {
            Some("boolean") => vec!["true".to_owned(), "false".to_owned()],
            _ => choices(own).into_iter().map(|(value, _)| value).collect(),
        };
        (name.clone(), sentence, values)
    };
    properties.map(of).collect()
}

fn description(property: &Value, own: &Value) -> String {
    let text = property["description"].as_str().or_else(|| own["description"].as_str());
    text.map(|text| format!(": {}", one_line(text))).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A schema, or the one that it refers to or that it allows beside null.
fn resolved<'a>(property: &'a Value, root: &'a Value) -> &'a Value {
    let reference = property["$ref"].as_str().and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    let beside_null = || {
        let options = property["anyOf"].as_array()?;
        options.iter().find(|option| option["type"] != "null").map(|option| resolved(option, root))
    };
    reference.or_else(beside_null).unwrap_or(property)
}

/// The values that a param accepts.
fn values(property: &Value, root: &Value) -> String {
    let own = resolved(property, root);
    let choices = choices(own);
    if !choices.is_empty() {
        return choices.into_iter().map(|(value, _)| value).collect::<Vec<_>>().join(" | ");
    }
    let range = |words: &str| match (own["minimum"].as_f64(), own["maximum"].as_f64()) {
        (Some(low), Some(high)) => format!("{words} from {low} to {high}"),
        (Some(low), None) => format!("{words} of at least {low}"),
        (None, Some(high)) => format!("{words} of at most {high}"),
        (None, None) => words.to_owned(),
    };
    match kind(own) {
        Some("integer") => range("whole number"),
        Some("number") => range("number"),
        Some("boolean") => "true | false".to_owned(),
        Some("string") => "text".to_owned(),
        Some("array") => format!("list: {}", values(&own["items"], root)),
        Some("object") if own["additionalProperties"].is_object() => {
            format!("names: {}", values(&own["additionalProperties"], root))
        }
        _ => "any value".to_owned(),
    }
}

/// The type of a schema, apart from null.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// The values of an enumeration, each with its meaning.
fn choices(schema: &Value) -> Vec<(String, Option<String>)> {
    let plain = schema["enum"].as_array().into_iter().flatten().map(|value| (literal(value), None));
    let documented = schema["oneOf"].as_array().into_iter().flatten().flat_map(|option| {
        let text = option["description"].as_str().map(one_line);
        let of_enum = option["enum"].as_array().into_iter().flatten();
        of_enum.chain(option.get("const")).map(move |value| (literal(value), text.clone()))
    });
    plain.chain(documented).collect()
}

/// A value in the notation of a spec.
fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_ranges_and_defaults_are_listed() {
        let schema = serde_json::json!({
            "required": ["run"],
            "$defs": { "Fit": { "oneOf": [
                { "const": "steps", "description": "By\nsteps." },
                { "const": "ridge" },
            ] } },
            "properties": {
                "fit": { "$ref": "#/$defs/Fit", "default": "steps", "description": "How." },
                "dim": { "type": "integer", "minimum": 1, "maximum": 64, "default": 8 },
                "hidden": { "type": ["integer", "null"], "minimum": 1, "default": null },
                "rate": { "type": "number", "default": 0.5 },
                "on": { "type": "boolean", "default": false },
                "run": { "type": "array", "items": { "type": "string" } },
                "kind": { "anyOf": [{ "$ref": "#/$defs/Fit" }, { "type": "null" }], "default": null },
                "env": { "type": "object", "additionalProperties": { "type": ["string", "null"] } },
            },
        });
        let expect = [
            "  fit (steps | ridge; default steps): How.",
            "      steps: By steps.",
            "  dim (whole number from 1 to 64; default 8)",
            "  hidden (whole number of at least 1)",
            "  rate (number; default 0.5)",
            "  on (true | false; default false)",
            "  run (list: text; required)",
            "  kind (steps | ridge)",
            "      steps: By steps.",
            "  env (names: text)",
        ];
        assert_eq!(params(&schema), expect);
    }
}

//! The params of `command`, and their checks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pipeline_spec::{Node, Span, SpecError, SpecPath, Value};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::outputs;
use crate::kind::span_of;

/// The params of `command`.
///
/// The program runs in an empty folder and must leave its outputs there; relative paths in its arguments start there.
/// `$INPUT_<NAME>` is the folder of the artifact of input `<name>` (upper case, `_` for what is no letter or digit) and
/// `$SPEC_DIR` the folder of the spec. Beside them the program gets PATH, HOME, and what `env` and `pass_env` name.
/// With `--device cuda`, one of the lane `gpu` gets `CUDA_VISIBLE_DEVICES` with the card that it holds.
/// Only a shell replaces variables in arguments: `[sh, -c, 'python "$SPEC_DIR/train.py" "$INPUT_A/a.txt" > out.txt']`.
///
/// A program or script that `run` names by its path is watched as if `sources` named it, also in a text for a shell as
/// `$SPEC_DIR/…`; programs of the system are not. Whatever else is read must be named in `sources`.
///
/// It has no terminal: a question there, such as for a password, fails at once. With its end, all processes that it has
/// started are ended. stdout and stderr are shown and recorded: what a program prints is no secret any more.
#[derive(Debug, Clone, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandParams {
    /// The program and its arguments; no shell unless the program is one, as in `[sh, -c, "…"]`. A relative path of the
    /// program starts in the folder of the spec.
    #[schemars(length(min = 1))]
    pub(super) run: Vec<String>,
    /// The files and folders of the result, relative to the program's folder.
    #[schemars(length(min = 1))]
    pub(super) outputs: Vec<String>,
    /// The files and folders that it reads beside its inputs, relative to the spec.
    // Not part of the manifest: their content is, as sources.
    #[serde(default, skip_serializing)]
    pub(super) sources: Vec<SpecPath>,
    /// Variables of its environment that may change the result. A value written here is public; null takes the caller's
    /// value, of which only a digest is stored.
    // Serialized by `Variables::manifest_params`, with the values that null stands for.
    #[serde(default, skip_serializing)]
    pub(super) env: BTreeMap<String, Option<String>>,
    /// Variables that are passed on from the caller's environment, neither hashed nor stored: for secrets and
    /// circumstances. `AWS_*` stands for all with this prefix.
    // Not part of the manifest, not even by name: the spec declares that they do not change the result.
    #[serde(default, skip_serializing)]
    pub(super) pass_env: Vec<String>,
    /// The time limit, such as `90s`, `10m`, `1.5h` or `2d`; after it the program is stopped, and the stage fails.
    // Not part of the manifest: it only decides whether there is a result.
    #[serde(default, skip_serializing)]
    pub(super) timeout: Option<TimeLimit>,
    /// The number of further tries after a failure or a timeout, each in an empty folder and after a pause.
    // Not part of the manifest: it only decides whether there is a result.
    #[serde(default, skip_serializing)]
    pub(super) retries: u32,
}

impl CommandParams {
    /// Reads and checks the params.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn read(node: &Node) -> Result<Self, SpecError> {
        if let Some(text) = node.get("run").and_then(Node::as_str) {
            let help = match text.trim_end().contains('\n') {
                // In a list of one line the lines of a script would become one.
                true => {
                    "write a list of three: `- sh`, `- -c`, and `- |` with the lines of the text below it".to_owned()
                }
                false => format!("write `run: {}`", as_list(text)),
            };
            return Err(SpecError::at(span_of(node, "run"), "`run` is a text, but must be a list").with_help(help));
        }
        let params: Self = pipeline_spec::params(node)?;
        if params.run.first().is_none_or(String::is_empty) {
            return Err(SpecError::at(span_of(node, "run"), "`run` must name a program"));
        }
        if params.outputs.is_empty() {
            return Err(SpecError::at(span_of(node, "outputs"), "`outputs` must name at least one file")
                .with_help("the outputs are the result of the stage"));
        }
        for output in &params.outputs {
            if let Some((problem, help)) = outputs::problem(output) {
                let span = place(node, "outputs", output);
                return Err(SpecError::at(&span, format!("the output `{output}` {problem}")).with_help(help));
            }
        }
        Ok(params)
    }
}

/// The place of a name in a map or a list.
pub(super) fn place(params: &Node, param: &str, name: &str) -> Span {
    let span = params.get(param).and_then(|node| match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.value == name).map(|(key, _)| &key.span),
        Value::List(items) => items.iter().find(|item| item.as_str() == Some(name)).map(|item| &item.span),
        _ => None,
    });
    span.unwrap_or_else(|| span_of(params, param)).clone()
}

/// A shell command as a list, for advice.
fn as_list(text: &str) -> String {
    match needs_shell(text) {
        true => flow_list(["sh", "-c", text]),
        false => flow_list(text.split_whitespace()),
    }
}

/// Whether a command is more than words: only a shell reads it as it is meant.
pub(super) fn needs_shell(text: &str) -> bool {
    text.contains(['"', '\'', '$', '|', '&', ';', '<', '>', '*', '(', '`', '\n', '{', '[', '#', ',', ':'])
}

/// Texts as a list of YAML in one line, for advice: quoted where they would be read as something else.
pub(super) fn flow_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let word = |word: &str| {
        let is_plain = |sign: char| sign.is_alphanumeric() || "_./+=~^$@%".contains(sign) || sign == '-';
        let is_other = word.parse::<f64>().is_ok() || ["true", "false", "null", "~", ""].contains(&word);
        let begins_odd = word.starts_with(['%', '@', '~']) || word == "-";
        match word.chars().all(is_plain) && !is_other && !begins_odd {
            true => word.to_owned(),
            false => format!("'{}'", word.replace('\'', "''")),
        }
    };
    format!("[{}]", words.into_iter().map(word).collect::<Vec<_>>().join(", "))
}

/// A time with its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimeLimit(pub(super) Duration);

impl TimeLimit {
    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, f64); 4] = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
        let (number, seconds) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
        let is_plain =
            number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = number.parse().ok().filter(|number| is_plain && *number > 0.0)?;
        Duration::try_from_secs_f64(number * seconds).ok().map(Self)
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = TimeLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as `90s`, `10m`, `1.5h` or `2d`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeLimit, E> {
                TimeLimit::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(TimeVisitor)
    }
}

impl JsonSchema for TimeLimit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeLimit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?[smhd]$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_list_is_read_as_the_same_words() {
        for words in [&["python3", "../t.py", "--lr=0.1", "-x"][..], &["a,b", "8080", "true", "x: y", "it's", "", "#a"]]
        {
            let yaml =
                format!("stages: {{ a: {{ kind: x, params: {{ run: {} }} }} }}", flow_list(words.iter().copied()));
            let spec = pipeline_spec::parse(&yaml, std::path::Path::new("/s.yaml")).unwrap();
            let Some(Value::List(items)) = spec.stages[0].params.get("run").map(|run| &run.value) else {
                panic!("{yaml}")
            };
            assert_eq!(items.iter().filter_map(Node::as_str).collect::<Vec<_>>(), words, "{yaml}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("2d", 172_800.0), ("0.5s", 0.5)] {
            assert_eq!(TimeLimit::parse(text).map(|limit| limit.0.as_secs_f64()), Some(seconds), "{text}");
        }
        for text in [
            "",
            "s",
            "10",
            "0s",
            "-1s",
            "1e3s",
            "ms",
            "10 m",
            "1h30m",
            "inf s",
            "nans",
            "999999999999999999999d",
            ".5s",
        ] {
            assert_eq!(TimeLimit::parse(text), None, "{text}");
        }
    }
}

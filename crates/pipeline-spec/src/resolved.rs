//! A spec as one YAML file, after `extends`, vars and overrides. Every run keeps it.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use crate::vars::escape;
use crate::yaml::FOLDER_TAG;
use crate::{AxisValues, CheckRule, ChosenBy, Node, PipelineSpec, StageSpec, SweepSpec, Value, scalar};

/// Words that older YAML readers take for booleans.
const OLD_BOOLS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// The spec as YAML that reads back as the same spec, wherever the text is stored.
///
/// `folder` says where its relative paths start. A text from a file in another folder carries that folder as a tag,
/// `!folder:/absolute/folder`, since only its stage knows whether it is a path.
pub fn resolved_yaml(spec: &PipelineSpec) -> String {
    let mut writer = Writer { yaml: String::new(), folder: &spec.folder };
    writer.entry(0, "name", &spec.name);
    writer.entry(0, "folder", &spec.folder.to_string_lossy());
    if !spec.vars.is_empty() {
        writer.key(0, "vars").end_line();
        for (name, node) in spec.var_nodes.nodes() {
            writer.key(2, name).space().value(node, escape).end_line();
        }
    }
    writer.key(0, "stages").end_line();
    for stage in &spec.stages {
        writer.stage(stage);
    }
    writer.sweep(&spec.sweep);
    if !spec.check.is_empty() {
        writer.key(0, "check").end_line();
        for (metric, rule) in &spec.check {
            writer.key(2, metric).space().rule(rule).end_line();
        }
    }
    writer.yaml
}

impl Node {
    /// The value as one line of YAML.
    pub fn to_yaml(&self) -> String {
        let mut writer = Writer { yaml: String::new(), folder: self.folder() };
        writer.value(self, |text| text.into());
        writer.yaml
    }
}

impl StageSpec {
    /// All of the stage except its inputs and published files, as text: equal for equal stages.
    pub fn definition(&self) -> String {
        // No text belongs to the empty folder, so every text states the folder in which a relative path starts.
        let mut writer = Writer { yaml: String::new(), folder: Path::new("") };
        writer.stage(&Self { inputs: Vec::new(), publish: Vec::new(), ..self.clone() });
        writer.yaml
    }
}

/// The escaping of a text so that the YAML reads back the same: `escape` where vars are replaced, else the identity.
type Escape = fn(&str) -> Cow<'_, str>;

struct Writer<'a> {
    yaml: String,
    /// The folder in which a relative path starts by default.
    folder: &'a Path,
}

impl Writer<'_> {
    fn stage(&mut self, stage: &StageSpec) {
        self.key(2, stage.id.as_str()).end_line();
        self.entry(4, "kind", &escape(&stage.kind.value));
        if !stage.inputs.is_empty() {
            self.key(4, "inputs").end_line();
            for (slot, producer) in &stage.inputs {
                self.entry(6, &slot.value, producer.value.as_str());
            }
        }
        if let Value::Map(entries) = &stage.params.value
            && !entries.is_empty()
        {
            self.key(4, "params").end_line();
            for (name, node) in entries {
                self.key(6, &name.value).space().value(node, escape).end_line();
            }
        }
        if !stage.retain {
            self.key(4, "retain").raw(" false").end_line();
        }
        if let Some(lane) = stage.lane {
            self.key(4, "pool").space().raw(lane.name()).end_line();
        }
        if !stage.publish.is_empty() {
            self.key(4, "publish").end_line();
            for publish in &stage.publish {
                self.entry(6, &publish.file.value, &escape(&publish.path.to_string_lossy()));
            }
        }
    }

    fn sweep(&mut self, sweep: &SweepSpec) {
        if sweep.is_empty() {
            return;
        }
        self.key(0, "sweep").end_line();
        for axis in &sweep.axes {
            // The texts of a sweep still contain their vars, which are replaced once a value overrides a param.
            let writer = self.key(2, axis.target()).space();
            match axis.values() {
                AxisValues::List(values) => writer.list(values, |text| text.into()),
                AxisValues::Range(range) => writer.value(range.node(), |text| text.into()),
            }
            .end_line();
        }
        if let Some(draw) = sweep.draw {
            self.entry(2, "draw", draw.name());
        }
        let points = sweep.points.map(|points| points as u64);
        for (name, value) in [("points", points), ("seed", sweep.seed)] {
            if let Some(value) = value {
                self.key(2, name).space().raw(&value.to_string()).end_line();
            }
        }
        if let Some(halving) = &sweep.halving {
            self.key(2, "halving").end_line();
            self.entry(4, "resource", halving.resource.target());
            self.key(4, "rungs").space().list(halving.rungs(), |text| text.into()).end_line();
            self.key(4, "factor").space().raw(&halving.factor.to_string()).end_line();
            if let Some(ChosenBy { stage, metric, .. }) = &halving.metric {
                self.entry(4, "metric", &format!("{stage}.{metric}"));
            }
        }
    }

    /// One line with a name and a text.
    fn entry(&mut self, indent: usize, name: &str, text: &str) {
        self.key(indent, name).space().text(text).end_line();
    }

    /// The indented start of a line.
    fn key(&mut self, indent: usize, name: &str) -> &mut Self {
        self.yaml.extend(std::iter::repeat_n(' ', indent));
        self.text(name).raw(":")
    }

    fn space(&mut self) -> &mut Self {
        self.raw(" ")
    }

    fn end_line(&mut self) {
        self.yaml.push('\n');
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.yaml.push_str(text);
        self
    }

    /// A value without a line break.
    fn value(&mut self, node: &Node, escape: Escape) -> &mut Self {
        match &node.value {
            Value::Null => self.raw("null"),
            Value::Bool(true) => self.raw("true"),
            Value::Bool(false) => self.raw("false"),
            Value::Int(value) => self.raw(&value.to_string()),
            Value::Float(value) => self.number(*value),
            Value::Str(text) => {
                // An absolute path, and a relative one in the spec's own folder, need no tag.
                if !text.starts_with('/') && **node.folder() != *self.folder {
                    self.raw("!").raw(FOLDER_TAG).uri(node.folder()).space();
                }
                self.text(&escape(text))
            }
            Value::List(items) => self.list(items, escape),
            Value::Map(entries) if entries.is_empty() => self.raw("{}"),
            Value::Map(entries) => {
                for (idx, (name, node)) in entries.iter().enumerate() {
                    self.raw(if idx == 0 { "{ " } else { ", " }).text(&name.value).raw(": ").value(node, escape);
                }
                self.raw(" }")
            }
        }
    }

    fn list(&mut self, items: &[Node], escape: Escape) -> &mut Self {
        self.raw("[");
        for (idx, item) in items.iter().enumerate() {
            self.raw(if idx == 0 { "" } else { ", " }).value(item, escape);
        }
        self.raw("]")
    }

    fn rule(&mut self, rule: &CheckRule) -> &mut Self {
        let CheckRule { max_drop, max_rise, min_value, max_value, .. } = *rule;
        let parts =
            [("max_drop", max_drop), ("max_rise", max_rise), ("min_value", min_value), ("max_value", max_value)];
        let parts = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (idx, (name, value)) in parts.enumerate() {
            self.raw(if idx == 0 { "{ " } else { ", " }).raw(name).raw(": ").number(value);
        }
        if let Some(paired) = rule.paired {
            self.raw(", paired: { alpha: ").number(paired.alpha).raw(" }");
        }
        self.raw(" }")
    }

    /// The shortest number that reads back as exactly this float, and not as an integer.
    fn number(&mut self, value: f64) -> &mut Self {
        match value {
            _ if value.is_finite() => self.raw(&format!("{value:?}")),
            _ if value.is_nan() => self.raw(".nan"),
            _ if value > 0.0 => self.raw(".inf"),
            _ => self.raw("-.inf"),
        }
    }

    /// The text itself if YAML reads it as text, else in double quotes.
    fn text(&mut self, text: &str) -> &mut Self {
        if is_plain(text) {
            return self.raw(text);
        }
        self.yaml.push('"');
        for c in text.chars() {
            match c {
                '"' => self.yaml.push_str("\\\""),
                '\\' => self.yaml.push_str("\\\\"),
                '\n' => self.yaml.push_str("\\n"),
                '\t' => self.yaml.push_str("\\t"),
                c if needs_code(c) => {
                    // Writing to a string cannot fail.
                    let _ = write!(self.yaml, "\\u{:04x}", u32::from(c));
                }
                c => self.yaml.push(c),
            }
        }
        self.raw("\"")
    }

    /// The path as the end of a YAML tag.
    fn uri(&mut self, path: &Path) -> &mut Self {
        for byte in path.to_string_lossy().bytes() {
            if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
                self.yaml.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.yaml, "%{byte:02X}");
            }
        }
        self
    }
}

/// Whether every reader of YAML takes the unquoted text as text.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.'))
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'/' | b'.' | b'-'))
        && matches!(scalar::resolve(text), Ok(Value::Str(_)))
        && !OLD_BOOLS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether YAML needs an escape: control characters, and those that it reads as line breaks or byte order marks.
fn needs_code(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

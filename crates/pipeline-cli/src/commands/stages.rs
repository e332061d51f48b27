//! `pipeline stages`: the registry of kinds, as a table or one of them in full.
//!
//! JSON: a list of `{kind, version, summary, inputs, produces, params}`, or one of these. `inputs` is a list of `{name,
//! accepts, summary}`, or null for any inputs. `params` is a JSON Schema.

use pipeline_spec::did_you_mean;
use pipeline_stages::{Format, KINDS, Kind, Slot};
use serde::Serialize;
use serde_json::Value;

use crate::args::StagesArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::param_words;
use crate::table::Table;
use crate::terminal::{Palette, Terminal};

#[derive(Serialize)]
struct KindJson {
    kind: &'static str,
    version: u32,
    summary: &'static str,
    inputs: Option<&'static [Slot]>,
    produces: Format,
    params: Value,
}

/// Runs the command.
///
/// # Errors
/// When there is no such kind.
pub fn run(args: &StagesArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let kind = args.kind.as_deref().map(find).transpose()?;
    match (kind, args.json.json) {
        (Some(kind), true) => terminal.json(&to_json(kind))?,
        (None, true) => terminal.json(&KINDS.iter().map(|kind| to_json(kind)).collect::<Vec<_>>())?,
        (Some(kind), false) => terminal.data(&description(kind, terminal.out))?,
        (None, false) => terminal.data(&overview().render(terminal.out, terminal.out_width()))?,
    }
    Ok(Exit::Done)
}

fn find(name: &str) -> Result<&'static Kind, Failure> {
    pipeline_stages::kind(name).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("there is no kind `{name}`"));
        let question = did_you_mean(&pipeline_stages::meant_kinds(name));
        failure.with_help(question.unwrap_or_else(|| "`pipeline stages` lists all kinds".to_owned()))
    })
}

fn to_json(kind: &Kind) -> KindJson {
    KindJson {
        kind: kind.name,
        version: kind.version,
        summary: kind.summary,
        inputs: kind.slots,
        produces: kind.produces,
        params: (kind.params_schema)(),
    }
}

fn overview() -> Table {
    let mut table = Table::new(&["kind", "inputs", "does"]).leave_out([1]);
    for kind in KINDS {
        table.row(vec![kind.name.to_owned(), inputs(kind), kind.summary.to_owned()]);
    }
    table
}

fn inputs(kind: &Kind) -> String {
    match kind.slots {
        None => "any".to_owned(),
        Some([]) => "-".to_owned(),
        Some(slots) => slots
            .iter()
            .map(|slot| if slot.is_required { slot.name.to_owned() } else { format!("[{}]", slot.name) })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn description(kind: &Kind, palette: Palette) -> String {
    let mut lines =
        vec![format!("{} (version {})", palette.bold(kind.name), kind.version), format!("  {}", kind.summary)];
    lines.push(String::new());
    lines.push(palette.bold("inputs"));
    match kind.slots {
        None => lines.push("  any, under any name".to_owned()),
        Some([]) => lines.push("  none".to_owned()),
        Some(slots) => lines.extend(slots.iter().map(|slot| {
            let optional = if slot.is_required { "" } else { " (optional)" };
            format!("  {}{optional}: {}", slot.name, slot.summary)
        })),
    }
    let schema = (kind.params_schema)();
    for paragraph in about(&schema) {
        lines.extend([String::new(), paragraph]);
    }
    lines.push(String::new());
    lines.push(palette.bold("params"));
    lines.extend(param_words::params(&schema));
    lines.join("\n")
}

/// The remarks beside the params: the paragraphs after the first, which only names the kind.
fn about(schema: &Value) -> Vec<String> {
    let text = schema["description"].as_str().unwrap_or_default();
    let lines = |paragraph: &str| paragraph.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    text.split("\n\n").skip(1).map(lines).collect()
}

//! `pipeline` without a command, and a command without its spec: the specs of the project and the next command.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use pipeline_experiments::project::{self, ListedSpec};

use crate::advice;
use crate::args;
use crate::door;
use crate::exit::Exit;
use crate::table::Table;
use crate::terminal::Terminal;

/// Lists the specs on stdout where the program is called without any argument; `None` when there are none.
pub fn overview(terminal: &Terminal) -> Option<Exit> {
    let specs = project::specs(&door::here());
    let command = next_command("run", &specs)?;
    let text = table(&specs).render(terminal.out, terminal.out_width());
    if terminal.data(&text).is_err() {
        return Some(Exit::Usage);
    }
    terminal.remark(&format!("next: `{command}`; `pipeline --help` lists the commands"));
    Some(Exit::Done)
}

/// Lists the specs on stderr below the error that a command lacks its spec; else an example of the command.
pub fn help_with(error: &clap::Error, words: &[String], terminal: &Terminal) {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) if error.kind() == ErrorKind::MissingRequiredArgument => names,
        _ => return,
    };
    let help = |text: String| terminal.note(&format!("{}: {text}", terminal.err.helpful("help")));
    let specs = project::specs(&door::here());
    let commands = args::command();
    let verb = words.iter().skip(1).find_map(|word| Some(commands.find_subcommand(word)?.get_name()));
    match verb.and_then(|verb| next_command(verb, &specs)) {
        Some(command) if missing.iter().any(|name| name == "<SPEC>") && missing.len() == 1 => {
            terminal.note(&format!("\n{}", table(&specs).render(terminal.err, None)));
            help(format!("`{command}`"));
        }
        _ if missing.iter().any(|name| name == "<SPEC>") && specs.is_empty() => {
            terminal.note("");
            help("no spec is here: `pipeline init` begins a project, `pipeline demo` writes one that runs".to_owned());
        }
        _ => {
            terminal.note("");
            let _ = advice::example(words).map(help);
        }
    }
}

/// The command with a spec to begin with: the first that extends no other.
fn next_command(verb: &str, specs: &[ListedSpec]) -> Option<String> {
    let first = specs.iter().find(|spec| !spec.is_overlay).or(specs.first())?;
    Some(format!("pipeline {verb} {}", project::name_from(&door::here(), &first.file)))
}

fn table(specs: &[ListedSpec]) -> Table {
    let mut table = Table::new(&["spec", "about"]).shorten([0]);
    for spec in specs {
        table.row(vec![project::name_from(&door::here(), &spec.file), spec.about.clone()]);
    }
    table
}

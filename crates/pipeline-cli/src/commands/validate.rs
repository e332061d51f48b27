//! `pipeline validate`: checks a spec without looking at data.
//!
//! JSON: `{spec, file, n_stages}`; a spec that is wrong is told on stderr, with exit code 2.

use crate::args::ValidateArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::opened::Loaded;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When the spec is wrong.
pub fn run(args: &ValidateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let Loaded { spec, graph, .. } = Loaded::load(&args.spec)?;
    if args.json.json {
        let n_stages = graph.n_stages();
        terminal.json(
            &serde_json::json!({ "spec": spec.name, "file": spec.file.to_string_lossy(), "n_stages": n_stages }),
        )?;
    } else {
        terminal.remark(&format!(
            "{}: {}, no mistakes",
            spec.file.display(),
            counted(graph.n_stages() as u64, "stage")
        ));
    }
    Ok(Exit::Done)
}

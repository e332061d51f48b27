//! `pipeline completions`: the script by which a shell asks this program for candidates.

use crate::args::CompletionsArgs;
use crate::completing;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.exact(&completing::script(args.shell))?;
    Ok(Exit::Done)
}

//! The command `pipeline`: parses the arguments, calls the command, converts the result to an exit code.
//!
//! Only this crate prints, reads the environment or ends the process.

mod advice;
mod again;
mod args;
mod bug;
mod card;
mod circumstances;
mod commands;
mod commit;
mod completing;
mod demo_files;
mod door;
mod drawing;
mod executor;
mod exit;
mod failure;
mod faults;
mod format;
mod graph_text;
mod memory;
mod open_files;
mod origin;
mod page;
mod param_words;
mod printable;
mod remotes;
mod render;
mod scaffold;
mod searching;
mod signals;
mod spec_or_run;
mod table;
mod terminal;
mod whole_file;

use std::process::ExitCode;

use args::{Command, GlobalArgs};
use exit::Exit;
use failure::Failure;
use terminal::Terminal;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == pipeline_stages::GUARD_ARGUMENT) {
        pipeline_stages::guard_programs();
        return ExitCode::SUCCESS;
    }
    bug::install_panic_hook();
    open_files::allow_more();
    signals::survive_large_files();
    let exit = std::panic::catch_unwind(|| {
        if completing::answer().is_some() {
            return Exit::Done;
        }
        let cli = match args::parse(std::env::args_os().collect()) {
            Ok(cli) => cli,
            Err(error) => return usage(error),
        };
        let terminal = Terminal::new(&cli.global);
        door::check_environment().and_then(|()| dispatch(cli.command, &terminal)).unwrap_or_else(|failure| {
            failure.report(&terminal);
            failure.exit
        })
    });
    exit.unwrap_or(Exit::Bug).into()
}

/// Prints help, the version or the error in the arguments; the specs, where a command or nothing is asked for.
fn usage(mut error: clap::Error) -> Exit {
    let terminal = Terminal::new(&GlobalArgs::default());
    let words = advice::words();
    if words.len() == 1
        && let Some(exit) = commands::specs::overview(&terminal)
    {
        return exit;
    }
    if let Some(failure) = advice::in_place_of(&mut error, &words) {
        failure.report(&terminal);
        return failure.exit;
    }
    let _ = error.print();
    commands::specs::help_with(&error, &words, &terminal);
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn dispatch(command: Command, terminal: &Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, terminal),
        Command::Init(args) => commands::init::run(&args, terminal),
        Command::Doctor(args) => commands::doctor::run(&args, terminal),
        Command::Run(args) => commands::run::run(&args, terminal),
        Command::Sweep(args) => commands::sweep::run(&args, terminal),
        Command::Status(args) => commands::status::run(&args, terminal),
        Command::Why(args) => commands::why::run(&args, terminal),
        Command::Path(args) => commands::path::run(&args, terminal),
        Command::Graph(args) => commands::graph::run(&args, terminal),
        Command::Validate(args) => commands::validate::run(&args, terminal),
        Command::Stages(args) => commands::stages::run(&args, terminal),
        Command::Schema => commands::schema::run(terminal),
        Command::Runs(args) => commands::runs::run(&args, terminal),
        Command::Diff(args) => commands::diff::run(&args, terminal),
        Command::Check(args) => commands::check::run(&args, terminal),
        Command::Predict(args) => commands::predict::run(&args, terminal),
        Command::Export(args) => commands::export::run(&args, terminal),
        Command::Search(args) => commands::search::run(&args, terminal),
        Command::Serve(args) => commands::serve::run(&args, terminal),
        Command::Report(args) => commands::report::run(&args, terminal),
        Command::Cache(args) => commands::cache::run(&args, terminal),
        Command::Completions(args) => commands::completions::run(&args, terminal),
        Command::Man(args) => commands::man::run(&args, terminal),
    }
}

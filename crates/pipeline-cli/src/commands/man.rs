//! `pipeline man`: the manual pages, which packages install.

use std::fs;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{self, ManArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;
use crate::whole_file::cannot;

/// Writes a page for every command into a folder, or the one of the program to stdout.
///
/// # Errors
/// When a page cannot be written.
pub fn run(args: &ManArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut command = args::command();
    command.build();
    match &args.folder {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
            write_pages(&command, folder)?;
        }
        None => terminal.exact(&page(&command))?,
    }
    Ok(Exit::Done)
}

fn write_pages(command: &Command, folder: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)).map_err(|error| cannot(&path, &error))?;
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help");
    inner.into_iter().try_for_each(|inner| write_pages(inner, folder))
}

/// The page of a command: what its help says, and the examples as they are typed.
fn page(command: &Command) -> String {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut page = Vec::new();
    Man::new(command.clone().after_help(None::<&str>)).render(&mut page).expect("writing to memory does not fail");
    let (heading, lines) = match after.strip_prefix(args::EXAMPLES_HEADING) {
        Some(examples) => ("EXAMPLES", examples),
        None => ("EXIT STATUS", after.as_str()),
    };
    let mut roff = Roff::default();
    if !lines.is_empty() {
        roff.control("SH", [heading]).control("nf", []);
        for line in lines.trim_start_matches('\n').lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    String::from_utf8_lossy(&page).into_owned() + &roff.to_roff()
}

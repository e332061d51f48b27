//! `pipeline cache keygen`: makes a pair of keys. stdout carries the public one, as `PIPELINE_TRUSTED_KEYS` takes it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

use pipeline_store::SigningKey;

use crate::args::CacheKeygenArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Writes a new key that signs into a file that only its owner may read, and prints its public part.
///
/// # Errors
/// When the name has characters that names of keys do not have, or the file exists or cannot be written.
pub fn run(args: &CacheKeygenArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let key = SigningKey::generate(&args.name).map_err(|error| Failure::because(Exit::Usage, &error))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.output);
    let written = file.and_then(|mut file| file.write_all(key.secret().as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let failure = Failure::because(Exit::Usage, &error);
        let failure = failure.under(format!("`{}` cannot be made", args.output.display()));
        match error.kind() {
            ErrorKind::AlreadyExists => {
                failure.with_help("a key is never replaced, since it may be in use: name another file")
            }
            _ => failure,
        }
    })?;
    terminal.remark(&format!(
        "`{}` signs, and must stay secret: `PIPELINE_SIGNING_KEY` names it where results are uploaded. Readers put \
         this into `PIPELINE_TRUSTED_KEYS`:",
        args.output.display()
    ));
    terminal.data(&key.trusted().to_string())?;
    Ok(Exit::Done)
}

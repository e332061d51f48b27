//! `pipeline serve`: a search box over the pool of an evaluation, for this machine only and read-only.
//!
//! `/` and `/search?q=…&k=…` are pages, `/api/search?q=…&k=…` is the JSON of `pipeline search`, `/image/ID` a picture;
//! `/report` is the page about the run whose result is searched, `/sweep` that about the sweep of its spec.

mod http;
mod reports;
mod response;
mod site;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipeline_core::RunId;
use pipeline_store::Store;

use crate::args::{ServeArgs, SpecArgs};
use crate::commands::replay;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::locate;
use crate::opened::Opened;
use crate::signals;
use crate::terminal::Terminal;
use site::Site;

/// Runs the command until a signal ends it.
///
/// # Errors
/// When the pool is not up to date, the encoder cannot be loaded, or the port is taken.
pub fn run(args: &ServeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (spec, named) = spec_or_run(&args.spec)?;
    let opened = Opened::open(&spec)?;
    let site = Site::open(&opened, args.stage.as_deref(), named)?;
    let failed = |error: std::io::Error| {
        let message = format!("cannot listen on port {}", args.port);
        Failure::because(Exit::Usage, &error).under(message).with_help("`--port 0` takes any that is free")
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stop = stop_at_signals(address.port()).map_err(failed)?;
    terminal.data(&format!("http://{address}/"))?;
    terminal.remark(&format!("serving {} at http://{address}/ until Ctrl-C", site.pool()));
    http::serve(&listener, &stop, &|request| site.answer(request)).map_err(failed)?;
    terminal.remark("stopped");
    Ok(Exit::Done)
}

/// The arguments, with the recorded spec of a run in the place of a run's id and then that run.
fn spec_or_run(args: &SpecArgs) -> Result<(SpecArgs, Option<RunId>), Failure> {
    let not_found = match locate::spec(&args.spec) {
        Ok(spec) => return Ok((args.with(spec, args.store.artifacts.clone()), None)),
        Err(failure) => failure,
    };
    let name = args.spec.to_string_lossy();
    let Ok(artifacts) = locate::artifacts_without_spec(args.store.artifacts.as_deref()) else { return Err(not_found) };
    let store = Store::open(&artifacts)?;
    let runs = store.runs().list()?;
    match replay::find(&runs, &name) {
        // What was changed since the run ended is not served.
        Ok(run) if store.runs().spec(&run.id)?.is_none() => Err(not_found),
        Ok(run) => Ok((args.with(recorded_spec(&artifacts, &run.id.0), Some(artifacts)), Some(run.id.clone()))),
        Err(_) => Err(not_found),
    }
}

/// Where a run keeps its resolved spec, which is a spec itself wherever it lies.
fn recorded_spec(artifacts: &Path, run: &str) -> std::path::PathBuf {
    artifacts.join("runs").join(run).join("spec.yaml")
}

/// Becomes true at the first signal to end: a server's usual end. The second ends the program at once.
fn stop_at_signals(port: u16) -> std::io::Result<Arc<AtomicBool>> {
    let mut signals = signals::listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if flag.swap(true, Ordering::SeqCst) {
                signal_hook::low_level::exit(Exit::of_signal(signal).code().into());
            }
            // Wakes the thread that waits for connections; nobody is there to be told when it has gone already.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        }
    })?;
    Ok(stop)
}

//! `pipeline serve`: a search box over the pool of an evaluation, for this machine only and read-only.
//!
//! `/` and `/search?q=…&k=…` are pages, `/api/search?q=…&k=…` is the JSON of `pipeline search`, `/image/ID` a
//! thumbnail; `/report` is the page about the run whose result is searched, `/sweep` that about the sweep of its spec.

mod http;
mod reports;
mod response;
mod site;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pipeline_core::RunId;
use pipeline_experiments::recorded::find_run;
use pipeline_experiments::{Opened, SpecRef, StoreRef, locate_spec};
use pipeline_store::Store;

use crate::args::{ServeArgs, SpecArgs};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::signals;
use crate::terminal::Terminal;
use site::Site;

/// Runs the command until a signal ends it.
///
/// # Errors
/// When the pool is not up to date, the encoder cannot be loaded, or the port is taken.
pub fn run(args: &ServeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (spec, named) = spec_or_run(&args.spec)?;
    let opened = Opened::open(&spec, &door::surroundings())?;
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

/// The named spec; if a run is named, its recorded spec and the run.
fn spec_or_run(args: &SpecArgs) -> Result<(SpecRef, Option<RunId>), Failure> {
    let artifacts = args.store.artifacts.as_deref();
    let not_found = match locate_spec(&args.spec, &door::here()) {
        Ok(spec) => return Ok((SpecRef::at(&spec, &args.overrides, artifacts)?, None)),
        Err(error) => error,
    };
    let name = args.spec.to_string_lossy();
    let Ok(StoreRef { folder, .. }) = StoreRef::above(&door::here(), artifacts) else { return Err(not_found.into()) };
    let store = Store::open(&folder)?;
    let runs = store.runs().list()?;
    match find_run(&runs, &name) {
        // A spec that was changed since the run ended is not served.
        Ok(run) if store.runs().spec(&run.id)?.is_some() => {
            let spec = SpecRef::at(&recorded_spec(&folder, &run.id.0), &args.overrides, Some(&folder))?;
            Ok((spec, Some(run.id.clone())))
        }
        _ => Err(not_found.into()),
    }
}

/// The path of a run's resolved spec, which is a valid spec wherever it lies.
fn recorded_spec(artifacts: &Path, run: &str) -> std::path::PathBuf {
    artifacts.join("runs").join(run).join("spec.yaml")
}

/// Becomes true at the first signal: a server's usual end. The second ends the program at once.
fn stop_at_signals(port: u16) -> std::io::Result<Arc<AtomicBool>> {
    let mut signals = signals::listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if flag.swap(true, Ordering::SeqCst) {
                signal_hook::low_level::exit(Exit::of_signal(signal).code().into());
            }
            // Wakes the thread that waits for connections; if it has ended already, it needs no waking.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        }
    })?;
    Ok(stop)
}

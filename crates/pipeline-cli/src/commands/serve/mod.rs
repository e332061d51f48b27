//! `pipeline serve`: one live page over a store, for this machine only and read-only.
//!
//! `/` has the search over the pool of an evaluation and the runs as they change. `/search?q=…&k=…` and `/similar/ID`
//! are pages, `/api/search` and `/api/similar/ID` are the JSON of `pipeline search`; an image is searched for by POST.
//! `/image/ID` is a thumbnail, `/runs/ID` a report or the stages of a run that goes on, `/report` the page about the
//! run whose result is searched, `/sweep` that about the sweep of its spec, `/events` the stream of changes.

mod arrival;
mod connection;
mod connections;
mod pool;
mod reports;
mod request;
mod response;
mod runs;
mod site;
mod upload;
mod watch;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use pipeline_core::RunId;
use pipeline_experiments::recorded::{RecordedError, find_run};
use pipeline_experiments::{Opened, SpecRef, StoreRef};

use crate::args::ServeArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::signals;
use crate::spec_or_run::SpecOrRun;
use crate::terminal::Terminal;
use connections::{Connections, Patience, Stop};
use pool::ServedPool;
use reports::Reports;
use site::{Site, UPLOADS};

/// Runs the command until a signal ends it.
///
/// # Errors
/// When the pool is not up to date, the encoders cannot be loaded, or the port is taken.
pub fn run(args: &ServeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let site = site(args, terminal)?;
    let failed = |error: std::io::Error| {
        let message = format!("cannot listen on port {}", args.port);
        Failure::because(Exit::Usage, &error).under(message).with_help("`--port 0` takes any that is free")
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let connections = Connections::new(listener, Patience::default()).map_err(failed)?;
    stop_at_signals(connections.stop()).map_err(failed)?;
    terminal.data(&format!("http://{address}/"))?;
    terminal.remark(&format!("serving {} at http://{address}/ until Ctrl-C", site.words()));
    std::thread::scope(|scope| {
        scope.spawn(|| site.watch.follow());
        let served = connections.serve(UPLOADS, &|request| site.answer(&request));
        site.watch.end();
        served
    })
    .map_err(failed)?;
    terminal.remark("stopped");
    Ok(Exit::Done)
}

/// The site of the named spec or run, else that of the project.
fn site(args: &ServeArgs, terminal: &Terminal) -> Result<Site, Failure> {
    let Some(name) = &args.spec else {
        if args.stage.is_some() || !args.overrides.is_empty() {
            let message = "`--stage` and `--set` are about a spec, and none is named";
            return Err(Failure::new(Exit::Usage, message).with_help("`pipeline serve SPEC`"));
        }
        let store = StoreRef::above(&door::here(), args.store.artifacts.as_deref())?;
        return Site::of_project(&store, door::here());
    };
    let (spec, named) = spec_or_run(name, args, terminal)?;
    let opened = door::attached(Opened::open(&spec, &door::surroundings())?, &args.remote)?;
    let pool = ServedPool::open(&opened, args.stage.as_deref(), door::n_threads())?;
    let reports = Reports::new(&opened, pool.searching(), named);
    Ok(Site::of_spec(&opened, pool, reports, door::here()))
}

/// The named spec; if a run is named, its recorded spec and the run.
fn spec_or_run(name: &Path, args: &ServeArgs, terminal: &Terminal) -> Result<(SpecRef, Option<RunId>), Failure> {
    let name = name.to_string_lossy();
    let named = match SpecOrRun::find(&name, &args.store, terminal)? {
        SpecOrRun::Spec(spec) => {
            return Ok((SpecRef::at(&spec, &args.overrides, args.store.artifacts.as_deref())?, None));
        }
        SpecOrRun::Runs(named) => named,
    };
    let folder = named.store.artifacts();
    match find_run(&named.runs, &name) {
        Ok(run) if named.store.runs().spec(&run.id)?.is_some() => {
            let spec = SpecRef::at(&recorded_spec(folder, &run.id.0), &args.overrides, Some(folder))?;
            Ok((spec, Some(run.id.clone())))
        }
        Ok(run) => {
            Err(Failure::new(Exit::Usage, format!("the recorded spec of run `{}` was changed or is gone", run.id)))
        }
        Err(RecordedError::NoRun { .. }) => Err(named.no_spec.into()),
        Err(several) => Err(several.into()),
    }
}

/// The path of a run's resolved spec, which is a valid spec wherever it lies.
fn recorded_spec(artifacts: &Path, run: &str) -> std::path::PathBuf {
    artifacts.join("runs").join(run).join("spec.yaml")
}

/// Ends the server at the first signal, which is its usual end. The second ends the program at once.
fn stop_at_signals(stop: Stop) -> std::io::Result<()> {
    let mut signals = signals::listen()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut is_second = false;
        for signal in signals.forever() {
            if std::mem::replace(&mut is_second, true) {
                signal_hook::low_level::exit(Exit::of_signal(signal).code().into());
            }
            stop.stop();
        }
    })?;
    Ok(())
}

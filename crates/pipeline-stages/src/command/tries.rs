//! The tries of a program: each in an empty folder, each after a longer pause.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::{StageContext, StageError, StageHost};

use super::CommandStage;
use super::output::LastLines;
use super::outputs;
use super::running::{self, Ended, How};
use super::unstarted;

/// The pause before the second try; each later one is twice as long, up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What programs print about a path that leads nowhere, and the likely reason.
const NO_SUCH_FILE: &str = "No such file or directory";
const IN_ITS_FOLDER: &str = "the program runs in an empty folder of its own: the folder of the spec is `$SPEC_DIR`, an \
                             input `$INPUT_<NAME>` (in Python: os.environ[\"SPEC_DIR\"])";

/// The interval of checks for cancellation in a pause.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the program until it succeeds or has no tries left; returns its last output.
pub(super) fn run(stage: &CommandStage, context: &StageContext<'_>, scratch: &Path) -> Result<LastLines, StageError> {
    let timeout = stage.params.timeout.map(|limit| limit.0);
    let n_tries = u64::from(stage.params.retries) + 1;
    let mut pause = FIRST_PAUSE;
    let search = stage.search();
    let advice = |error: &io::Error| stage.named(&search).help(error);
    for try_number in 1.. {
        let ended = running::run(stage.program(context, scratch)?, &stage.guards, timeout, &advice, context.host)?;
        let Some(problem) = problem(stage, &ended) else { return Ok(ended.printed) };
        if try_number == n_tries {
            let quote = ended.printed.quote();
            let code = if let How::Exited(code) = ended.how { code } else { 0 };
            let of_output = unstarted::of_output(code, &quote, &search, &stage.program_path());
            let help = of_output.or_else(|| stage.help());
            let help = help.or_else(|| quote.contains(NO_SUCH_FILE).then(|| IN_ITS_FOLDER.to_owned()));
            return Err(StageError { help, ..StageError::new(problem + &quote) });
        }
        let last = ended.printed.last().map(|line| format!(": {line}")).unwrap_or_default();
        let next = format!("try {} of {n_tries} begins in {} s", try_number + 1, pause.as_secs_f64());
        // Not a warning: warnings are kept with the result, which does not depend on earlier tries.
        context.host.output(&format!("[{problem}{last}; {next}]"));
        wait(pause, context.host)?;
        pause = (pause * 2).min(LONGEST_PAUSE);
        outputs::remove_all(scratch)?;
    }
    unreachable!("BUG: the last try of a program returns")
}

/// The fault in the way the program ended; `None` if it succeeded.
fn problem(stage: &CommandStage, ended: &Ended) -> Option<String> {
    let how = match ended.how {
        How::Exited(0) => return None,
        How::Exited(code) => format!("exited with {code}"),
        How::Signalled(signal) => format!("was ended by signal {signal}"),
        How::TimedOut => {
            let limit = stage.params.timeout.map(|limit| limit.to_string()).unwrap_or_default();
            format!("did not end within {limit} and was stopped")
        }
    };
    Some(format!("`{}` {how}", stage.params.run[0]))
}

fn wait(pause: Duration, host: &dyn StageHost) -> Result<(), StageError> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

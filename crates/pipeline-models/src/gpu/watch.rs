//! Faults of the device as errors: the framework panics where the driver fails, often on a thread of its own.
//!
//! A panic on the framework's thread is swallowed there, and what it left undone would be read as a result. So every
//! fault is written down before its thread unwinds, and work counts only if none came since its model was placed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::{DeviceError, Fault};

/// The most characters of a message that is shown as it is.
const MAX_CHARS: usize = 160;

/// The cause within the framework's message, which may be pages of kernel source and backtraces.
fn cause(message: &str) -> Fault {
    // Messages quote others, whose ends of lines are then two characters.
    let text = message.replace("\\n", "\n");
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if ["OUT_OF_MEMORY", "Out of Memory", "BufferTooBig", "too big"].iter().any(|mark| text.contains(mark)) {
        return Fault::MemoryIsFull;
    }
    if text.contains("[Compilation Error]") {
        let line = lines().find(|line| line.contains("error:") || line.contains("error :"));
        let line = line.or_else(|| lines().find(|line| !line.contains("[Compilation Error]")));
        return Fault::Compiler { line: cut(line.unwrap_or("it says nothing")) };
    }
    match code(&text) {
        Some(code) => Fault::Driver { code },
        None => {
            // The innermost cause is the last.
            let innermost = text.rsplit("Caused by:").next().unwrap_or_default();
            let line = innermost.lines().map(str::trim).find(|line| !line.is_empty());
            Fault::Other { line: cut(line.unwrap_or("it says nothing")) }
        }
    }
}

/// The first `CUDA_ERROR_…` or `NVRTC_ERROR_…` of a text.
fn code(text: &str) -> Option<String> {
    let start = ["CUDA_ERROR_", "NVRTC_ERROR_"].iter().filter_map(|mark| text.find(mark)).min()?;
    let is_of_name = |letter: &char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || *letter == '_';
    Some(text[start..].chars().take_while(is_of_name).collect())
}

fn cut(line: &str) -> String {
    let short: String = line.chars().take(MAX_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}

/// The faults of this process, in their order.
struct Faults {
    n: usize,
    /// A fault and its number, where it differs from the one before.
    causes: Vec<(usize, Fault)>,
}

static FAULTS: Mutex<Faults> = Mutex::new(Faults { n: 0, causes: Vec::new() });

fn faults() -> MutexGuard<'static, Faults> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    fn add(&mut self, fault: Fault) {
        if self.causes.last().is_none_or(|(_, last)| *last != fault) {
            self.causes.push((self.n, fault));
        }
        self.n += 1;
    }

    /// The first fault with this number or a later one.
    fn since(&self, number: usize) -> Option<Fault> {
        if self.n <= number {
            return None;
        }
        let later = self.causes.iter().find(|(at, _)| *at >= number);
        later.or(self.causes.last()).map(|(_, fault)| fault.clone())
    }
}

thread_local! {
    /// Whether this thread is at work for a [`Watch`].
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Sees every fault since it began.
pub(super) struct Watch {
    since: usize,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |info| match of_device(info) {
                Some(fault) => faults().add(fault),
                None => before(info),
            }));
        });
        Self { since: faults().n }
    }

    /// Works on the device.
    ///
    /// # Errors
    /// When the device has failed since the watch began: its result may be made of what was never written.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, DeviceError> {
        let was_watched = IS_WATCHED.replace(true);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        IS_WATCHED.set(was_watched);
        let fault = faults().since(self.since);
        match (outcome, fault) {
            (_, Some(fault)) => Err(DeviceError::Failed(fault)),
            (Ok(result), None) => Ok(result),
            (Err(panic), None) => resume_unwind(panic),
        }
    }
}

/// The fault that a panic reports; a panic of our own code is a bug.
fn of_device(info: &PanicHookInfo<'_>) -> Option<Fault> {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    let file = info.location().map_or("", |location| location.file());
    let thread = std::thread::current();
    // The name that the framework gives to the thread of a device.
    let is_device_thread = thread.name().is_some_and(|name| name.starts_with("DSU-") || name.starts_with("DSD-"));
    let is_of_framework = ["/cubecl", "/cudarc", "/burn", "/wgpu"].iter().any(|crate_name| file.contains(crate_name));
    // The framework's checks blame their callers, which may be our code.
    let is_quoted = ["CUDA_ERROR", "DriverError", "ServerUnhealthy", "ServerError", "CallError", "ExecutionError"]
        .iter()
        .any(|mark| message.contains(mark));
    let is_fault = is_device_thread || (is_of_framework && is_at_work()) || (is_quoted && is_at_work());
    is_fault.then(|| cause(message))
}

/// Also true of threads without a name, such as those on which the framework gives memory back.
fn is_at_work() -> bool {
    IS_WATCHED.get() || std::thread::current().name().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_device_thread(message: &'static str) {
        let thread = std::thread::Builder::new().name("DSU-0-0".to_owned());
        thread.spawn(move || panic!("{message}")).unwrap().join().unwrap_err();
    }

    #[test]
    fn a_panic_that_the_framework_swallows_spoils_the_result() {
        let watch = Watch::new();
        let result = watch.run(|| {
            on_device_thread(
                "called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_LAUNCH_FAILED, \"x\")",
            );
            7
        });
        let fault = Fault::Driver { code: "CUDA_ERROR_LAUNCH_FAILED".to_owned() };
        assert_eq!(result, Err(DeviceError::Failed(fault.clone())));
        assert_eq!(watch.run(|| 7), Err(DeviceError::Failed(fault)), "its model lies where that happened");
        // A later model is judged by itself.
        let later = Watch::new();
        on_device_thread("BufferTooBig { size: 1073741824, backtrace: disabled backtrace }");
        assert_eq!(later.run(|| 7), Err(DeviceError::Failed(Fault::MemoryIsFull)));
    }

    #[test]
    fn a_bug_stays_a_panic() {
        let watch = Watch { since: usize::MAX };
        let panic = catch_unwind(AssertUnwindSafe(|| watch.run(|| panic!("BUG: a test")))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"BUG: a test"));
    }

    #[test]
    fn the_cause_is_one_line_without_kernel_source() {
        for (message, expected) in [
            (
                "ServerUnhealthy { errors: [Launch(CompilationError(Generic { reason: \"[Compilation Error] \\n    \
                 default_program(2): catastrophic error: cannot open source file \\\"mma.h\\\"\\n[Source]  \\n#include",
                "its compiler refuses a kernel: default_program(2): catastrophic error: cannot open source file \\\"mma.h\\\"",
            ),
            (
                "Unable to load the PTX: DriverError(CUDA_ERROR_INVALID_PTX, \"x\")",
                "its driver reports CUDA_ERROR_INVALID_PTX",
            ),
            ("CUDA_ERROR_OUT_OF_MEMORY", "its memory is full"),
            ("Storage handle not found\nmore", "Storage handle not found"),
            (
                "Error while reading\nCaused by:\n  unhealthy\nCaused by:\n  the copy failed\nBacktrace:",
                "the copy failed",
            ),
            ("", "it says nothing"),
        ] {
            assert_eq!(cause(message).to_string(), expected);
        }
        assert_eq!(cause(&"x".repeat(300)).to_string().chars().count(), MAX_CHARS + 1);
    }
}

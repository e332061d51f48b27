//! Faults of the device as errors: the framework panics where the driver fails, often on a thread of its own.
//!
//! A panic on the framework's thread is swallowed there, and what it left undone would be read as a result. So every
//! fault is written down before its thread unwinds, and work counts only if none came since its model was placed. One
//! whose thread does not say which GPU it is of counts for all of them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::{DeviceError, Fault};
use crate::device::Gpu;

/// The most characters of a message that is shown as it is.
const MAX_CHARS: usize = 160;

/// What CUDA, the framework and wgpu say of memory that is full, by the names of their errors and by the messages.
const FULL_MEMORY: [&str; 10] = [
    "OUT_OF_MEMORY",
    "OutOfMemory",
    "Out of Memory",
    "out of memory",
    "out-of-memory",
    "Not enough memory left",
    "maximum buffer size",
    "BufferTooBig",
    "can't allocate buffer of size",
    "too big",
];

/// What tells an error of the device from one of our own, wherever it becomes a panic.
const QUOTED: [&str; 8] = [
    "CUDA_ERROR",
    "DriverError",
    "ServerUnhealthy",
    "ServerError",
    "CallError",
    "ExecutionError",
    "BufferTooBig",
    "can't allocate buffer of size",
];

/// The cause within the framework's message, which may be pages of kernel source and backtraces.
fn cause(message: &str) -> Fault {
    // Messages quote others, whose ends of lines are then two characters.
    let text = message.replace("\\n", "\n");
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if FULL_MEMORY.iter().any(|mark| text.contains(mark)) {
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

/// The faults of a GPU, in their order.
#[derive(Default)]
struct Faults {
    n: usize,
    /// A fault and its number, where it differs from the one before.
    causes: Vec<(usize, Fault)>,
}

/// The faults of this process.
struct AllFaults {
    /// By the GPU; those of an unknown one under `None`.
    of: BTreeMap<Option<Gpu>, Faults>,
    /// The GPUs by the ends of the names of their threads.
    by_thread: BTreeMap<String, Gpu>,
}

static FAULTS: Mutex<AllFaults> = Mutex::new(AllFaults { of: BTreeMap::new(), by_thread: BTreeMap::new() });

fn faults() -> MutexGuard<'static, AllFaults> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AllFaults {
    fn n(&self, gpu: Option<Gpu>) -> usize {
        self.of.get(&gpu).map_or(0, |faults| faults.n)
    }
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
    /// The GPU for which this thread is at work in a [`Watch`].
    static WATCHED: Cell<Option<Gpu>> = const { Cell::new(None) };
}

/// The names that the framework gives to the threads of a device, before its type and number.
const DEVICE_THREADS: [&str; 2] = ["DSU-", "DSD-"];

/// Remembers whose fault one on the threads of a device is: the framework's type and number of it.
pub(super) fn know(gpu: Gpu, [device_type, number]: [u16; 2]) {
    faults().by_thread.insert(format!("{device_type}-{number}"), gpu);
}

/// Sees every fault of a GPU since it began.
pub(super) struct Watch {
    gpu: Gpu,
    /// The faults before, of this GPU and of an unknown one.
    since: [usize; 2],
}

impl Watch {
    /// Begins to watch.
    pub(super) fn new(gpu: Gpu) -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |info| match of_device(info) {
                Some(fault) => add(fault),
                None => before(info),
            }));
        });
        let faults = faults();
        Self { gpu, since: [Some(gpu), None].map(|gpu| faults.n(gpu)) }
    }

    /// Works on the device.
    ///
    /// # Errors
    /// When the device has failed since the watch began: its result may be made of what was never written.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, DeviceError> {
        let before = WATCHED.replace(Some(self.gpu));
        let outcome = catch_unwind(AssertUnwindSafe(work));
        WATCHED.set(before);
        match (outcome, self.fault()) {
            (_, Some(fault)) => Err(DeviceError::Failed { gpu: self.gpu, fault }),
            (Ok(result), None) => Ok(result),
            (Err(panic), None) => resume_unwind(panic),
        }
    }

    fn fault(&self) -> Option<Fault> {
        let faults = faults();
        let since = |(gpu, number): (Option<Gpu>, usize)| faults.of.get(&gpu)?.since(number);
        [Some(self.gpu), None].into_iter().zip(self.since).find_map(since)
    }
}

/// Writes down a fault of the GPU that this thread works for.
fn add(fault: Fault) {
    let mut faults = faults();
    let thread = std::thread::current();
    let of_device = thread.name().and_then(|name| DEVICE_THREADS.iter().find_map(|start| name.strip_prefix(start)));
    let gpu = of_device.map_or_else(|| WATCHED.get(), |end| faults.by_thread.get(end).copied());
    faults.of.entry(gpu).or_default().add(fault);
}

/// The fault that a panic reports; a panic of our own code is a bug.
fn of_device(info: &PanicHookInfo<'_>) -> Option<Fault> {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
    let file = info.location().map_or("", |location| location.file());
    let thread = std::thread::current();
    let is_device_thread = thread.name().is_some_and(|name| DEVICE_THREADS.iter().any(|start| name.starts_with(start)));
    let is_of_framework = ["/cubecl", "/cudarc", "/burn", "/wgpu"].iter().any(|crate_name| file.contains(crate_name));
    // The framework's checks blame their callers, which may be our code.
    let is_quoted = QUOTED.iter().any(|mark| message.contains(mark));
    let is_own = message.starts_with("BUG") || file.contains("/pipeline-") || file.starts_with("crates/");
    let is_of_device = is_device_thread && (is_quoted || !is_own);
    let is_fault = is_of_device || (is_of_framework && is_at_work()) || (is_quoted && is_at_work());
    is_fault.then(|| cause(message))
}

/// Also true of threads without a name, such as those on which the framework gives memory back.
fn is_at_work() -> bool {
    WATCHED.get().is_some() || std::thread::current().name().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Interface;

    const GPU: Gpu = Gpu { interface: Interface::Cuda, number: Some(7) };

    fn on_device_thread(number: u16, message: &'static str) {
        let thread = std::thread::Builder::new().name(format!("DSU-9-{number}"));
        thread.spawn(move || panic!("{message}")).unwrap().join().unwrap_err();
    }

    #[test]
    fn a_panic_that_the_framework_swallows_spoils_the_result() {
        know(GPU, [9, 7]);
        let watch = Watch::new(GPU);
        let result = watch.run(|| {
            on_device_thread(
                7,
                "called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_LAUNCH_FAILED, \"x\")",
            );
            7
        });
        let fault = Fault::Driver { code: "CUDA_ERROR_LAUNCH_FAILED".to_owned() };
        let failed = |fault: &Fault| Err(DeviceError::Failed { gpu: GPU, fault: fault.clone() });
        assert_eq!(result, failed(&fault));
        assert_eq!(watch.run(|| 7), failed(&fault), "its model lies where that happened");
        // A later model is judged by itself.
        let later = Watch::new(GPU);
        on_device_thread(7, "BufferTooBig { size: 1073741824, backtrace: disabled backtrace }");
        assert_eq!(later.run(|| 7), failed(&Fault::MemoryIsFull));
    }

    #[test]
    fn a_fault_of_another_gpu_spoils_nothing_unless_nothing_says_whose_it_is() {
        let other = Gpu { number: Some(6), ..GPU };
        let gpu = Gpu { number: Some(5), ..GPU };
        know(other, [9, 6]);
        let [watch, of_other] = [gpu, other].map(Watch::new);
        on_device_thread(6, "CUDA_ERROR_OUT_OF_MEMORY");
        assert_eq!(watch.run(|| 7), Ok(7));
        assert!(of_other.run(|| 7).is_err());
        let fault = Fault::Driver { code: "CUDA_ERROR_UNKNOWN".to_owned() };
        on_device_thread(60, "CUDA_ERROR_UNKNOWN");
        assert_eq!(watch.run(|| 7), Err(DeviceError::Failed { gpu, fault }));
    }

    #[test]
    fn a_bug_on_the_thread_of_a_device_is_no_fault_of_it() {
        let gpu = Gpu { number: Some(4), ..GPU };
        know(gpu, [9, 4]);
        let watch = Watch::new(gpu);
        on_device_thread(4, "BUG: a test");
        assert_eq!(watch.run(|| 7), Ok(7));
    }

    #[test]
    fn a_bug_stays_a_panic() {
        let watch = Watch { gpu: GPU, since: [usize::MAX; 2] };
        let panic = catch_unwind(AssertUnwindSafe(|| watch.run(|| panic!("BUG: a test")))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"BUG: a test"));
    }

    #[test]
    fn the_cause_is_one_line_without_kernel_source() {
        for (message, expected) in [
            (
                "ServerUnhealthy { errors: [Launch(CompilationError(Generic { reason: \"[Compilation Error] \\n    \
                 default_program(2): catastrophic error: cannot open source file \\\"mma.h\\\"\\n[Source]  \\n#include",
                "its compiler refuses a kernel: default_program(2): catastrophic error: cannot open source file \
                \\\"mma.h\\\"",
            ),
            (
                "Unable to load the PTX: DriverError(CUDA_ERROR_INVALID_PTX, \"x\")",
                "its driver reports CUDA_ERROR_INVALID_PTX",
            ),
            ("CUDA_ERROR_OUT_OF_MEMORY", "its memory is full"),
            (
                "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 131072000\nBacktrace:",
                "its memory is full",
            ),
            ("An out-of-memory error happened during launch\nCaused by:\n  hip\nBacktrace", "its memory is full"),
            ("wgpu error: Out of Memory\n\nCaused by:\n  In Device::create_buffer\n", "its memory is full"),
            ("In Device::create_buffer\n      Not enough memory left.", "its memory is full"),
            ("Buffer size 9 is greater than the maximum buffer size (8)", "its memory is full"),
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

//! Reports a panic as a bug of this program.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Replaces the panic message by one for users. With `RUST_BACKTRACE` set, the backtrace follows.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let backtrace = std::backtrace::Backtrace::capture();
        let mut text = report(info);
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            text.push_str(&format!("\n{backtrace}"));
        }
        let _ = writeln!(std::io::stderr().lock(), "{}", crate::printable::text(&text));
    }));
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!(
        "error: this is a bug in pipeline {}, not in your spec or data\n  caused by: {} ({place})\n\
         help: please report it with these lines and, if you can, with RUST_BACKTRACE=1",
        env!("CARGO_PKG_VERSION"),
        message.unwrap_or("a panic without a message"),
    )
}

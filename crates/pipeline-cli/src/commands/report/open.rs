//! Opens a page in a browser: `$BROWSER`, else the desktop's own. No shell sees the address, and nothing waits for the
//! browser to end.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::terminal::Terminal;

/// The time after which a program that still runs has opened the page.
const PATIENCE: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens the page, or says how to.
pub fn open(file: &Path, terminal: &Terminal) {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let address = address(&file);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|name| variable(name).is_some());
    let programs = match variable("BROWSER") {
        Some(browsers) => browsers.split(':').map(str::to_owned).collect(),
        None if variable("WSL_DISTRO_NAME").is_some() => vec!["wslview".to_owned(), "xdg-open".to_owned()],
        None if has_display => vec!["xdg-open".to_owned()],
        None => Vec::new(),
    };
    let mut why = "no display and no `$BROWSER` here".to_owned();
    for program in programs {
        match start(&program, &address) {
            Ok(()) => return,
            Err(failed) => why = format!("`{program}` {failed}"),
        }
    }
    terminal.note(&format!("warning: the page was not opened: {why}\nhelp: open {address} in a browser"));
}

/// Starts a program, whose words are separated by spaces and in which `%s` stands for the address; else it comes last.
fn start(program: &str, address: &str) -> Result<(), String> {
    let mut words: Vec<String> = program.split_whitespace().map(|word| word.replace("%s", address)).collect();
    if !program.contains("%s") {
        words.push(address.to_owned());
    }
    let mut command = Command::new(&words[0]);
    // A group of its own: an interrupt here does not reach the browser.
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| format!("could not be started ({error})"))?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) | Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
    Ok(())
}

/// The address of a file: bytes that mean something else in an address are escaped.
fn address(file: &Path) -> String {
    let mut address = "file://".to_owned();
    for byte in file.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => address.push(*byte as char),
            byte => write!(address, "%{byte:02X}").expect("a String takes any text"),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_byte_that_means_something_else() {
        assert_eq!(address(Path::new("/a b/50%#?/红.html")), "file:///a%20b/50%25%23%3F/%E7%BA%A2.html");
    }
}

//! The descendants of this process, as /proc lists them.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal};

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descendant {
    pub(super) pid: Pid,
    pub(super) name: String,
}

/// The children of the process `of`, their children and so on, except those that have ended.
///
/// Empty where /proc is not mounted.
pub(super) fn descendants(of: Pid) -> Vec<Descendant> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (name, parent, is_alive) = parse(&stat)?;
        Some((parent, (Descendant { pid: Pid::from_raw(pid)?, name: name.to_owned() }, is_alive)))
    });
    let mut children: BTreeMap<i32, Vec<(Descendant, bool)>> = BTreeMap::new();
    processes.for_each(|(parent, child)| children.entry(parent).or_default().push(child));
    let (mut found, mut open) = (Vec::new(), vec![of.as_raw_nonzero().get()]);
    while let Some(parent) = open.pop() {
        for (child, is_alive) in children.remove(&parent).into_iter().flatten() {
            open.push(child.pid.as_raw_nonzero().get());
            // A zombie may have living children.
            found.extend(is_alive.then_some(child));
        }
    }
    found
}

/// Signals all of them; ignores those that are gone.
pub(super) fn signal(processes: &[Descendant], signal: Signal) {
    for process in processes {
        let _gone = rustix::process::kill_process(process.pid, signal);
    }
}

/// The name, the parent and whether it lives, from a line such as `7 (sh) S 1 …`; a name may contain anything.
fn parse(stat: &str) -> Option<(&str, i32, bool)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_alive = !matches!(fields.next()?, "Z" | "X" | "x");
    Some((name, fields.next()?.parse().ok()?, is_alive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_what_separates_fields() {
        assert_eq!(parse("7 (sh) S 1 7 7 0"), Some(("sh", 1, true)));
        assert_eq!(parse("7 (a) Z 9 (b)) Z 12 7 7 0"), Some(("a) Z 9 (b)", 12, false)));
        assert_eq!(parse("7 sh S 1"), None);
    }

    #[test]
    fn a_child_and_its_child_are_found() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let find = || descendants(rustix::process::getpid());
        while !find().iter().any(|process| process.name == "sleep") {
            std::thread::yield_now();
        }
        signal(&find(), Signal::KILL);
        child.wait().unwrap();
    }
}

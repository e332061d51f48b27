//! The name of this machine.

use std::sync::OnceLock;

/// The name of this machine, for provenance and for the owners of locks.
pub fn host_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .unwrap_or_default();
        let name = name.trim();
        if name.is_empty() { "unknown".into() } else { name.to_owned() }
    })
}

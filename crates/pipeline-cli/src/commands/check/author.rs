//! The person who accepts metrics, as far as the machine knows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// The user's name, else the name in git's configuration for `folder`, else the system's name for the user's number.
/// Containers often set none of the variables.
pub fn of(folder: Option<&Path>) -> Option<String> {
    let of_variable = |name: &&str| std::env::var(name).ok();
    let variables = ["USER", "LOGNAME", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"];
    let named = |name: &String| !name.trim().is_empty();
    variables.iter().filter_map(of_variable).find(named).or_else(|| git_user(folder)).or_else(system_user)
}

fn git_user(folder: Option<&Path>) -> Option<String> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let output = Command::new("git").arg("-C").arg(folder).args(["config", "--get", "user.name"]).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    Some(name.trim().to_owned()).filter(|name| output.status.success() && !name.is_empty())
}

fn system_user() -> Option<String> {
    let own = fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.find_map(|user| (user.get(2) == Some(&own.as_str())).then(|| user[0].to_owned()))
}

//! The page of the store, compared with a store after many operations.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::faults::interposer::no_locks;
use crate::project::Project;
use crate::slurm::Cluster;

const SPEC: &str = "name: used
stages:
  a: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] }, publish: { out: out } }
  b: { kind: command, inputs: { a: a }, params: { run: [sh, -c, 'cat \"$INPUT_A/out\" > out'], outputs: [out], \
                    sources: [data] } }
sweep: { a.params.retries: [0, 1] }
";

/// Paths that exist only after damage, with large stages or with a GPU: documented, but possibly absent.
const PASSING: &[&str] = &["store-v1/quarantine/", "store-v1/shards/<shared>", "store-v1/kernels/<digest>"];

pub fn check() {
    let project = Project::with_spec(SPEC);
    project.write("data", "2");
    fs::create_dir(project.path("artifacts")).unwrap();
    for args in [
        &["run", "spec.yaml"][..],
        &["run", "spec.yaml", "--set", "a.params.outputs=[out]"],
        &["sweep", "spec.yaml"],
        &["runs", "last", "--pin"],
        &["runs", "last", "--note", "kept"],
        &["path", "spec.yaml", "b"],
    ] {
        let reply = project.run(args);
        assert_eq!(reply.code, Some(0), "{args:?}: {reply:?}");
    }
    let mut without_locks = project.command(&["run", "spec.yaml", "--force", "a"]);
    assert!(without_locks.env("LD_PRELOAD", no_locks()).output().unwrap().status.success());
    // Results that a remote has not confirmed.
    let absent = format!("file://{}", project.path("absent").display());
    let mut unpushed = project.command(&["run", "spec.yaml", "--force", "b", "--remote", &absent]);
    assert!(unpushed.env("PIPELINE_REMOTE_ACCESS", "write").output().unwrap().status.success());
    assert_eq!(Cluster::of(&project).run(&["--force", "a"]).code, Some(0));
    let mut found = BTreeSet::new();
    collect(&project.path("artifacts"), "", &mut found);
    let page = fs::read_to_string(super::root().join("docs/reference/store.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    let is_known = |path: &String| documented.iter().any(|known| fits(known, path));
    let unknown: Vec<_> = found.iter().filter(|path| !is_known(path)).collect();
    assert!(unknown.is_empty(), "docs/reference/store.md does not name {unknown:?}");
    let is_there = |known: &String| found.iter().any(|path| fits(known, path));
    let gone: Vec<_> =
        documented.iter().filter(|known| !is_there(known) && !PASSING.contains(&known.as_str())).collect();
    assert!(gone.is_empty(), "docs/reference/store.md names {gone:?}, which a used store does not hold: {found:?}");
}

/// Whether a path is the documented one, below it, or the empty folder of temporary files.
fn fits(known: &str, path: &str) -> bool {
    path == known
        || (known.ends_with('/') && path.starts_with(known))
        || (path.ends_with('/') && known.starts_with(path))
}

/// The files below a folder by the meaning of their names; an empty folder ends in a slash.
fn collect(folder: &Path, above: &str, found: &mut BTreeSet<String>) {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    if entries.is_empty() {
        found.insert(above.to_owned());
    }
    for entry in entries {
        let name = meaning(entry.file_name().to_str().unwrap(), above);
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{above}{name}/"), found);
        } else {
            found.insert(format!("{above}{name}"));
        }
    }
}

/// The name with digests and ids replaced by words for them.
fn meaning(name: &str, above: &str) -> String {
    let (stem, suffix) = name.split_once('.').map_or((name, String::new()), |(stem, rest)| (stem, format!(".{rest}")));
    let is_hex = |text: &str| text.chars().all(|letter| letter.is_ascii_hexdigit());
    let (stem, suffix) = match stem.rsplit_once('-') {
        Some((path, overrides)) if is_hex(overrides) && overrides.len() == 16 => {
            (path, format!("-<overrides>{suffix}"))
        }
        _ => (stem, suffix),
    };
    let last_of = stem.strip_prefix("last-").filter(|rest| is_hex(rest) && rest.len() == 64);
    match (above, stem.len()) {
        ("runs/", _) => "<run>".to_owned(),
        ("store-v1/objects/" | "store-v1/actions/", 2) => "<ab>".to_owned(),
        (_, 62) if is_hex(stem) => format!("<rest>{suffix}"),
        ("store-v1/locks/" | "store-v1/claims/" | "store-v1/lent/" | "store-v1/unpushed/", 64) => {
            format!("<key>{suffix}")
        }
        ("store-v1/trees/" | "store-v1/leases/", 64) => format!("<artifact>{suffix}"),
        (_, 64) if is_hex(stem) => format!("<path>{suffix}"),
        _ if last_of.is_some() => format!("last-<path>{suffix}"),
        _ => name.to_owned(),
    }
}

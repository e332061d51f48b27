//! A team and its cache: what one machine has computed, another finds behind a URL.

use std::fs;
use std::process::{Command, Stdio};

use pipeline_store::{Access, Record, RemoteFolder, Store};
use serde_json::Value;

use crate::project::{Project, Reply};
use crate::recorded::files_below;

const SPEC: &str = r#"
stages:
  pixels: { kind: command, params: { run: [sh, -c, 'echo 12345678 > o'], outputs: [o] }, retain: false }
  count: { kind: command, inputs: { in: pixels }, params: { run: [sh, -c, 'wc -c < "$INPUT_IN/o" > o'], outputs: [o] } }
"#;

/// Two machines and the folder that both mount.
struct Team {
    shared: tempfile::TempDir,
    first: Project,
    second: Project,
}

impl Team {
    fn new() -> Self {
        let shared = tempfile::tempdir().unwrap();
        Self { shared, first: Project::with_spec(SPEC), second: Project::with_spec(SPEC) }
    }

    fn url(&self) -> String {
        format!("file://{}", self.shared.path().display())
    }

    fn command(&self, project: &Project, access: &str, args: &[&str]) -> Command {
        let mut command = project.command(args);
        command.env("PIPELINE_REMOTE", self.url()).env("PIPELINE_REMOTE_ACCESS", access);
        command
    }

    fn run(&self, project: &Project, access: &str, args: &[&str]) -> Reply {
        let mut reply = project.reply(&self.command(project, access, args).output().unwrap());
        let shared = self.shared.path().to_str().unwrap();
        for text in [&mut reply.stdout, &mut reply.stderr] {
            *text = text.replace(shared, "[SHARED]");
        }
        reply
    }

    /// The result of a stage in the first machine's last run.
    fn result(&self, stage: &str) -> Record {
        let store = Store::open(&self.first.path("artifacts")).unwrap();
        let last = store.specs().last(&self.first.path("spec.yaml").canonicalize().unwrap()).unwrap();
        let key = last.stages[&stage.parse::<pipeline_core::StageId>().unwrap()].key;
        store.records().get(&key).unwrap().unwrap()
    }

    /// Replaces a record of the remote.
    fn upload(&self, record: &Record) {
        let folder = Box::new(RemoteFolder::new(self.shared.path()));
        let store = Store::open(&self.first.path("artifacts")).unwrap().with_remote(folder, Access::Write);
        store.records().put_everywhere(record).unwrap();
        store.remote().unwrap().wait_for_uploads(&|| false, &mut |_| {});
    }

    /// The files of the remote, by the part of their names that the layout gives.
    fn n_files(&self, kind: &str) -> usize {
        files_below(&self.shared.path().join("store-v1").join(kind)).len()
    }
}

fn done(reply: Reply) -> Reply {
    assert_eq!(reply.code, Some(0), "{reply:?}");
    reply
}

fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_trusted_job_uploads_and_everyone_else_reuses() {
    let team = Team::new();
    let reply = done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    assert!(reply.stderr.contains("sent"), "{reply:?}");
    assert_eq!((team.n_files("actions"), team.n_files("objects")), (2, 1), "the pixels are not retained");

    let reply = done(team.run(&team.second, "read", &["run", "spec.yaml"]));
    assert!(reply.stderr.contains("2 of 2 results found"), "{reply:?}");
    assert_eq!(files_below(&team.second.path("artifacts/store-v1/objects")).len(), 0, "no byte was needed");
    let folder = done(team.run(&team.second, "read", &["path", "spec.yaml", "count"])).stdout;
    assert_eq!(team.second.read(&format!("{}/o", folder.trim().replace("[FOLDER]/", ""))).trim(), "9");

    let reply = done(team.run(&team.second, "", &["run", "spec.yaml"]));
    assert!(!reply.stderr.contains("remote"), "nothing is asked when nothing has changed: {reply:?}");
}

#[test]
fn status_and_dry_runs_know_what_the_remote_has() {
    let team = Team::new();
    done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    let reply = done(team.run(&team.second, "read", &["status", "spec.yaml"]));
    assert!(reply.stderr.contains("all up to date"), "{reply:?}");
    let reply = done(team.second.run(&["status", "spec.yaml", "--set", "count.params.run=[sh, -c, 'echo 1 > o']"]));
    assert!(reply.stdout.contains("count run"), "{reply:?}");
}

#[test]
fn results_are_pushed_and_pulled_by_hand() {
    let team = Team::new();
    done(team.first.run(&["run", "spec.yaml"]));
    let reply = done(team.run(&team.first, "read", &["cache", "push", "spec.yaml"]));
    assert!(reply.stdout.contains("2 results and 1 file uploaded"), "{reply:?}");
    assert!(reply.stdout.contains("1 result without files"), "{reply:?}");
    let again = done(team.run(&team.first, "read", &["cache", "push", "last"]));
    assert!(again.stdout.contains("0 results and 0 files uploaded, 0 B; 2 there already"), "{again:?}");

    let reply = done(team.run(&team.second, "read", &["cache", "pull", "spec.yaml"]));
    assert!(reply.stdout.contains("all files of 1 result are here"), "{reply:?}");
    fs::remove_dir_all(team.shared.path().join("store-v1")).unwrap();
    let reply = done(team.second.run(&["status", "spec.yaml"]));
    assert!(reply.stderr.contains("all up to date"), "{reply:?}");
    done(team.second.run(&["path", "spec.yaml", "count"]));
}

#[test]
fn a_run_has_its_own_settings_and_takes_no_others() {
    let team = Team::new();
    done(team.run(&team.first, "read", &["run", "spec.yaml"]));
    for command in ["push", "pull"] {
        let reply = team.run(&team.first, "write", &["cache", command, "1", "--set", "count.params.timeout=9s"]);
        assert_eq!(reply.code, Some(2));
        assert!(reply.stderr.contains("`--set` is about a spec, and `1` is a run"), "{reply:?}");
    }
    assert_eq!(team.n_files("actions"), 0);
}

#[test]
fn results_of_a_run_with_changes_are_pushed_by_the_same_changes() {
    let team = Team::new();
    let change = "count.params.run=[sh, -c, 'echo changed > o']";
    done(team.first.run(&["run", "spec.yaml"]));
    done(team.first.run(&["run", "spec.yaml", "--set", change]));
    let other = ["cache", "push", "spec.yaml", "--set", "count.params.run=[sh, -c, 'echo other > o']"];
    let reply = team.run(&team.first, "read", &other);
    assert!(reply.code == Some(2) && reply.stderr.contains("has not run in this store"), "{reply:?}");
    assert_eq!(team.n_files("actions"), 0, "{reply:?}");

    done(team.run(&team.first, "read", &["cache", "push", "spec.yaml", "--set", change]));
    let reply = done(team.run(&team.second, "read", &["run", "spec.yaml", "--set", change]));
    assert!(reply.stderr.contains("2 of 2 results found"), "{reply:?}");
    let plain = Project::with_spec(SPEC);
    let reply = done(team.run(&plain, "read", &["run", "spec.yaml"]));
    assert!(reply.stderr.contains("1 of 2 results found"), "only the pixels are the same: {reply:?}");
    // Without changes it is the last run, whatever its changes.
    done(team.first.run(&["run", "spec.yaml"]));
    done(team.run(&team.first, "read", &["cache", "push", "spec.yaml"]));
    let reply = done(team.run(&Project::with_spec(SPEC), "read", &["run", "spec.yaml"]));
    assert!(reply.stderr.contains("2 of 2 results found"), "{reply:?}");
}

#[test]
fn what_a_killed_process_has_not_uploaded_is_pushed_later() {
    let team = Team::new();
    let gone = format!("file://{}", team.shared.path().join("absent").display());
    let mut run = team.first.command(&["run", "spec.yaml", "--remote", &gone]);
    let reply = done(team.first.reply(&run.env("PIPELINE_REMOTE_ACCESS", "write").output().unwrap()));
    assert_eq!(reply.stderr.matches("is not used any more").count(), 1, "{reply:?}");
    let unpushed = team.first.path("artifacts/store-v1/unpushed");
    assert_eq!(files_below(&unpushed).len(), 2);
    done(team.run(&team.first, "read", &["cache", "push"]));
    assert_eq!((files_below(&unpushed).len(), team.n_files("actions")), (0, 2));
}

#[test]
fn damage_in_the_remote_is_found_shown_and_never_used() {
    let team = Team::new();
    done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    let objects = team.shared.path().join("store-v1/objects");
    let object = objects.join(files_below(&objects).remove(0));
    fs::remove_file(&object).unwrap();
    fs::write(&object, "8\n").unwrap();
    let reply = team.run(&team.second, "read", &["cache", "verify", "--remote"]);
    assert_eq!(reply.code, Some(1), "{reply:?}");
    assert!(reply.stdout.contains("damaged: file://[SHARED]/store-v1/objects/"), "{reply:?}");

    let reply = team.run(&team.second, "read", &["path", "spec.yaml", "count"]);
    assert_eq!(reply.code, Some(1), "{reply:?}");
    assert!(reply.stderr.contains("has a damaged file"), "{reply:?}");
    done(team.run(&team.second, "write", &["run", "spec.yaml", "--force", "count"]));
    assert_eq!(team.run(&team.second, "read", &["cache", "verify", "--remote"]).code, Some(0), "it was replaced");
}

#[test]
fn old_results_are_collected_and_young_ones_keep_their_files() {
    let team = Team::new();
    done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    let gc = |older_than: &str| {
        json(&mut team.command(&team.first, "read", &["cache", "gc", "--remote", "--older-than", older_than, "--json"]))
    };
    assert_eq!(gc("90d")["n_records"], 0);
    let files: Vec<_> = files_below(team.shared.path()).into_iter().map(|file| team.shared.path().join(file)).collect();
    let a_year_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(365 * 24 * 3600);
    let age = |file: &std::path::Path| fs::File::open(file).unwrap().set_modified(a_year_ago).unwrap();
    let (objects, records): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| file.to_str().unwrap().contains("/objects/"));
    objects.iter().for_each(|file| age(file));
    assert_eq!(gc("90d")["n_objects"], 0, "a young record names it");
    records.iter().for_each(|file| age(file));
    let report = gc("90d");
    assert_eq!((&report["n_records"], &report["n_objects"]), (&2.into(), &1.into()), "{report}");
    let stats = json(&mut team.command(&team.first, "read", &["cache", "stats", "--remote", "--json"]));
    assert_eq!((&stats["n_records"], &stats["n_objects"]), (&0.into(), &0.into()), "{stats}");
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_the_way_to_write_it() {
    let project = Project::with_spec(SPEC);
    for (url, message) in [
        ("nowhere", "the remote is no URL"),
        ("file://relative", "names no absolute path"),
        ("ftp://host/x", "`ftp://` is no remote that this program can use"),
        ("https://me:secret@host/x", "holds credentials"),
    ] {
        let reply = project.run(&["run", "spec.yaml", "--remote", url]);
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains(message) && !reply.stderr.contains("secret"), "{reply:?}");
    }
    let mut command = project.command(&["run", "spec.yaml"]);
    let reply = project.reply(&command.env("PIPELINE_REMOTE_ACCESS", "rw").output().unwrap());
    assert!(reply.stderr.contains("`PIPELINE_REMOTE_ACCESS` is `rw`"), "{reply:?}");
    let reply = project.run(&["cache", "stats", "--remote"]);
    assert!(reply.stderr.contains("no remote is named"), "{reply:?}");
    assert_eq!(project.run(&["cache", "gc", "--older-than", "90d"]).code, Some(2));
}

#[test]
fn a_run_that_is_killed_at_any_time_leaves_a_remote_that_is_right() {
    let team = Team::new();
    for seed in 0..6 {
        let set = format!("count.params.run=[sh, -c, 'echo {seed} > o']");
        let args = ["run", "spec.yaml", "--set", &set];
        let mut child =
            team.command(&team.first, "write", &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // At another point of the run each time.
        let n_before = team.n_files("actions");
        while child.try_wait().unwrap().is_none() && team.n_files("actions") < n_before + seed % 3 {}
        let _ = child.kill();
        child.wait().unwrap();
        let reply = team.run(&team.first, "read", &["cache", "verify", "--remote"]);
        assert_eq!(reply.code, Some(0), "{reply:?}");
    }
    let args = ["run", "spec.yaml", "--set", "count.params.run=[sh, -c, 'echo 5 > o']"];
    done(team.run(&team.first, "write", &args));
    assert!(done(team.run(&team.second, "read", &args)).stderr.contains("2 of 2 results found"));
}

#[test]
fn readers_with_keys_use_what_a_trusted_job_has_signed() {
    let team = Team::new();
    let keygen = |name: &str| done(team.first.run(&["cache", "keygen", name, "-o", &format!("{name}.key")])).stdout;
    let (ci, people) = (keygen("ci"), keygen("people"));
    let again = team.first.run(&["cache", "keygen", "ci", "-o", "ci.key"]);
    assert!(again.code == Some(2) && again.stderr.contains("a key is never replaced"), "{again:?}");
    let run = |project: &Project, access: &str, variables: &[(&str, &str)]| {
        let mut command = team.command(project, access, &["run", "spec.yaml"]);
        let reply = project.reply(&command.envs(variables.iter().copied()).output().unwrap());
        assert!(!reply.stderr.contains(team.first.read("ci.key").trim()), "{reply:?}");
        reply
    };
    // Somebody without a key has uploaded; the job that signs computes anew and replaces it.
    done(run(&team.second, "write", &[]));
    let key = team.first.path("ci.key");
    let reply = done(run(&team.first, "write", &[("PIPELINE_SIGNING_KEY", key.to_str().unwrap())]));
    assert!(reply.stderr.contains("0 of 2 results found"), "{reply:?}");
    assert_eq!(reply.stderr.matches("2 records of the remote").count(), 1, "{reply:?}");

    let reply = done(run(&Project::with_spec(SPEC), "read", &[("PIPELINE_TRUSTED_KEYS", &ci)]));
    assert!(reply.stderr.contains("2 of 2 results found"), "{reply:?}");
    let other = Project::with_spec(SPEC);
    let reply = done(run(&other, "read", &[("PIPELINE_TRUSTED_KEYS", &people)]));
    assert!(reply.stderr.contains("are not used: no key of `PIPELINE_TRUSTED_KEYS` has signed them"), "{reply:?}");
    let mut verify = team.command(&other, "read", &["cache", "verify", "--remote"]);
    let reply = other.reply(&verify.env("PIPELINE_TRUSTED_KEYS", &people).output().unwrap());
    assert_eq!(reply.code, Some(1), "{reply:?}");

    for (name, value, message) in [
        ("PIPELINE_TRUSTED_KEYS", "", "holds no key"),
        ("PIPELINE_TRUSTED_KEYS", " , ", "holds no key"),
        ("PIPELINE_TRUSTED_KEYS", "ci:short", "32 bytes in Base64"),
        ("PIPELINE_TRUSTED_KEYS", team.first.read("ci.key").as_str(), "must stay secret"),
        ("PIPELINE_SIGNING_KEY", "absent.key", "`absent.key`, cannot be used"),
    ] {
        let reply = run(&Project::with_spec(SPEC), "read", &[(name, value)]);
        assert!(reply.code == Some(2) && reply.stderr.contains(message), "{reply:?}");
    }
}

#[test]
fn results_of_the_remote_are_computed_again_and_forgeries_are_found() {
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("undeclared");
    fs::write(&file, "honest").unwrap();
    let spec = SPEC.replace("wc -c < \"$INPUT_IN/o\"", &format!("cat {}", file.display()));
    let team = Team { first: Project::with_spec(&spec), ..Team::new() };
    team.first.write(
        "spec.yaml",
        &format!(
            "{spec}\n  more: {{ kind: command, inputs: {{ in: count }}, params: {{ run: [sh, -c, 'echo 1 > o'], \
        outputs: [o] }}, publish: {{ o: published/o }} }}\n"
        ),
    );
    done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    let verify =
        |n: &str| team.run(&team.first, "write", &["cache", "verify", "spec.yaml", "--remote", "--recompute", n]);
    fs::remove_dir_all(team.first.path("published")).unwrap();
    let reply = done(verify("20"));
    assert!(reply.stdout.contains("3 results of file://[SHARED] computed again: all are the same"), "{reply:?}");
    assert!(!team.first.path("published").exists(), "nothing is published");
    // A record with the right files and another number, as a gate would read it.
    let honest = team.result("more");
    let mut forged = honest.clone();
    forged.report.metrics.insert("recall".to_owned(), 1.0);
    team.upload(&forged);
    let reply = verify("20");
    assert!(reply.code == Some(1) && reply.stdout.contains("different: more"), "{reply:?}");
    team.upload(&honest);
    // The file stands for a forger: the same key, and other files.
    fs::write(&file, "forged").unwrap();
    let reply = verify("3");
    assert_eq!(reply.code, Some(1), "{reply:?}");
    assert!(reply.stdout.contains("different: count") && !reply.stdout.contains("different: more"), "{reply:?}");
    assert!(reply.stdout.contains("not compared: more: not computed again"), "{reply:?}");
    assert!(reply.stdout.contains("2 results of file://[SHARED] computed again: 1 different"), "{reply:?}");
    assert!(reply.stdout.contains("--force count` with write access"), "{reply:?}");
    assert!(
        done(team.run(&team.second, "read", &["cache", "verify", "--remote"])).stdout.contains("all as their names")
    );
    let reply = team.run(&team.first, "read", &["cache", "verify", "--remote", "--recompute", "3"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
}

#[test]
fn a_forged_result_of_a_stage_is_found_beside_honest_shards_and_what_cannot_be_checked_is_named() {
    let spec = "stages:\n  queries: { kind: load-queries, params: { path: queries.jsonl } }\n";
    let team = Team { first: Project::with_spec(spec), ..Team::new() };
    let line = |id: u32| format!("{{\"query_id\": {id}, \"query_text\": \"dress {id}\", \"item_ids\": [7]}}\n");
    team.first.write("queries.jsonl", &(1..4).map(line).collect::<String>());
    done(team.run(&team.first, "write", &["run", "spec.yaml"]));
    let verify =
        |n: &str| team.run(&team.first, "read", &["cache", "verify", "spec.yaml", "--remote", "--recompute", n]);
    let reply = done(verify("20"));
    assert!(reply.stdout.contains("1 result of file://[SHARED] computed again: all are the same"), "{reply:?}");
    let honest = team.result("queries");
    let forgeries: [&dyn Fn(&mut Record); 3] =
        [&|record| record.report.n_rows = Some(2), &|record| record.shard_rows = vec![2], &|record| {
            let (name, entry) = record.tree.files.pop_first().unwrap();
            record.tree.files.insert(format!("{name}.moved"), entry);
        }];
    for forge in forgeries {
        let mut forged = honest.clone();
        forge(&mut forged);
        assert_ne!(forged, honest);
        team.upload(&forged);
        let reply = verify("20");
        assert!(reply.code == Some(1) && reply.stdout.starts_with("different: queries\n"), "{reply:?}");
    }
    team.upload(&honest);
    // A forged shard is one that a run takes over without computing it.
    let store = Store::open(&team.first.path("artifacts")).unwrap();
    let shard = store.with_shards(&[honest.key]).unwrap()[0];
    let mut forged = store.records().get_shard(&shard).unwrap().unwrap();
    forged.report.n_rows += 1;
    let remote = Box::new(RemoteFolder::new(team.shared.path()));
    let store = store.with_remote(remote, Access::Write);
    store.records().put_shard(&forged, pipeline_store::PutMode::Replace).unwrap();
    store.remote().unwrap().wait_for_uploads(&|| false, &mut |_| {});
    let reply = verify("20");
    assert!(reply.code == Some(1) && reply.stdout.contains("different: queries, shard "), "{reply:?}");
    forged.report.n_rows -= 1;
    store.records().put_shard(&forged, pipeline_store::PutMode::Replace).unwrap();
    store.remote().unwrap().wait_for_uploads(&|| false, &mut |_| {});
    team.first.remove("queries.jsonl");
    let reply = verify("20");
    assert_eq!(reply.code, Some(1), "{reply:?}");
    assert!(reply.stdout.contains("not compared: queries: a source or an input of it is missing here"), "{reply:?}");
    assert_eq!(verify("0").code, Some(2));
}

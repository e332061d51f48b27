//! Remotes behind a network: on a small server in this process, which also does everything wrong, and on real servers
//! where `PIPELINE_TEST_REMOTES` names some.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::project::Project;
use crate::recorded::{Recorded, files_below};
use crate::server::{Fault, Protocol, Server};

/// `text` is kept and long enough for a slow remote, `pixels` is not kept; `length` reads the one, `count` the other.
const SPEC: &str = r#"
stages:
  pixels: { kind: command, params: { run: [sh, -c, 'echo 12345678 > o'], outputs: [o] }, retain: false }
  count: { kind: command, inputs: { in: pixels }, params: { run: [sh, -c, 'wc -c < "$INPUT_IN/o" > o'], outputs: [o] } }
  text: { kind: command, params: { run: [sh, -c, 'yes word | head -20000 > o'], outputs: [o] } }
  length: { kind: command, inputs: { in: text }, params: { run: [sh, -c, 'wc -c < "$INPUT_IN/o" > o'], outputs: [o] } }
"#;

/// Another `length`, which must read the file of `text`.
const LINES: &str = r#"length.params.run=[sh, -c, 'cksum < "$INPUT_IN/o" > o']"#;

/// A remote, and the variables that its users have.
pub struct Place {
    pub url: String,
    pub variables: Vec<(String, String)>,
}

/// The outcome of a run.
pub struct Ran {
    pub recorded: Recorded,
    pub stderr: String,
    elapsed: Duration,
}

impl Place {
    fn of(server: &Server) -> Self {
        Self { url: server.url(), variables: server.variables() }
    }

    pub fn command(&self, project: &Project, access: &str, args: &[&str]) -> Command {
        let mut command = project.command(args);
        command.env("PIPELINE_REMOTE", &self.url).env("PIPELINE_REMOTE_ACCESS", access);
        command.envs(self.variables.iter().cloned());
        command
    }

    pub fn run(&self, project: &Project, access: &str, args: &[&str]) -> Ran {
        let all = [&["run", "spec.yaml", "--json"][..], args].concat();
        let began = Instant::now();
        let output = self.command(project, access, &all).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let recorded = Recorded::from_lines(&String::from_utf8(output.stdout).unwrap());
        Ran { recorded, stderr, elapsed: began.elapsed() }
    }

    fn json(&self, project: &Project, args: &[&str]) -> Value {
        let output = self.command(project, "read", args).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

impl Ran {
    pub fn started(&self) -> Vec<String> {
        self.recorded.started().into_iter().collect()
    }

    pub fn artifacts(&self) -> BTreeMap<String, String> {
        let artifact =
            |event: &Value| Some((event["stage"].as_str()?.to_owned(), event["artifact"].as_str()?.to_owned()));
        self.recorded.events.iter().filter_map(artifact).collect()
    }

    pub fn n_events(&self, name: &str) -> usize {
        self.recorded.events.iter().filter(|event| event["event"] == name).count()
    }

    fn counts(&self) -> &Value {
        &self.recorded.events.last().unwrap()["remote"]
    }
}

pub fn project() -> Project {
    Project::with_spec(SPEC)
}

/// A team at a remote that is as it must be: what one machine uploads, another finds.
#[allow(clippy::print_stdout, reason = "figures of a test")]
fn check_team(place: &Place) {
    let (first, second, third) = (project(), project(), project());
    let ran = place.run(&first, "write", &[]);
    assert_eq!((ran.started().len(), ran.n_events("remote-off")), (4, 0), "{}", ran.stderr);
    let expected = ran.artifacts();
    let sent = ran.counts()["bytes_up"].as_u64().unwrap();

    let ran = place.run(&second, "read", &[]);
    assert_eq!((ran.started().len(), ran.artifacts()), (0, expected), "{}: {}", place.url, ran.stderr);
    let received = ran.counts()["bytes_down"].as_u64().unwrap();
    assert!(received < 20_000, "records only: {received}");
    assert_eq!(files_below(&second.path("artifacts/store-v1/objects")).len(), 0);
    println!("{}: {sent} bytes sent; nothing computed elsewhere, {received} received", place.url);

    let ran = place.run(&second, "read", &["--set", LINES]);
    assert_eq!(ran.started(), ["length"], "{}", ran.stderr);
    assert!(ran.counts()["bytes_down"].as_u64().unwrap() >= 100_000, "the text was received");

    let stats = place.json(&first, &["cache", "stats", "--remote", "--json"]);
    assert_eq!((&stats["n_records"], &stats["n_objects"]), (&4.into(), &3.into()), "{stats}");
    let verified = place.json(&first, &["cache", "verify", "--remote", "--json"]);
    assert_eq!((&verified["n_objects"], &verified["damaged"]), (&3.into(), &Value::Array(vec![])), "{verified}");
    let ran = place.run(&third, "write", &["--force", "count"]);
    assert_eq!((ran.started(), ran.n_events("remote-off")), (vec!["count".to_owned(), "pixels".to_owned()], 0));
    let pulled = place.json(&third, &["cache", "pull", "spec.yaml", "--json"]);
    assert_eq!(pulled["missing"], Value::Array(vec![]), "{pulled}");
    let gone = place.json(&first, &["cache", "gc", "--remote", "--older-than", "0s", "--json"]);
    assert_eq!((&gone["n_records"], &gone["n_objects"]), (&4.into(), &3.into()), "{gone}");
    let stats = place.json(&first, &["cache", "stats", "--remote", "--json"]);
    assert_eq!((&stats["n_records"], &stats["n_objects"]), (&0.into(), &0.into()), "{stats}");
}

#[test]
fn a_team_shares_results_on_an_object_store_and_on_a_server_of_files() {
    for protocol in [Protocol::S3, Protocol::Google, Protocol::WebDav] {
        check_team(&Place::of(&Server::start(protocol)));
    }
}

/// `PIPELINE_TEST_REMOTES` holds URLs with a space between them; tests/remote/servers.sh starts servers for it.
#[test]
fn a_team_shares_results_on_real_servers() {
    let urls = std::env::var("PIPELINE_TEST_REMOTES").unwrap_or_default();
    let is_needed = |name: &String| ["AWS_", "AZUR"].iter().any(|prefix| name.starts_with(prefix));
    let variables: Vec<_> = std::env::vars().filter(|(name, _)| is_needed(name)).collect();
    for url in urls.split_whitespace() {
        let url = format!("{url}/{}", std::process::id());
        check_team(&Place { url, variables: variables.clone() });
    }
}

#[test]
fn runs_list_nothing_and_a_run_without_news_asks_nothing() {
    let server = Server::start(Protocol::S3);
    let (place, project) = (Place::of(&server), project());
    place.run(&project, "write", &[]);
    let n_before = server.requests().len();
    // With a query it would be a listing.
    assert!(server.requests().iter().all(|request| !request.starts_with("GET /bucket ")), "{:?}", server.requests());
    let ran = place.run(&project, "write", &[]);
    assert_eq!((ran.started().len(), server.requests().len()), (0, n_before));
}

#[test]
fn whatever_the_server_does_wrong_costs_seconds_and_changes_nothing() {
    let alone = project();
    let expected = {
        let output = alone.command(&["run", "spec.yaml", "--json", "--set", LINES]).output().unwrap();
        let recorded = Recorded::from_lines(&String::from_utf8(output.stdout).unwrap());
        Ran { recorded, stderr: String::new(), elapsed: Duration::ZERO }.artifacts()
    };
    let faults = [
        (Fault::Status(500), "remote-off", "500 Internal Server Error"),
        (Fault::Status(403), "remote-off", "403 Forbidden"),
        (Fault::NoBucket, "remote-off", "NoSuchBucket"),
        (Fault::HangsUp, "remote-off", "it fails"),
        (Fault::Silent, "remote-off", "no answer for seconds"),
        (Fault::Drips, "remote-off", "too slow"),
        (Fault::CutsOff, "remote-off", "it fails"),
        (Fault::FlipsBit, "remote-damaged", "has a damaged file"),
        (Fault::Swaps, "remote-damaged", "has a damaged file"),
    ];
    let check = |protocol, fault, event: &str, words: &str| {
        let server = Server::start(protocol);
        let place = Place::of(&server);
        place.run(&project(), "write", &[]);
        let other = project();
        server.set_fault(fault);
        let ran = place.run(&other, "write", &["--set", LINES]);
        assert_eq!(ran.artifacts(), expected, "{fault:?}");
        let n_events = ran.n_events("remote-off") + ran.n_events("remote-damaged");
        assert_eq!((n_events, ran.n_events(event)), (1, 1), "{protocol:?} {fault:?}: {:#?}", ran.recorded.events);
        assert!(format!("{:?}", ran.recorded.events).contains(words) || words.contains("damaged"), "{fault:?}");
        assert!(ran.elapsed < Duration::from_secs(15), "{fault:?}: {:?}", ran.elapsed);
        println!("{protocol:?} {fault:?}: {:.1} s, {}", ran.elapsed.as_secs_f64(), ran.counts());
        let reply = other.run(&["cache", "verify"]);
        assert_eq!(reply.code, Some(0), "{fault:?}: {reply:?}");
    };
    // Most of their time is waiting.
    thread::scope(|scope| {
        for protocol in [Protocol::S3, Protocol::WebDav] {
            for (fault, event, words) in faults {
                scope.spawn(move || check(protocol, fault, event, words));
            }
        }
    });
}

#[test]
fn a_push_to_a_server_that_is_down_says_why() {
    let (project, mut server) = (project(), Server::start(Protocol::S3));
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    // A port that was just free.
    server.address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut push = Place::of(&server).command(&project, "write", &["cache", "push", "spec.yaml"]);
    let reply = project.reply(&push.output().unwrap());
    assert!(reply.code == Some(2) && reply.stderr.contains("caused by: it fails: Connection refused"), "{reply:?}");
    assert!(reply.stderr.contains("help: check its address"), "{reply:?}");
}

#[test]
fn credentials_are_neither_shown_nor_stored() {
    for protocol in [Protocol::S3, Protocol::WebDav] {
        for fault in [Fault::Nothing, Fault::Status(403), Fault::Status(500)] {
            let (server, project) = (Server::start(protocol), project());
            server.set_fault(fault);
            let ran = Place::of(&server).run(&project, "write", &[]);
            assert!(!ran.stderr.contains("very-secret"), "{}", ran.stderr);
            assert!(!format!("{:?}", ran.recorded.events).contains("very-secret"));
            for file in files_below(&project.path("artifacts")) {
                let content = std::fs::read(project.path("artifacts").join(&file)).unwrap();
                assert!(!String::from_utf8_lossy(&content).contains("very-secret"), "{file:?}");
            }
        }
    }
}

#[test]
fn missing_credentials_are_named_and_nothing_is_asked() {
    let project = project();
    for (url, help) in [
        ("s3://bucket/x", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_NAME"),
    ] {
        let reply = project.run(&["run", "spec.yaml", "--remote", url]);
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains("there are no credentials") && reply.stderr.contains(help), "{reply:?}");
    }
}

#[test]
fn a_report_and_a_comparison_fetch_what_they_read() {
    let server = Server::start(Protocol::S3);
    let (place, project) = (Place::of(&server), project());
    place.run(&project, "write", &[]);
    let objects = project.path("artifacts/store-v1/objects");
    let n_files = files_below(&objects).len();
    assert_eq!(n_files, 3);
    std::fs::remove_dir_all(&objects).unwrap();
    for args in [&["report", "last", "-o", "-"][..], &["diff", "last", "last"], &["path", "spec.yaml", "length"]] {
        let output = place.command(&project, "read", args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

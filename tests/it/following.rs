//! `serve` follows the runs of other processes: streams of events, and runs that end, die or vanish.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::project::{Project, signal};
use crate::serving::Server;

/// A stream of events.
struct Stream(BufReader<TcpStream>);

impl Server {
    fn stream(&self, target: &str, more: &str) -> Stream {
        let mut stream = self.connect();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", self.address).unwrap();
        let mut stream = Stream(BufReader::new(stream));
        assert_eq!(stream.line(), "HTTP/1.1 200 OK");
        while !stream.line().is_empty() {}
        stream
    }
}

impl Stream {
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream goes on");
        assert!(!line.starts_with(':'), "nothing new for so long");
        line.trim_end().to_owned()
    }

    /// The next event: its id and its data.
    fn event(&mut self) -> (String, serde_json::Value) {
        let mut id = String::new();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The first event from now on of which this holds.
    fn until(&mut self, holds: impl Fn(&serde_json::Value) -> bool) -> (String, serde_json::Value) {
        loop {
            let (id, data) = self.event();
            if holds(&data) {
                return (id, data);
            }
        }
    }
}

/// A spec whose second stage waits for a file.
const WAITING: &str = "
vars: { point: '' }
stages:
  first: { kind: command, params: { run: [sh, -c, 'touch a'], outputs: [a] } }
  second:
    kind: command
    inputs: { first: first }
    params:
      run: [sh, -c, 'until test -e \"$GATE$POINT\"; do sleep 0.02; done; touch b']
      env: { GATE: 'GATE', POINT: '${point}' }
      outputs: [b]
";

/// A project whose run waits for the file `gate`.
fn waiting_project() -> Project {
    let project = Project::new();
    project.write("waits.yaml", &WAITING.replace("'GATE'", project.path("gate").to_str().unwrap()));
    project.write("pipeline.toml", "");
    std::fs::create_dir_all(project.path("artifacts/store-v1")).unwrap();
    project
}

fn row_with(word: &'static str) -> impl Fn(&serde_json::Value) -> bool {
    move |data| data["rows"].as_object().unwrap().values().any(|row| row.as_str().unwrap().contains(word))
}

#[test]
fn a_run_of_another_process_is_followed_until_it_ends_and_its_report_stays() {
    let project = waiting_project();
    let server = Server::start_with(&project, &[]);
    let start = server.page("/");
    assert!(start.contains("Nothing has run in this store yet.") && start.contains("pipeline serve waits"), "{start}");
    assert!(start.contains("<noscript>") && !start.contains("name=\"q\""), "{start}");
    let mut stream = server.stream("/events", "");
    let mut run = project.command(&["run", "waits.yaml", "--quiet"]).spawn().unwrap();
    // A stream may leave out states between: this one lasts until there is a gate.
    let is_waiting = |data: &serde_json::Value| row_with("1 of 2 stages")(data) && row_with("second for")(data);
    let (id, data) = stream.until(is_waiting);
    let name = data["rows"].as_object().unwrap().keys().next().unwrap().clone();
    let page = server.page(&format!("/runs/{name}"));
    assert!(page.contains("running for") && page.contains("data-events=\"/events?run="), "{page}");
    let mut detail = server.stream(&format!("/events?run={name}"), "");
    assert!(detail.event().1["html"].as_str().unwrap().contains(">running</span>"));
    project.write("gate", "");
    stream.until(row_with(">ok</span>"));
    detail.until(|data| data["html"].as_str().unwrap().contains("Open the report"));
    assert!(run.wait().unwrap().success());
    // Whoever comes back gets what has changed since, and not what is known.
    let (_, again) = server.stream("/events", &format!("Last-Event-ID: {id}\r\n")).event();
    assert!(row_with(">ok</span>")(&again) && again["order"].is_null(), "{again}");
    let report = server.page(&format!("/runs/{name}"));
    assert!(report.contains("<section id=\"pipeline\">"), "{report}");
    assert_eq!(server.page(&format!("/runs/{name}")), report);
    // The folder of a run vanishes.
    std::fs::remove_dir_all(project.path(&format!("artifacts/runs/{name}"))).unwrap();
    stream.until(|data| data["order"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(server.get(&format!("/runs/{name}")).status, 404);
    assert_eq!(server.stop("INT"), Some(0), "streams do not keep the server");
}

#[test]
fn a_run_that_is_killed_while_it_is_followed_is_shown_as_dead() {
    let project = waiting_project();
    let server = Server::start_with(&project, &[]);
    let mut stream = server.stream("/events", "");
    let mut run = project.command(&["run", "waits.yaml", "--quiet"]).spawn().unwrap();
    let (_, data) = stream.until(row_with("second"));
    let name = data["rows"].as_object().unwrap().keys().next().unwrap().clone();
    let mut detail = server.stream(&format!("/events?run={name}"), "");
    signal("KILL", run.id());
    run.wait().unwrap();
    stream.until(row_with(">died</span>"));
    detail.until(|data| data["html"].as_str().unwrap().contains(">died</span>"));
    assert!(server.page("/").contains(">died</span>"));
    assert_eq!(server.get(&format!("/runs/{name}")).status, 200, "a report of what there is");
    assert_eq!(server.stop("TERM"), Some(0));
}

#[test]
fn a_sweep_fills_up_point_by_point() {
    let project = waiting_project();
    let spec = project.read("waits.yaml");
    project.write("waits.yaml", &format!("sweep: {{ vars.point: ['1', '2'] }}\n{spec}"));
    let server = Server::start_with(&project, &[]);
    let mut stream = server.stream("/events", "");
    let mut run = project.command(&["sweep", "waits.yaml", "--quiet", "--jobs", "2"]).spawn().unwrap();
    stream.until(row_with("0 of 2 points"));
    project.write("gate2", "");
    let (_, data) = stream.until(row_with("1 of 2 points"));
    let row = data["rows"].to_string();
    assert!(row.contains("points: 1 ran, 1 running") && row.contains("point=2: ran"), "{row}");
    project.write("gate1", "");
    stream.until(row_with(">ok</span>"));
    assert!(run.wait().unwrap().success());
    assert_eq!(server.stop("INT"), Some(0));
}

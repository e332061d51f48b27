//! `serve`: the answered requests, and the refusal of all others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::notebook::{notebook_with_features, run};
use crate::project::{Project, signal};

/// A server on a free port.
struct Server {
    child: Child,
    address: String,
}

/// An answer: the status, the headers and the body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Server {
    fn start(project: &Project, spec: &str) -> Self {
        let mut command = project.command(&["serve", spec, "--port", "0", "--quiet"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).unwrap_or_default();
        Self { child, address: address.to_owned() }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Sends these bytes and reads the answer; `None` when the server closes the connection without one.
    fn send(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: answer[end + 4..].to_vec() })
    }

    fn get(&self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes()).unwrap()
    }

    fn stop(mut self, name: &str) -> Option<i32> {
        signal(name, self.child.id());
        self.child.wait().unwrap().code()
    }
}

fn served() -> (Project, Server) {
    let project = notebook_with_features();
    run(&project, &[]);
    let server = Server::start(&project, "spec.yaml");
    (project, server)
}

#[test]
fn pages_json_and_thumbnails_are_served_until_an_interrupt() {
    let (project, server) = served();
    let expect = project.command(&["search", "spec.yaml", "红苹果", "-k", "3", "--json"]).output().unwrap().stdout;
    let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let answer = server.get("/api/search?q=%E7%BA%A2%E8%8B%B9%E6%9E%9C&k=3");
    assert_eq!((answer.status, json(&answer.body)), (200, json(&expect)));
    assert!(answer.head.contains("Content-Type: application/json"), "{}", answer.head);

    let page = server.get("/search?q=%3Cb%3E%E7%BA%A2");
    let text = String::from_utf8(page.body).unwrap();
    assert_eq!((page.status, text.matches("<img ").count()), (200, 10));
    assert!(text.contains("value=\"&lt;b&gt;红\"") && !text.contains("<b>"), "{text}");
    assert!(page.head.contains("default-src 'none'"), "{}", page.head);
    let (_, rest) = text.split_once("src=\"").unwrap();
    let thumbnail = server.get(rest.split('"').next().unwrap());
    assert_eq!(thumbnail.status, 200);
    assert!(thumbnail.head.contains("Content-Type: image/"), "{}", thumbnail.head);
    assert!(pipeline_data::decode(&thumbnail.body).is_ok());

    assert!(String::from_utf8(server.get("/").body).unwrap().contains("150 images of evaluate of notebook"));
    let head = server.send(format!("HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).as_bytes()).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(server.stop("INT"), Some(0));
}

#[test]
fn nothing_but_the_pool_can_be_reached() {
    let (_project, server) = served();
    for target in [
        "/spec.yaml",
        "/../spec.yaml",
        "/image/",
        "/image/../../spec.yaml",
        "/image/..%2F..%2Fspec.yaml",
        "/image/%2Fetc%2Fpasswd",
        "/image/%00",
        "/image/%FF%zz",
        "/image/7?x=/../../etc/passwd",
        "//etc/passwd",
        "/api/",
        "/etc/passwd",
        "/report/",
        "/report/../spec.yaml",
        "/report.html",
        "/sweep",
    ] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
    for target in ["/api/search", "/api/search?q=", "/api/search?q=a&k=0", "/api/search?q=a&k=101", "/search?q=a&k=x"] {
        assert_eq!(server.get(target).status, 400, "{target}");
    }
    assert_eq!(server.stop("TERM"), Some(0));
}

#[test]
fn other_hosts_and_malformed_requests_are_refused_and_the_server_goes_on() {
    let (_project, server) = served();
    let status = |bytes: &[u8]| server.send(bytes).map(|answer| answer.status);
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), Some(403));
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), Some(400));
    assert_eq!(status(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nq=a"), Some(405));
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nq=a"), Some(413));
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), Some(400));
    assert_eq!(status(&[b"GET /".as_slice(), &[b'a'; 9000], b" HTTP/1.1\r\n"].concat()), Some(431));
    // A connection that closes at once, and some that send nothing while the others are answered.
    drop(server.connect());
    let silent = [server.connect(), server.connect(), server.connect()];
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.stop("INT"), Some(0), "nobody waits for those that say nothing");
    drop(silent);
}

#[test]
fn many_at_once_get_the_same_answer() {
    let (_project, server) = served();
    let expect = server.get("/api/search?q=a").body;
    std::thread::scope(|scope| {
        let asking = || (0..5).all(|_| server.get("/api/search?q=a").body == expect);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(asking)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
    assert_eq!(server.stop("INT"), Some(0));
}

#[test]
fn a_run_is_served_by_its_id_and_what_is_stale_is_not() {
    let project = notebook_with_features();
    let stale = project.run(&["serve", "spec.yaml", "--port", "0"]);
    assert_eq!((stale.code, stale.stdout.as_str()), (Some(1), ""));
    run(&project, &[]);
    std::fs::create_dir_all(project.path("artifacts")).unwrap();
    let server = Server::start(&project, "last");
    assert_eq!(server.get("/api/search?q=a").status, 200);
    let taken = project.run(&["serve", "spec.yaml", "--port", server.address.rsplit(':').next().unwrap()]);
    assert_eq!(taken.code, Some(2));
    assert!(taken.stderr.contains("cannot listen on port"), "{}", taken.stderr);
    assert_eq!(server.stop("INT"), Some(0));
    let unknown = project.run(&["serve", "nosuch"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no spec `nosuch`"), "{}", unknown.stderr);
}

/// The policy of an answer.
fn policy(answer: &Answer) -> &str {
    let line = answer.head.lines().find_map(|line| line.strip_prefix("Content-Security-Policy: "));
    line.unwrap()
}

#[test]
fn the_report_is_served_beside_the_search_box_and_made_once() {
    let (project, server) = served();
    run(&project, &["--set", "projection.params.epochs=1"]);
    let search = String::from_utf8(server.get("/").body).unwrap();
    assert!(search.contains("<a href=\"/report\">Report</a>") && !search.contains("/sweep"), "{search}");
    let first = server.get("/report");
    let html = String::from_utf8(first.body.clone()).unwrap();
    assert_eq!(first.status, 200, "{html}");
    assert!(html.contains("7.27%"), "it is about the run that is searched, not the newest");
    assert!(html.contains("<a class=\"button\" href=\"/\">Search</a>") && html.contains("<section id=\"gallery\">"));
    assert!(policy(&first).contains("script-src 'sha256-") && !policy(&first).contains("unsafe"), "{}", policy(&first));
    assert!(!policy(&server.get("/")).contains("script"), "the search box has none");
    std::fs::remove_dir_all(project.path("artifacts/runs")).unwrap();
    assert_eq!(server.get("/report").body, first.body, "a second request computes nothing");
    assert_eq!(server.get("/report?x=/../spec.yaml").body, first.body);
    assert_eq!(server.stop("INT"), Some(0));
}

#[test]
fn a_point_that_is_served_has_its_report_and_that_of_its_sweep() {
    let project = crate::sweeps::swept_notebook();
    assert_eq!(project.run(&["sweep", "spec.yaml"]).code, Some(0));
    for subject in ["spec.yaml", "last"] {
        let server = Server::start(&project, subject);
        let page = |target: &str| String::from_utf8(server.get(target).body).unwrap();
        assert!(page("/").contains("<a href=\"/sweep\">Sweep</a>"));
        assert!(page("/report").contains(":4</code>"), "the spec's own settings are those of the fourth point");
        let swept = server.get("/sweep");
        assert_eq!((swept.status, policy(&swept).contains("unsafe")), (200, false));
        assert!(page("/sweep").contains("4 points of temperature (2) × epochs (2): 4 ran."));
        assert_eq!(server.stop("INT"), Some(0));
    }
}

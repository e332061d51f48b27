//! `serve`: the answered requests, and the refusal of all others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::notebook::{fixtures, notebook_with_features, run};
use crate::project::{Project, signal};

/// A server on a free port.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails leaves no server behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: the status, the headers and the body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Server {
    pub fn start(project: &Project, spec: &str) -> Self {
        Self::start_with(project, &[spec])
    }

    pub fn start_with(project: &Project, args: &[&str]) -> Self {
        let mut command = project.command(&[&["serve", "--port", "0", "--quiet"], args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).unwrap_or_default();
        Self { child, address: address.to_owned() }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        // A server that is silent for so long has failed.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes and reads the answer; `None` when the server closes the connection without one.
    pub fn send(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head, body: answer[end + 4..].to_vec() })
    }

    pub fn get(&self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes()).unwrap()
    }

    pub fn stop(mut self, name: &str) -> Option<i32> {
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

    assert!(String::from_utf8(server.get("/").body).unwrap().contains("150 images of evaluate."));
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
        "/runs/",
        "/runs/last",
        "/runs/..",
        "/runs/..%2F..%2Fspec.yaml",
        "/similar/",
        "/similar/..%2Fspec.yaml",
        "/api/similar/nosuch",
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
    assert_eq!(status(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nq=a"), Some(405));
    assert_eq!(status(b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nq=a"), Some(415));
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
    let start = server.get("/");
    assert!(policy(&start).contains("script-src 'sha256-") && !policy(&start).contains("unsafe"), "{}", policy(&start));
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

/// The body of a form with a file, and its media type.
fn form(file: &[u8]) -> (String, Vec<u8>) {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a<b>.jpg\"\r\n\r\n";
    ("multipart/form-data; boundary=edge".to_owned(), [head.as_bytes(), file, b"\r\n--edge--\r\n"].concat())
}

impl Server {
    fn post(&self, target: &str, content_type: &str, body: &[u8], more: &str) -> Answer {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{more}\r\n",
            self.address,
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).unwrap()
    }

    pub fn page(&self, target: &str) -> String {
        String::from_utf8(self.get(target).body).unwrap()
    }

    pub fn json(&self, target: &str) -> serde_json::Value {
        serde_json::from_slice(&self.get(target).body).unwrap()
    }
}

/// The images of the valid set: ids and files.
fn images() -> Vec<(String, Vec<u8>)> {
    let rows = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let image = |line: &str| {
        let (id, base64) = line.split_once('\t').unwrap();
        (id.to_owned(), pipeline_data::decode_base64(base64.as_bytes()).unwrap())
    };
    rows.lines().map(image).collect()
}

#[test]
fn an_image_is_searched_for_by_a_form_or_by_its_bytes() {
    let (project, server) = served();
    let (id, file) = &images()[40];
    std::fs::write(project.path("image"), file).unwrap();
    let expect = project.command(&["search", "spec.yaml", "--image", "image", "-k", "4", "--json"]).output().unwrap();
    let mut expect: serde_json::Value = serde_json::from_slice(&expect.stdout).unwrap();
    assert_eq!((&expect["results"][0]["id"], &expect["queries"][3]["rank"]), (&id.as_str().into(), &4.into()));
    let (content_type, body) = form(file);
    for (content_type, body, name) in
        [(content_type.as_str(), body.as_slice(), "a<b>.jpg"), ("image/jpeg", file.as_slice(), "your image")]
    {
        let answer = server.post("/api/search?k=4", content_type, body, "");
        expect["image"] = name.into();
        assert_eq!((answer.status, serde_json::from_slice(&answer.body).ok()), (200, Some(expect.clone())));
    }
    let page = String::from_utf8(server.post("/search", &content_type, &body, "").body).unwrap();
    assert!(page.contains("<h2>a&lt;b&gt;.jpg</h2>") && page.contains("src=\"data:image/"), "{page}");
    assert!(page.contains("Nearest queries") && page.contains(&format!("href=\"/similar/{id}\"")), "{page}");
    for (content_type, body, status, says) in [
        (content_type.as_str(), form(b"").1, 400, "no image was chosen"),
        (&content_type, form(b"<svg/>").1, 400, "the image cannot be decoded"),
        (&content_type, form(&file[..file.len() / 2]).1, 400, "the image cannot be decoded"),
        (
            &content_type,
            form(&std::fs::read(fixtures().join("images/bomb_20000x20000.png")).unwrap()).1,
            400,
            "decoded",
        ),
        (&content_type, b"--edge\r\n".to_vec(), 400, "the form cannot be read"),
        ("multipart/form-data", body.clone(), 400, "boundary"),
        ("text/plain", file.clone(), 415, "send a form"),
    ] {
        for target in ["/search", "/api/search"] {
            let answer = server.post(target, content_type, &body, "");
            let text = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, status, "{text}");
            assert!(text.contains(says), "{text}");
        }
    }
    for more in ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(server.post("/search", &content_type, &body, more).status, 403, "{more}");
    }
    let own = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", server.address);
    assert_eq!(server.post("/search", &content_type, &body, &own).status, 200);
    assert_eq!(server.stop("INT"), Some(0));
}

#[test]
fn a_click_on_a_picture_shows_more_like_it_and_its_queries() {
    let (project, server) = served();
    let lines = project.run(&["predict", "spec.yaml"]).stdout;
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let id = first["item_ids"][2].to_string();
    let like = server.json(&format!("/api/similar/{id}?k=100"));
    let found: Vec<&str> = like["results"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((found.len(), found.contains(&id.as_str())), (100, false), "an image does not find itself");
    // What the page shows of a query, and what it shows of an image that the query names, agree.
    let named = &like["own_queries"][0];
    let query = server.json(&format!("/api/search?q={}", percent(named["text"].as_str().unwrap())));
    let of_query = query["relevant"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap();
    assert_eq!(of_query["rank"], named["rank"]);
    let page = server.page(&format!("/similar/{id}"));
    assert!(page.contains("Queries that name this image") && page.contains("finds it at rank "), "{page}");
    assert_eq!(server.stop("INT"), Some(0));
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn examples_lead_to_queries_whose_relevant_images_are_marked() {
    let (_project, server) = served();
    let start = server.page("/");
    let (_, examples) = start.split_once("<ul class=\"examples\">").unwrap();
    let (examples, _) = examples.split_once("</ul>").unwrap();
    let targets: Vec<&str> = examples.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(targets.len(), 8);
    for target in targets {
        let found = server.json(&target.replace("/search", "/api/search"));
        let relevant = found["relevant"].as_array().unwrap();
        let best = relevant[0]["rank"].as_u64().unwrap();
        let results = found["results"].as_array().unwrap();
        let marks: Vec<u64> =
            results.iter().filter(|one| one["relevant"] == true).map(|one| one["rank"].as_u64().unwrap()).collect();
        let expect: Vec<u64> =
            relevant.iter().filter_map(|one| one["rank"].as_u64()).filter(|rank| *rank <= 10).collect();
        assert_eq!(marks, expect, "{found}");
        let page = server.page(target);
        assert!(page.matches("✓ relevant").count() >= marks.len(), "{page}");
        let sentence =
            [format!("the relevant image has rank {best}"), format!("the relevant images have ranks {best}")];
        assert!(sentence.iter().any(|words| page.contains(words)), "{page}");
    }
    assert_eq!(server.page("/"), start, "the same each time");
    assert_eq!(server.stop("INT"), Some(0));
}

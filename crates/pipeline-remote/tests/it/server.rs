//! A server of files in memory, on this machine alone: enough of S3 and of WebDAV, and faults on purpose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

const MODIFIED: &str = "Last-Modified: Sat, 28 Nov 2026 21:00:00 GMT\r\n";

/// The protocol of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    S3,
    /// Google's: the same requests, but for the condition that there is no such file.
    Google,
    WebDav,
}

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// Every request gets this status.
    Status(u16),
    /// There is no such bucket.
    NoBucket,
    /// A file ends early, and the connection with it.
    CutsOff,
    /// Nothing is answered before the connection is closed.
    HangsUp,
    /// Nothing is ever answered.
    Silent,
    /// Files come at 1 KiB a second.
    Drips,
    /// One bit of each file is wrong.
    FlipsBit,
    /// Each object has the bytes of another.
    Swaps,
    /// Each answer takes as many milliseconds.
    Delays(u64),
    /// Conditional requests are not known.
    NoConditions,
    /// Half of each upload is kept, and the connection closed.
    KeepsHalf,
    /// Uploads are kept, and the connection closed before the answer.
    LosesAnswers,
}

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    protocol: Protocol,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    files: BTreeMap<String, Vec<u8>>,
    folders: BTreeSet<String>,
    /// Folders that are being made: another request for one is refused.
    locked: BTreeSet<String>,
    parts: BTreeMap<u32, Vec<u8>>,
    fault: Fault,
    /// Faults before that, each for so many requests.
    turns: VecDeque<(usize, Fault)>,
    /// Raised by each change of faults: it ends all pauses.
    n_changes: usize,
    /// Requests since then that wait for an answer that will not come.
    n_unanswered: usize,
    requests: Vec<String>,
    bytes_sent: u64,
}

/// A request without its content.
struct Head {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
}

struct Answer {
    status: u16,
    headers: &'static str,
    content: Vec<u8>,
}

fn answer(status: u16, content: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: MODIFIED, content: content.into() }
}

fn error(status: u16, code: &str) -> Answer {
    answer(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>secret</Message></Error>"))
}

impl Server {
    pub fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            files: BTreeMap::new(),
            folders: BTreeSet::from(["/team".to_owned()]),
            locked: BTreeSet::new(),
            parts: BTreeMap::new(),
            fault: Fault::Nothing,
            turns: VecDeque::new(),
            n_changes: 0,
            n_unanswered: 0,
            requests: Vec::new(),
            bytes_sent: 0,
        };
        let address = listener.local_addr().unwrap();
        let server = Self { address, protocol, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let own = server.clone();
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                thread::spawn(move || own.serve(stream));
            }
        });
        server
    }

    /// The URL of a remote on this server.
    pub fn url(&self) -> String {
        match self.protocol {
            Protocol::S3 => "s3://bucket/team/cache".to_owned(),
            Protocol::Google => "gs://bucket/team/cache".to_owned(),
            Protocol::WebDav => format!("http://{}/team/cache", self.address),
        }
    }

    /// The variables that a client needs.
    pub fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let account = format!(
            "{{\"gcs_base_url\":\"{endpoint}\",\"disable_oauth\":true,\"client_email\":\"\",\
             \"private_key\":\"very-secret\",\"private_key_id\":\"\"}}"
        );
        let variables: &[(&str, &str)] = match self.protocol {
            Protocol::S3 => &[
                ("AWS_ACCESS_KEY_ID", "me"),
                ("AWS_SECRET_ACCESS_KEY", "very-secret"),
                ("AWS_ENDPOINT_URL", &endpoint),
                ("AWS_REGION", "here"),
            ],
            Protocol::Google => &[("GOOGLE_SERVICE_ACCOUNT_KEY", &account)],
            Protocol::WebDav => &[("PIPELINE_REMOTE_AUTHORIZATION", "Bearer very-secret")],
        };
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    pub fn set_fault(&self, fault: Fault) {
        self.set_faults(&[], fault);
    }

    /// Plays each of `turns` for so many requests, then `fault` for all that follow.
    pub fn set_faults(&self, turns: &[(usize, Fault)], fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        state.turns = turns.iter().copied().collect();
        state.n_changes += 1;
        state.n_unanswered = 0;
        self.state.1.notify_all();
    }

    /// Requests since the last change of faults that wait for an answer that will not come.
    pub fn n_unanswered(&self) -> usize {
        self.state().n_unanswered
    }

    /// Requests so far, such as `GET /bucket/name`, with the header `Authorization` if it was sent.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// The bytes of all contents that were sent.
    pub fn bytes_sent(&self) -> u64 {
        self.state().bytes_sent
    }

    pub fn files(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    /// Removes the folders below `/team`, as another client may.
    pub fn forget_folders(&self) {
        self.state().folders.retain(|folder| folder == "/team");
    }

    /// Changes a file behind the clients' backs, or removes it when `change` returns nothing.
    pub fn change_file(&self, path: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let mut state = self.state();
        let changed = state.files.remove(path).and_then(change);
        state.files.extend(changed.map(|content| (path.to_owned(), content)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// Waits for so long, or until the faults are others.
    fn pause(&self, duration: Duration) {
        let state = self.state();
        let n_changes = state.n_changes;
        let is_same = |state: &mut State| state.n_changes == n_changes;
        drop(self.state.1.wait_timeout_while(state, duration, is_same).unwrap());
    }

    /// Never answers.
    fn be_silent(&self) {
        self.state().n_unanswered += 1;
        self.pause(Duration::from_secs(60));
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((head, mut content)) = read(&mut reader, &mut stream) {
            let mut state = self.state();
            let authorization = head.headers.get("authorization").cloned().unwrap_or_default();
            state.requests.push(format!("{} {} {authorization}", head.method, head.path).trim_end().to_owned());
            let fault = state.take_turn();
            let is_read = head.method == "GET" && head.query.is_empty();
            let is_upload = head.method == "PUT" && head.query.is_empty();
            let makes_folder = head.method == "MKCOL" && !matches!(fault, Fault::HangsUp | Fault::Silent);
            let is_locked = makes_folder && !state.locked.insert(head.path.clone());
            if fault == Fault::KeepsHalf && is_upload {
                content.truncate(content.len() / 2);
            }
            let mut answer = match fault {
                Fault::HangsUp => return,
                _ if is_locked => error(423, ""),
                Fault::Status(status) => error(status, "FaultOnPurpose"),
                Fault::NoBucket => error(404, "NoSuchBucket"),
                Fault::NoConditions if head.headers.contains_key("if-none-match") => error(501, "NotImplemented"),
                _ if self.protocol == Protocol::WebDav => state.webdav(&head, content),
                _ => state.s3(&head, content),
            };
            let middle = answer.content.len() / 2;
            match fault {
                Fault::FlipsBit if is_read => {
                    answer.content.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 4)
                }
                Fault::Swaps if is_read && head.path.contains("/objects/") => answer.content.reverse(),
                _ => {}
            }
            state.bytes_sent += answer.content.len() as u64;
            drop(state);
            match fault {
                Fault::Silent => return self.be_silent(),
                Fault::KeepsHalf | Fault::LosesAnswers if is_upload => return,
                Fault::Delays(milliseconds) => self.pause(Duration::from_millis(milliseconds)),
                _ => {}
            }
            if makes_folder && !is_locked {
                thread::yield_now();
                self.state().locked.remove(&head.path);
            }
            let is_head = head.method == "HEAD";
            let pieces: Vec<&[u8]> = match fault {
                Fault::CutsOff if is_read => vec![&answer.content[..middle]],
                _ if is_head => Vec::new(),
                Fault::Drips if is_read => answer.content.chunks(1024).collect(),
                _ => vec![&answer.content],
            };
            let start = format!(
                "HTTP/1.1 {} Status\r\nContent-Length: {}\r\nETag: \"1\"\r\nContent-Type: application/xml\r\n{}\r\n",
                answer.status,
                answer.content.len(),
                answer.headers
            );
            let mut sent = stream.write_all(start.as_bytes());
            for piece in pieces {
                sent = sent.and_then(|()| stream.write_all(piece));
                if fault == Fault::Drips {
                    self.pause(Duration::from_secs(1));
                }
            }
            if sent.is_err() || (fault == Fault::CutsOff && is_read) {
                return;
            }
        }
    }
}

impl State {
    /// The fault of the next request.
    fn take_turn(&mut self) -> Fault {
        while let Some((left, fault)) = self.turns.front_mut() {
            if *left > 0 {
                *left -= 1;
                return *fault;
            }
            self.turns.pop_front();
        }
        self.fault
    }

    fn s3(&mut self, head: &Head, content: Vec<u8>) -> Answer {
        let Head { method, path, query, headers } = head;
        let creates = ["if-none-match", "x-goog-if-generation-match"].iter().any(|name| headers.contains_key(*name));
        let part = query.split('&').find_map(|pair| pair.strip_prefix("partNumber="));
        match (method.as_str(), part) {
            ("GET", _) if query.contains("list-type=2") => answer(200, self.s3_listing(path, query)),
            ("POST", _) if query.starts_with("uploads") => {
                answer(200, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
            }
            ("PUT", Some(part)) => {
                self.parts.insert(part.parse().unwrap(), content);
                answer(200, "")
            }
            ("POST", _) => {
                let content = std::mem::take(&mut self.parts).into_values().flatten().collect();
                self.files.insert(path.clone(), content);
                let tag = "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>";
                answer(200, tag)
            }
            ("PUT", None) if creates && self.files.contains_key(path) => error(412, "PreconditionFailed"),
            ("PUT", None) => {
                self.files.insert(path.clone(), content);
                answer(200, "")
            }
            ("DELETE", _) => {
                self.files.remove(path);
                answer(204, "")
            }
            _ => self.file(path),
        }
    }

    fn webdav(&mut self, head: &Head, content: Vec<u8>) -> Answer {
        let Head { method, path, headers, .. } = head;
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        match method.as_str() {
            "PROPFIND" if !self.folders.contains(path.trim_end_matches('/')) => error(404, ""),
            "PROPFIND" => answer(207, self.webdav_listing(path.trim_end_matches('/'))),
            "MKCOL" if self.folders.contains(path) => error(405, ""),
            "PUT" | "MKCOL" if !self.folders.contains(above) => error(409, ""),
            "MKCOL" => {
                self.folders.insert(path.clone());
                answer(201, "")
            }
            "PUT" if headers.contains_key("if-none-match") && self.files.contains_key(path) => error(412, ""),
            "PUT" => {
                self.files.insert(path.clone(), content);
                answer(201, "")
            }
            "DELETE" if self.files.remove(path).is_some() => answer(204, ""),
            "GET" | "HEAD" => self.file(path),
            _ => error(404, ""),
        }
    }

    fn file(&self, path: &str) -> Answer {
        self.files.get(path).map_or_else(|| error(404, "NoSuchKey"), |content| answer(200, content.clone()))
    }

    fn s3_listing(&self, bucket: &str, query: &str) -> String {
        let bucket = format!("{}/", bucket.trim_end_matches('/'));
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
        let prefix = format!("{bucket}{}", decoded(prefix));
        let mut xml = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (path, content) in self.files.iter().filter(|(path, _)| path.starts_with(&prefix)) {
            xml.push_str(&format!(
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-11-28T21:00:00.000Z</LastModified>\
                 <ETag>\"1\"</ETag></Contents>",
                path.strip_prefix(&bucket).unwrap(),
                content.len()
            ));
        }
        xml + "</ListBucketResult>"
    }

    fn webdav_listing(&self, folder: &str) -> String {
        let above = |path: &str| path.rsplit_once('/').map(|(above, _)| above.to_owned());
        let entry = |path: &str, kind: &str, bytes: usize| {
            format!(
                "<D:response><D:href>{path}</D:href><D:propstat><D:prop><D:resourcetype>{kind}</D:resourcetype>\
                 <D:getcontentlength>{bytes}</D:getcontentlength>\
                 <D:getlastmodified>Sat, 28 Nov 2026 21:00:00 GMT</D:getlastmodified></D:prop>\
                 <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
            )
        };
        let mut xml = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">".to_owned();
        let is_here = |path: &&String| path.as_str() == folder || above(path).as_deref() == Some(folder);
        for path in self.folders.iter().filter(is_here) {
            xml.push_str(&entry(&format!("{path}/"), "<D:collection/>", 0));
        }
        for (path, content) in self.files.iter().filter(|(path, _)| is_here(path)) {
            xml.push_str(&entry(path, "", content.len()));
        }
        xml + "</D:multistatus>"
    }
}

/// A text of a URL without its codes such as `%2F`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        decoded.push(u8::from_str_radix(&part[..2], 16).unwrap().into());
        decoded.push_str(&part[2..]);
    }
    decoded
}

fn read(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream) -> Option<(Head, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (decoded(path), query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|value| value.starts_with("100")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let n_bytes = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut content = vec![0; n_bytes];
    reader.read_exact(&mut content).ok()?;
    Some((Head { method, path, query, headers }, content))
}

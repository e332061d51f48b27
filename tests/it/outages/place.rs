//! A remote that fails on purpose: a server in this process or a folder, its absence, and its loss of files.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::random::Random;
use crate::recorded::files_below;
use crate::server::{Fault, Protocol, Server};

/// The remote of a team.
pub enum Place {
    Server(Box<Served>),
    /// A folder that all machines mount, and the path where it is mounted.
    Folder(TempDir, PathBuf),
}

/// A server, and the address at which clients look for it.
pub struct Served {
    server: Server,
    address: SocketAddr,
    /// A port that answers no connection, and the connection that it is busy with.
    black_hole: Option<(TcpListener, TcpStream)>,
}

impl Place {
    pub fn new(random: &mut Random) -> Self {
        let protocol = match random.below(4) {
            0 => Protocol::S3,
            1 => Protocol::Google,
            2 => Protocol::WebDav,
            _ => {
                let folder = tempfile::tempdir().unwrap();
                let mounted = folder.path().join("mounted");
                fs::create_dir(&mounted).unwrap();
                return Self::Folder(folder, mounted);
            }
        };
        Self::of(protocol)
    }

    /// A server of this protocol, without faults.
    pub fn of(protocol: Protocol) -> Self {
        let server = Server::start(protocol);
        Self::Server(Box::new(Served { address: server.address, server, black_hole: None }))
    }

    pub fn server(&self) -> &Server {
        match self {
            Self::Server(served) => &served.server,
            Self::Folder(..) => panic!("it is a folder"),
        }
    }

    /// The variables that lead to it.
    pub fn variables(&self) -> Vec<(String, String)> {
        match self {
            Self::Server(served) => {
                let mut reached = served.server.clone();
                reached.address = served.address;
                let mut variables = reached.variables();
                variables.push(("PIPELINE_REMOTE".to_owned(), reached.url()));
                variables
            }
            Self::Folder(_, mounted) => vec![("PIPELINE_REMOTE".to_owned(), format!("file://{}", mounted.display()))],
        }
    }

    /// Sets a fault that lasts, or one that comes after some requests, or goes after some. Returns its story.
    pub fn fail(&mut self, random: &mut Random, may_be_slow: bool) -> String {
        self.heal();
        match self {
            Self::Server(served) => served.fail(random, may_be_slow),
            Self::Folder(folder, mounted) => {
                fs::rename(mounted, folder.path().join("unmounted")).unwrap();
                "the folder is not mounted".to_owned()
            }
        }
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        match self {
            Self::Server(served) => {
                served.server.set_fault(Fault::Nothing);
                (served.address, served.black_hole) = (served.server.address, None);
            }
            Self::Folder(folder, mounted) => {
                let unmounted = folder.path().join("unmounted");
                if unmounted.exists() {
                    fs::rename(unmounted, mounted).unwrap();
                }
            }
        }
    }

    /// The files, by names relative to the remote's URL.
    pub fn files(&self) -> Vec<String> {
        let is_whole = |name: &String| !name.contains("/.put-");
        match self {
            Self::Server(served) => {
                let files = served.server.files().into_iter();
                files.filter_map(|path| Some(format!("store-v1/{}", path.split_once("/store-v1/")?.1))).collect()
            }
            Self::Folder(_, mounted) => {
                let names = files_below(mounted).into_iter().map(|path| path.to_str().unwrap().to_owned());
                names.filter(is_whole).collect()
            }
        }
    }

    /// Flips a bit of a file, cuts it, puts another's content into it, or removes it. Returns its story.
    pub fn lose(&self, random: &mut Random) -> Option<String> {
        let files = self.files();
        if files.is_empty() {
            return None;
        }
        let (name, other) = (random.pick(&files).clone(), random.pick(&files).clone());
        let (way, position) = (random.below(4), random.below(1 << 20));
        let other = self.content(&other);
        self.change(&name, move |mut content| {
            match way {
                0 if !content.is_empty() => {
                    let n_bytes = content.len();
                    content[position % n_bytes] ^= 1 << (position % 8);
                }
                1 => content.truncate(content.len() / 2),
                2 => return None,
                _ => content = other,
            }
            Some(content)
        });
        Some(format!("{} {name}", ["flip a bit of", "cut", "remove", "swap another into"][way]))
    }

    fn path_on_server(&self, name: &str) -> String {
        let paths = self.server().files();
        paths.into_iter().find(|path| path.ends_with(name)).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn content(&self, name: &str) -> Vec<u8> {
        let mut found = Vec::new();
        match self {
            Self::Server(served) => served.server.change_file(&self.path_on_server(name), |content| {
                found.clone_from(&content);
                Some(content)
            }),
            Self::Folder(_, mounted) => found = fs::read(mounted.join(name)).unwrap_or_default(),
        }
        found
    }

    fn change(&self, name: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        match self {
            Self::Server(served) => served.server.change_file(&self.path_on_server(name), change),
            Self::Folder(_, mounted) => change_file(&mounted.join(name), change),
        }
    }
}

/// Changes a file in place; files of a remote may not be written.
fn change_file(path: &Path, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let content = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    if let Some(content) = change(content) {
        fs::write(path, content).unwrap();
    }
}

impl Served {
    fn fail(&mut self, random: &mut Random, may_be_slow: bool) -> String {
        if random.one_in(10) {
            // A port that was just free.
            self.address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            return "the server is down".to_owned();
        }
        if may_be_slow && random.one_in(10) {
            let (listener, filler) = black_hole();
            self.address = listener.local_addr().unwrap();
            self.black_hole = Some((listener, filler));
            return "the server is a black hole".to_owned();
        }
        let quick = [
            Fault::Status(500),
            Fault::Status(503),
            Fault::Status(403),
            Fault::Status(429),
            Fault::NoBucket,
            Fault::CutsOff,
            Fault::HangsUp,
            Fault::FlipsBit,
            Fault::Swaps,
            Fault::Delays(30),
            Fault::KeepsHalf,
            Fault::LosesAnswers,
        ];
        let slow = [Fault::Silent, Fault::Drips, Fault::Delays(700)];
        let fault = if may_be_slow && random.one_in(4) { *random.pick(&slow) } else { *random.pick(&quick) };
        let n_requests = 1 + random.below(16);
        match random.below(3) {
            0 => {
                self.server.set_fault(fault);
                format!("{fault:?}")
            }
            1 => {
                self.server.set_faults(&[(n_requests, Fault::Nothing)], fault);
                format!("{fault:?} after {n_requests} requests")
            }
            _ => {
                self.server.set_faults(&[(n_requests, fault)], Fault::Nothing);
                format!("{fault:?} for {n_requests} requests")
            }
        }
    }
}

/// A port that lets no connection in: its queue is full, so that the kernel drops what comes.
fn black_hole() -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let filler = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, filler)
}

//! Remotes behind a network, against a small server in this process.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

#[allow(dead_code, reason = "two programs of tests share it, and each needs its own part")]
mod server;

use std::time::{Duration, Instant};

use pipeline_core::{Digest, Key};
use pipeline_remote::{OpenRemoteError, Variables, open};
use pipeline_store::{Access, PutMode, Remote, RemoteError, Store, Upload};

use crate::server::{Fault, Protocol, Server};

const NAME: &str = "store-v1/objects/ab/cd";

const PROTOCOLS: [Protocol; 3] = [Protocol::S3, Protocol::Google, Protocol::WebDav];

fn connect(server: &Server) -> Box<dyn Remote> {
    open(&server.url(), &server.variables().into_iter().collect()).unwrap()
}

fn variables(variables: &[(&str, &str)]) -> Variables {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn get(remote: &dyn Remote, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, RemoteError> {
    let mut content = Vec::new();
    Ok(remote.get(name, max_bytes, &mut content)?.then_some(content))
}

#[test]
fn files_come_back_as_they_went_and_one_that_is_there_stays() {
    for protocol in PROTOCOLS {
        let server = Server::start(protocol);
        let remote = connect(&server);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let content: Vec<u8> = (0..300_000_u32).map(|idx| (idx % 251) as u8).collect();
        std::fs::write(&file, &content).unwrap();

        assert_eq!(get(&*remote, NAME, 9).unwrap(), None, "{protocol:?}");
        assert_eq!(remote.size(NAME).unwrap(), None, "{protocol:?}");
        assert!(remote.put(NAME, Upload::File(&file), PutMode::Create).unwrap(), "{protocol:?}");
        assert_eq!(remote.size(NAME).unwrap(), Some(300_000), "{protocol:?}");
        assert_eq!(get(&*remote, NAME, 300_000).unwrap().as_ref(), Some(&content), "{protocol:?}");
        assert!(!remote.put(NAME, Upload::Bytes(b"other"), PutMode::Create).unwrap(), "{protocol:?}");
        assert!(remote.put(NAME, Upload::Bytes(b"other"), PutMode::Replace).unwrap(), "{protocol:?}");
        assert_eq!(get(&*remote, NAME, 300_000).unwrap().as_deref(), Some(&b"other"[..]), "{protocol:?}");
        assert!(matches!(get(&*remote, NAME, 4), Err(RemoteError::TooLong { max_bytes: 4, .. })), "{protocol:?}");
        remote.delete(NAME).unwrap();
        remote.delete(NAME).unwrap();
        assert_eq!(get(&*remote, NAME, 9).unwrap(), None, "{protocol:?}");
        let is_below = |request: &String| request.contains("/team/cache");
        assert!(server.requests().iter().all(is_below), "{protocol:?}: {:?}", server.requests());
    }
}

#[test]
fn a_file_that_is_longer_than_a_part_arrives_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let content: Vec<u8> = (0..9_000_000_u32).map(|idx| (idx % 251) as u8).collect();
    std::fs::write(&file, &content).unwrap();
    for protocol in PROTOCOLS {
        let remote = connect(&Server::start(protocol));
        assert!(remote.put(NAME, Upload::File(&file), PutMode::Create).unwrap(), "{protocol:?}");
        assert!(get(&*remote, NAME, 9_000_000).unwrap().unwrap() == content, "{protocol:?}");
    }
}

#[test]
fn folders_that_several_uploads_need_at_once_are_made_by_one_of_them() {
    let server = Server::start(Protocol::WebDav);
    // Those of one process share a connection, and processes have their own.
    let processes: Vec<_> = (0..4).map(|_| connect(&server)).collect();
    std::thread::scope(|scope| {
        for idx in 0..16 {
            let remote = &*processes[idx % 3];
            let name = format!("store-v1/objects/{:02x}/{idx}", idx % 4);
            scope.spawn(move || assert!(remote.put(&name, Upload::Bytes(b"1"), PutMode::Create).unwrap()));
        }
    });
    assert_eq!(server.files().len(), 16);
}

#[test]
fn a_folder_is_made_once_for_all_its_files_and_again_when_it_is_gone() {
    let server = Server::start(Protocol::WebDav);
    let remote = connect(&server);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let methods = |name: &str| {
        let n_before = server.requests().len();
        assert!(remote.put(name, Upload::File(&file), PutMode::Create).unwrap());
        let requests = server.requests();
        requests[n_before..].iter().map(|request| request.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    methods(NAME);
    assert_eq!(methods("store-v1/objects/ab/ef"), ["PUT"]);
    server.forget_folders();
    // As by a server that answers; one that closes the connection is asked again.
    assert_eq!(methods("store-v1/objects/ab/01").last().unwrap(), "PUT");
    assert_eq!(server.files().len(), 3);
}

#[test]
fn a_server_without_conditional_requests_is_asked_first() {
    let server = Server::start(Protocol::S3);
    server.set_fault(Fault::NoConditions);
    let remote = connect(&server);
    assert!(remote.put(NAME, Upload::Bytes(b"one"), PutMode::Create).unwrap());
    assert!(!remote.put(NAME, Upload::Bytes(b"two"), PutMode::Create).unwrap());
    assert_eq!(get(&*remote, NAME, 9).unwrap().as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_remote_is_listed_below_its_prefix() {
    for protocol in PROTOCOLS {
        let remote = connect(&Server::start(protocol));
        let mut found = Vec::new();
        remote.list("store-v1/objects", &mut |file| found.push(file.name)).unwrap();
        assert_eq!(found, Vec::<String>::new(), "{protocol:?}");
        for name in [NAME, "store-v1/objects/ef/01", "store-v1/actions/ab/cd.json"] {
            remote.put(name, Upload::Bytes(b"12"), PutMode::Create).unwrap();
        }
        let mut found = Vec::new();
        remote.list("store-v1/objects", &mut |file| found.push((file.name, file.bytes))).unwrap();
        found.sort();
        assert_eq!(found, [(NAME.to_owned(), 2), ("store-v1/objects/ef/01".to_owned(), 2)], "{protocol:?}");
    }
}

#[test]
fn faults_of_the_server_are_what_they_are() {
    for protocol in PROTOCOLS {
        let server = Server::start(protocol);
        let remote = connect(&server);
        remote.put(NAME, Upload::Bytes(&[7; 1000]), PutMode::Create).unwrap();
        let check = |fault, is_as_expected: fn(&RemoteError) -> bool, words: &str| {
            server.set_fault(fault);
            let error = get(&*remote, NAME, 1000).unwrap_err();
            assert!(is_as_expected(&error), "{protocol:?} {fault:?}: {error:?}");
            assert!(error.to_string().contains(words), "{protocol:?} {fault:?}: {error}");
        };
        let is_refused = |error: &RemoteError| matches!(error, RemoteError::Refused(_));
        let is_rejected = |error: &RemoteError| matches!(error, RemoteError::Rejected(_));
        let is_unavailable = |error: &RemoteError| matches!(error, RemoteError::Unavailable(_));
        check(Fault::Status(403), is_refused, "403 Forbidden (FaultOnPurpose)");
        check(Fault::Status(401), is_refused, "401 Unauthorized");
        check(Fault::Status(400), is_rejected, "400 Bad Request");
        check(Fault::Status(301), is_rejected, "301 Moved Permanently");
        check(Fault::Status(500), is_unavailable, "500 Internal Server Error");
        check(Fault::Status(503), is_unavailable, "503 Service Unavailable");
        check(Fault::Status(423), is_unavailable, "423 Locked");
        check(Fault::Status(429), is_unavailable, "429 Too Many Requests");
        check(Fault::CutsOff, is_unavailable, "");
        check(Fault::HangsUp, is_unavailable, "");
        check(Fault::NoBucket, is_rejected, "404 Not Found (NoSuchBucket)");
        server.set_fault(Fault::Nothing);
        assert_eq!(get(&*remote, NAME, 1000).unwrap().unwrap().len(), 1000);
    }
}

#[test]
fn a_closed_port_is_an_answer_within_seconds() {
    let mut server = Server::start(Protocol::S3);
    // A port that was just free.
    server.address.set_port(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let began = Instant::now();
    let error = get(&*connect(&server), NAME, 9).unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn secrets_are_sent_and_never_shown() {
    let server = Server::start(Protocol::WebDav);
    get(&*connect(&server), NAME, 9).unwrap();
    assert!(server.requests()[0].ends_with("Bearer very-secret"), "{:?}", server.requests());
    for protocol in PROTOCOLS {
        let server = Server::start(protocol);
        let remote = connect(&server);
        for fault in [Fault::Status(403), Fault::Status(500), Fault::HangsUp] {
            server.set_fault(fault);
            let error = get(&*remote, NAME, 9).unwrap_err();
            let shown = format!("{} {remote:?} {error} {error:?}", remote.url());
            assert!(!shown.contains("very-secret"), "{shown}");
        }
    }
    let key = variables(&[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": very-secret-key}")]);
    let error = open("gs://bucket", &key).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

#[test]
fn without_credentials_nothing_is_guessed() {
    let incomplete = variables(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1"),
        ("AWS_ROLE_ARN", "role"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "team"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ACCESS_KEY_ID", ""),
    ]);
    for variables in [Variables::default(), incomplete] {
        for scheme in ["s3", "gs", "az"] {
            let error = open(&format!("{scheme}://bucket"), &variables).unwrap_err();
            assert!(matches!(error, OpenRemoteError::NoCredentials { .. }), "{error}");
        }
    }
}

#[test]
fn credentials_come_from_the_profile_unless_the_environment_has_some() {
    let folder = tempfile::tempdir().unwrap();
    let aws = folder.path().join(".aws");
    std::fs::create_dir(&aws).unwrap();
    let server = Server::start(Protocol::S3);
    let config = format!("[profile team]\nendpoint_url = http://{}\nregion = here\n", server.address);
    std::fs::write(aws.join("config"), config + "[profile sso]\nsso_session = x\n").unwrap();
    let keys = "aws_secret_access_key = very-secret\n";
    std::fs::write(aws.join("credentials"), format!("[team]\naws_access_key_id = of-profile\n{keys}")).unwrap();
    let home = folder.path().to_str().unwrap();
    let of_profile = [("HOME", home), ("AWS_PROFILE", "team")];
    let of_environment = [("AWS_ACCESS_KEY_ID", "of-environment"), ("AWS_SECRET_ACCESS_KEY", "very-secret")];
    for (set, expected) in [
        (variables(&of_profile), "Credential=of-profile/"),
        (variables(&[&of_profile[..], &of_environment].concat()), "Credential=of-environment/"),
    ] {
        get(&*open("s3://bucket/team", &set).unwrap(), NAME, 9).unwrap();
        let request = server.requests().pop().unwrap();
        assert!(request.contains(expected) && request.contains("/here/s3/"), "{request}");
    }
    let Err(OpenRemoteError::NoCredentials { remedy, .. }) =
        open("s3://bucket", &variables(&[("HOME", home), ("AWS_PROFILE", "sso")]))
    else {
        panic!("there are none");
    };
    assert!(remedy.contains("`sso_session`") && remedy.contains("export-credentials"), "{remedy}");
}

#[test]
fn a_profile_that_cannot_be_read_matters_only_where_nothing_else_has_credentials() {
    let keys = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "very-secret")];
    // A service has no home: something above the file is none.
    let home = [("HOME", "/dev/null")];
    open("s3://bucket", &variables(&[&home[..], &keys].concat())).unwrap();
    let Err(OpenRemoteError::NoCredentials { remedy, .. }) = open("s3://bucket", &variables(&home)) else {
        panic!("there are none");
    };
    assert!(remedy.starts_with("`/dev/null/.aws/") && remedy.contains("set `AWS_ACCESS_KEY_ID`"), "{remedy}");
}

#[test]
fn addresses_without_a_place_are_refused() {
    let all = variables(&[("AWS_SKIP_SIGNATURE", "true")]);
    for url in ["bucket", "s3://", "ftp://host", "s3://bucket/a//b", "https://host/a b"] {
        let error = open(url, &all).unwrap_err();
        assert!(matches!(error, OpenRemoteError::Malformed { .. }), "{url}: {error}");
    }
    open("s3://bucket", &all).unwrap();
}

#[test]
fn a_thousand_look_ups_wait_together() {
    let (server, folder) = (Server::start(Protocol::S3), tempfile::tempdir().unwrap());
    server.set_fault(Fault::Delays(25));
    let store = Store::open(folder.path()).unwrap().with_remote(connect(&server), Access::Read);
    let keys: Vec<Key> = (0..1000_u32).map(|idx| Key(Digest::of(&idx.to_le_bytes()))).collect();
    let began = Instant::now();
    store.records().fetch_shards(&keys.iter().collect::<Vec<_>>());
    let (elapsed, counts) = (began.elapsed(), store.remote().unwrap().counts());
    assert_eq!((counts.n_misses, counts.n_errors, server.requests().len()), (1000, 0, 1000));
    println!("1,000 look-ups at 25 ms: {:.2} s", elapsed.as_secs_f64());
    // One after the other they would take 25 seconds; the machine of the test may be busy.
    assert!(elapsed < Duration::from_secs(8), "{elapsed:?}");
}

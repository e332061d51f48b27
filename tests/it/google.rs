//! Google's credentials: a service account signs its requests itself, and a person's token comes from Google's
//! accounts.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::network::{Place, Ran, project};
use crate::notebook::fixtures;
use crate::project::Project;
use crate::recorded::files_below;
use crate::server::{Fault, Protocol, Server};

/// A remote on a server with the credentials in a file, as `gcloud` and Google's console write it.
fn place(server: &Server, project: &Project, credentials: &Value) -> Place {
    project.write("credentials.json", &credentials.to_string());
    let file = project.path("credentials.json").to_str().unwrap().to_owned();
    let variables = [
        ("GOOGLE_APPLICATION_CREDENTIALS", file),
        ("GOOGLE_BASE_URL", format!("http://{}", server.address)),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    Place { url: "gs://bucket/team/cache".to_owned(), variables: variables.into() }
}

fn service_account() -> Value {
    let key = std::fs::read_to_string(fixtures().join("service_account.pem")).unwrap();
    json!({
        "type": "service_account", "project_id": "team", "private_key_id": "first", "private_key": key,
        "client_email": "ci@team.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    })
}

fn authorized_user() -> Value {
    json!({
        "type": "authorized_user", "client_id": "some.apps.googleusercontent.com", "client_secret": "very-secret-client",
        "refresh_token": "very-secret-refresh",
    })
}

/// The artifacts of a run without a remote.
fn alone() -> std::collections::BTreeMap<String, String> {
    let nowhere = Place { url: String::new(), variables: Vec::new() };
    nowhere.run(&project(), "read", &[]).artifacts()
}

/// No text that the run shows or stores holds a part of the credentials.
fn assert_hidden(ran: &Ran, project: &Project, secrets: &[&str]) {
    let shown = format!("{}{:?}", ran.stderr, ran.recorded.events);
    let files = files_below(&project.path("artifacts"));
    let stored = files.iter().map(|file| std::fs::read(project.path("artifacts").join(file)).unwrap());
    let stored: Vec<String> = stored.map(|content| String::from_utf8_lossy(&content).into_owned()).collect();
    for secret in secrets {
        assert!(!shown.contains(secret) && !stored.iter().any(|text| text.contains(secret)), "`{secret}`: {shown}");
    }
}

/// The JSON in a part of a token.
fn decoded(part: &str) -> Value {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut n_bits, mut bytes) = (0_u32, 0, Vec::new());
    for digit in part.bytes() {
        bits = (bits << 6) | DIGITS.iter().position(|known| *known == digit).unwrap() as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
        }
    }
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_service_account_signs_its_own_tokens() {
    let (server, first, second) = (Server::start(Protocol::Google), project(), project());
    let ran = place(&server, &first, &service_account()).run(&first, "write", &[]);
    assert_eq!((ran.started().len(), ran.n_events("remote-off")), (4, 0), "{}", ran.stderr);
    let requests = server.requests();
    let token = requests[0].split_once(" Bearer ").unwrap().1;
    let parts: Vec<&str> = token.split('.').collect();
    let (head, claims) = (decoded(parts[0]), decoded(parts[1]));
    assert_eq!((&head["alg"], &head["kid"]), (&"RS256".into(), &"first".into()), "{head}");
    assert_eq!(claims["iss"], "ci@team.iam.gserviceaccount.com", "{claims}");
    assert!(claims["scope"].as_str().unwrap().contains("googleapis.com/auth/"), "{claims}");
    assert!(claims["exp"].as_u64().unwrap() > claims["iat"].as_u64().unwrap(), "{claims}");
    assert!(parts[2].len() > 300, "it is signed");
    let key = service_account()["private_key"].as_str().unwrap().to_owned();
    assert_hidden(&ran, &first, &[token, parts[2], key.lines().nth(5).unwrap()]);

    let ran = place(&server, &second, &service_account()).run(&second, "read", &[]);
    assert_eq!((ran.started().len(), ran.artifacts()), (0, alone()), "{}", ran.stderr);
}

#[test]
fn a_refused_token_turns_the_remote_off_once() {
    let (server, project) = (Server::start(Protocol::Google), project());
    // Its account was removed, or its key has expired.
    server.set_fault(Fault::Status(401));
    let ran = place(&server, &project, &service_account()).run(&project, "write", &[]);
    assert_eq!((ran.artifacts(), ran.n_events("remote-off")), (alone(), 1), "{}", ran.stderr);
    assert!(format!("{:?}", ran.recorded.events).contains("401 Unauthorized"), "{:?}", ran.recorded.events);
    let key = service_account()["private_key"].as_str().unwrap().to_owned();
    assert_hidden(&ran, &project, &[key.lines().nth(5).unwrap()]);
    assert!(files_below(&project.path("artifacts/store-v1/unpushed")).len() == 4, "the next run uploads them");
}

/// A proxy that lets nothing through; returns its address, and the first lines of the requests that it will get.
fn closed_proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, lines) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let seen = Arc::clone(&lines);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            seen.lock().unwrap().push(line.trim_end().to_owned());
            let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (format!("http://{address}"), lines)
}

#[test]
fn a_persons_token_that_cannot_be_had_turns_the_remote_off_once() {
    let (server, project, (proxy, lines)) = (Server::start(Protocol::Google), project(), closed_proxy());
    let mut place = place(&server, &project, &authorized_user());
    place.variables.push(("HTTPS_PROXY".to_owned(), proxy));
    let ran = place.run(&project, "write", &[]);
    assert_eq!((ran.artifacts(), ran.n_events("remote-off")), (alone(), 1), "{}", ran.stderr);
    let lines = lines.lock().unwrap();
    let is_of_accounts = |line: &String| line.starts_with("CONNECT accounts.google.com:443");
    assert!(!lines.is_empty() && lines.iter().all(is_of_accounts), "{lines:?}");
    assert_eq!(server.requests(), Vec::<String>::new(), "nothing is asked without a token");
    assert_hidden(&ran, &project, &["very-secret"]);
}

#[test]
fn files_that_hold_no_credentials_are_named_before_anything_is_asked() {
    let (server, project) = (Server::start(Protocol::Google), project());
    for (credentials, words) in [
        (json!({ "type": "service_account", "private_key": "very-secret" }), "private_key_id"),
        (json!({ "type": "external_account", "secret": "very-secret" }), "external_account"),
    ] {
        let place = place(&server, &project, &credentials);
        let reply = project.reply(&place.command(&project, "write", &["run", "spec.yaml"]).output().unwrap());
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains("cannot be used") && !reply.stderr.contains("very-secret"), "{reply:?}");
        assert!(reply.stderr.contains(words), "{reply:?}");
    }
    assert_eq!(server.requests(), Vec::<String>::new());
}

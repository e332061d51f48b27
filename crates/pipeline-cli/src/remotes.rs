//! The remote of a store, as the command line or the environment names it.
//!
//! Never the spec: a spec from elsewhere must not choose whom to trust, or whom to call.

use std::path::Path;

use pipeline_core::RemoteCounts;
use pipeline_store::{
    Access, Remote, RemoteError, RemoteFolder, RemoteLink, RemoteNews, Signatures, SigningKey, Store, TrustedKey,
};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{bytes, count, counted};
use crate::terminal::Terminal;

/// The variable with the URL of the remote.
pub const URL: &str = "PIPELINE_REMOTE";

/// The variable that says whether runs may write into the remote.
const ACCESS: &str = "PIPELINE_REMOTE_ACCESS";

/// The variable with the file of the key that signs what is uploaded.
const SIGNING_KEY: &str = "PIPELINE_SIGNING_KEY";

/// The variable with the keys whose signatures count, `NAME:KEY` with commas between them.
pub const TRUSTED_KEYS: &str = "PIPELINE_TRUSTED_KEYS";

/// The forms of URLs.
const FORMS: &str = "s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `https://host/folder` or \
    `file:///mnt/shared/cache";

/// The schemes of remotes behind a network.
const NETWORK: [&str; 5] = ["s3", "gs", "az", "https", "http"];

/// The store with the remote at `url`; without a URL, or with an empty one, the store alone.
///
/// # Errors
/// When the URL means nothing to this program.
pub fn attach(store: Store, url: Option<&str>) -> Result<Store, Failure> {
    match url.filter(|url| !url.is_empty()) {
        Some(url) => Ok(store.with_signed_remote(open(url)?, access(), signatures()?)),
        None => Ok(store),
    }
}

/// The store with the remote at `url`, of which it only reads, whatever the environment allows.
///
/// # Errors
/// As for [`attach`].
pub fn attach_for_reading(store: Store, url: &str) -> Result<Store, Failure> {
    if url.is_empty() {
        return Ok(store);
    }
    Ok(store.with_signed_remote(open(url)?, Access::Read, signatures()?))
}

/// The remote of a store that a command must have.
///
/// # Errors
/// When neither the command line nor the environment names one.
pub fn needed(store: &Store) -> Result<&RemoteLink, Failure> {
    store.remote().ok_or_else(|| {
        Failure::new(Exit::Usage, "no remote is named").with_help(format!(
            "name one with `--remote URL` or the variable `{URL}`, such as `file:///mnt/shared/cache` or \
                `s3://bucket/prefix`"
        ))
    })
}

/// Refuses a value of [`ACCESS`] that means nothing.
///
/// # Errors
/// When there is one.
pub fn check_environment() -> Result<(), Failure> {
    match std::env::var_os(ACCESS) {
        Some(value) if !["", "read", "write"].iter().any(|known| value == *known) => {
            let message = format!("`{ACCESS}` is `{}`, and it can be `read` or `write`", value.display());
            Err(Failure::new(Exit::Usage, message))
        }
        _ => Ok(()),
    }
}

/// Warns of what has become of the remote, if a command has asked it in vain.
pub fn note_news(store: &Store, terminal: &Terminal) {
    let Some(remote) = store.remote() else { return };
    for news in remote.take_news() {
        let text = match news {
            RemoteNews::Off { reason } => off(remote.url(), &reason),
            RemoteNews::Wrong { name } => damaged(remote.url(), &name),
            RemoteNews::TooLarge { name, bytes, free_bytes } => too_large(remote.url(), &name, bytes, free_bytes),
        };
        terminal.note(&format!("{}: {text}", terminal.err.notable("warning")));
    }
    let n_untrusted = remote.take_untrusted();
    if n_untrusted > 0 {
        terminal.note(&format!("{}: {}", terminal.err.notable("warning"), untrusted(remote.url(), n_untrusted)));
    }
}

/// The keys of this process; without variables, every record counts.
fn signatures() -> Result<Signatures, Failure> {
    let named = std::env::var_os(TRUSTED_KEYS);
    let trusted = named.clone().unwrap_or_default();
    let trusted = trusted.to_string_lossy();
    let trusted = trusted.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::parse::<TrustedKey>);
    let trusted = trusted
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::because(Exit::Usage, &error).under(format!("`{TRUSTED_KEYS}` cannot be used")))?;
    if named.is_some() && trusted.is_empty() {
        // A CI sets a secret that it lacks to an empty text, which must not mean that everything is trusted.
        return Err(Failure::new(Exit::Usage, format!("`{TRUSTED_KEYS}` is set and holds no key"))
            .with_help("unset it to use records of any origin"));
    }
    let signing = std::env::var_os(SIGNING_KEY)
        .filter(|value| !value.is_empty())
        .map(|file| signing_key(Path::new(&file)))
        .transpose()?;
    Ok(Signatures { signing, trusted })
}

fn signing_key(file: &Path) -> Result<SigningKey, Failure> {
    let problem = |failure: Failure| failure.under(format!("the key that signs, `{}`, cannot be used", file.display()));
    let text = pipeline_files::read(file).map_err(|error| problem(Failure::because(Exit::Usage, &error)))?;
    String::from_utf8_lossy(&text).parse().map_err(|error| {
        problem(Failure::because(Exit::Usage, &error))
            .with_help(format!("`{SIGNING_KEY}` names a file that `pipeline cache keygen` has made"))
    })
}

/// The traffic of a run with the remote, in words.
pub fn traffic(counts: &RemoteCounts) -> String {
    let RemoteCounts { n_hits, n_misses, n_errors, bytes_down, bytes_up } = *counts;
    let asked = n_hits + n_misses;
    let mut words = format!("{} of {} found", count(n_hits), counted(asked, "result"));
    for (n_bytes, verb) in [(bytes_down, "received"), (bytes_up, "sent")] {
        if n_bytes > 0 {
            words.push_str(&format!(", {} {verb}", bytes(n_bytes)));
        }
    }
    if n_errors > 0 {
        words.push_str(&format!(", {}", counted(n_errors, "error")));
    }
    words
}

/// Says that the remote is not asked any more.
pub fn off(url: &str, reason: &str) -> String {
    format!("the remote `{url}` is not used any more: {reason}")
}

/// Says that a file of the remote is damaged.
pub fn damaged(url: &str, file: &str) -> String {
    format!(
        "the remote `{url}` has a damaged file, `{file}`: it is not used; `cache verify --remote` finds all such files"
    )
}

/// Says that a file of the remote does not fit on the disk.
pub fn too_large(url: &str, file: &str, n_bytes: u64, free_bytes: u64) -> String {
    format!(
        "a file of the remote `{url}` has {}, and the disk of the store has {} free: `{file}` is not fetched; free \
         some space, for example with `pipeline cache gc`",
        bytes(n_bytes),
        bytes(free_bytes)
    )
}

/// Says that records are not used because no trusted key has signed them.
pub fn untrusted(url: &str, n_records: u64) -> String {
    let (records, are) = (counted(n_records, "record"), if n_records == 1 { "is" } else { "are" });
    format!(
        "{records} of the remote `{url}` {are} not used: no key of `{TRUSTED_KEYS}` has signed {them}",
        them = if n_records == 1 { "it" } else { "them" }
    )
}

/// The failure of an operation on the remote.
pub fn failure(remote: &RemoteLink, error: &RemoteError) -> Failure {
    let cause = match error {
        // The reason is one of this command: it has just asked.
        RemoteError::Off(reason) => Failure::new(Exit::Usage, reason),
        _ => Failure::because(Exit::Usage, error),
    };
    let failure = cause.under(format!("the remote `{}` cannot be used", remote.url()));
    match error {
        RemoteError::Refused(_) => {
            failure.with_help("check that the credentials of this process may do that at this address")
        }
        RemoteError::Unavailable(_) | RemoteError::Off(_) if remote.url().starts_with("file:") => {
            failure.with_help("it must be a folder that is there: make it, or mount the disk that it lies on")
        }
        RemoteError::Unavailable(_) | RemoteError::Off(_) => {
            failure.with_help("check its address, the network, and the credentials of this process")
        }
        _ => failure,
    }
}

fn access() -> Access {
    if std::env::var_os(ACCESS).is_some_and(|value| value == "write") { Access::Write } else { Access::Read }
}

/// The remote at a URL.
fn open(url: &str) -> Result<Box<dyn Remote>, Failure> {
    let unknown = |message: String| Failure::new(Exit::Usage, message).with_help(format!("write it as `{FORMS}`"));
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(unknown("the remote is no URL".to_owned()));
    };
    // It is shown, and a command line is kept with its run.
    if rest.split('/').next().is_some_and(|host| host.contains('@')) || rest.contains('?') {
        return Err(Failure::new(Exit::Usage, "the URL of the remote holds credentials or a query")
            .with_help("leave them out: credentials come from the environment, and the URL is shown and recorded"));
    }
    match scheme {
        "file" if rest.starts_with('/') => Ok(Box::new(RemoteFolder::new(Path::new(rest)))),
        "file" => Err(unknown(format!("`{url}` names no absolute path"))),
        _ if NETWORK.contains(&scheme) => behind_network(url),
        _ => Err(unknown(format!("`{scheme}://` is no remote that this program can use"))),
    }
}

/// Whether the remote at a URL is reached by help of a variable: one with its credentials, a proxy or certificates.
pub fn looks_at(url: &str, variable: &str) -> bool {
    const ON_THE_WAY: [&str; 6] =
        ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"];
    let is_network = url.split_once("://").is_some_and(|(scheme, _)| NETWORK.contains(&scheme));
    is_network && (ON_THE_WAY.contains(&variable.to_ascii_uppercase().as_str()) || is_needed(variable))
}

#[cfg(feature = "remote")]
fn is_needed(variable: &str) -> bool {
    pipeline_remote::PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

#[cfg(not(feature = "remote"))]
fn is_needed(_: &str) -> bool {
    false
}

#[cfg(feature = "remote")]
fn behind_network(url: &str) -> Result<Box<dyn Remote>, Failure> {
    use pipeline_remote::OpenRemoteError;

    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables = variables.filter(|(name, _)| is_needed(name)).collect();
    pipeline_remote::open(url, &variables).map_err(|error| {
        let failure = Failure::because(Exit::Usage, &error);
        match error {
            OpenRemoteError::NoCredentials { remedy, .. } => failure.with_help(remedy),
            OpenRemoteError::Malformed { .. } => failure.with_help(format!("write it as `{FORMS}`")),
            OpenRemoteError::Settings { .. } => failure,
        }
    })
}

#[cfg(not(feature = "remote"))]
fn behind_network(url: &str) -> Result<Box<dyn Remote>, Failure> {
    let message = format!("this build of the program has no remotes behind a network, such as `{url}`");
    Err(Failure::new(Exit::Usage, message).with_help("build it with `--features remote`, which is the default"))
}

//! Opens the remote at a URL, with the credentials that the caller's variables hold.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use pipeline_store::Remote;

use crate::Variables;
use crate::bucket::{Bucket, Secrets};
use crate::connector::UreqConnector;
use crate::webdav::WebDav;

/// The variable with the value of `Authorization` for WebDAV.
const AUTHORIZATION: &str = "PIPELINE_REMOTE_AUTHORIZATION";

/// The reason why a URL leads to no remote.
#[derive(Debug, thiserror::Error)]
pub enum OpenRemoteError {
    /// The URL has another form than `s3://bucket/prefix`, with `gs`, `az`, `https` or `http`.
    #[error("`{url}` is no address of a remote: {problem}")]
    Malformed {
        /// The URL.
        url: String,
        /// The problem.
        problem: &'static str,
    },
    /// There are no credentials for it.
    #[error("there are no credentials for `{url}`")]
    NoCredentials {
        /// The URL.
        url: String,
        /// The ways to give some.
        remedy: String,
    },
    /// A variable has a value that means nothing.
    #[error("the settings of the remote `{url}` cannot be used: {problem}")]
    Settings {
        /// The URL.
        url: String,
        /// The problem, without secrets.
        problem: String,
    },
}

/// Opens the remote at a URL such as `s3://bucket/prefix`. Sends no request.
///
/// # Errors
/// When the URL is no remote, or credentials are missing or malformed.
pub fn open(url: &str, variables: &Variables) -> Result<Box<dyn Remote>, OpenRemoteError> {
    let url = url.trim_end_matches('/');
    let malformed = |problem| OpenRemoteError::Malformed { url: url.to_owned(), problem };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("it has no scheme"))?;
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("spaces and letters beyond ASCII must be encoded"));
    }
    let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(malformed("it names no bucket or host"));
    }
    let no_credentials = |remedy| OpenRemoteError::NoCredentials { url: url.to_owned(), remedy };
    let variables = match scheme {
        "s3" => variables.for_s3().map_err(no_credentials)?,
        "gs" => variables.for_google().map_err(no_credentials)?,
        "az" => variables.for_azure().map_err(no_credentials)?,
        "https" | "http" => variables.clone(),
        _ => return Err(malformed("its scheme is unknown")),
    };
    let secrets = Secrets(variables.secrets());
    let settings = |problem: &str| OpenRemoteError::Settings { url: url.to_owned(), problem: secrets.hide(problem) };
    if scheme.starts_with("http") {
        let authorization = variables.get(AUTHORIZATION).map(|value| {
            let mut value = HeaderValue::from_str(value).map_err(|_| settings("`PIPELINE_REMOTE_AUTHORIZATION`"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let connector = UreqConnector::new(authorization.transpose()?);
        let host = format!("{scheme}://{host}");
        let store = server(host, &connector).map_err(|error| settings(&error.to_string()))?;
        let prefix = Path::from_url_path(prefix).map_err(|_| malformed("its path has relative parts"))?;
        let bucket = Bucket { url: url.to_owned(), store, prefix, secrets };
        return Ok(Box::new(WebDav { bucket, connector, made: Mutex::default() }));
    }
    let prefix = Path::parse(prefix).map_err(|_| malformed("its path has empty or relative parts"))?;
    let store = cloud(scheme, host, &variables).map_err(|error| settings(&error.to_string()))?;
    Ok(Box::new(Bucket { url: url.to_owned(), store, prefix, secrets }))
}

/// One attempt: the store decides about another.
fn once() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout: Duration::from_secs(60) }
}

fn server(host: String, connector: &UreqConnector) -> object_store::Result<Arc<dyn ObjectStore>> {
    let options = ClientOptions::new().with_allow_http(true);
    let builder = HttpBuilder::new().with_url(host).with_client_options(options).with_retry(once());
    Ok(Arc::new(builder.with_http_connector(connector.clone()).build()?))
}

fn cloud(scheme: &str, name: &str, variables: &Variables) -> object_store::Result<Arc<dyn ObjectStore>> {
    let connector = UreqConnector::new(None);
    // The name last: a variable must not change it. Unknown settings are those of other programs.
    Ok(match scheme {
        "s3" => {
            let with = |builder: AmazonS3Builder, (setting, value): (String, &String)| match setting.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            };
            let builder = variables.settings("AWS_").fold(AmazonS3Builder::new(), with).with_bucket_name(name);
            // Not every server that speaks S3 can delete in bulk.
            let builder = builder.with_disable_bulk_delete(true).with_retry(once());
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        "gs" => {
            let with = |builder: GoogleCloudStorageBuilder, (setting, value): (String, &String)| match setting.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            };
            let builder = variables.settings("GOOGLE_").fold(GoogleCloudStorageBuilder::new(), with);
            let builder = builder.with_bucket_name(name).with_retry(once());
            Arc::new(builder.with_http_connector(connector).build()?)
        }
        _ => {
            let with = |builder: MicrosoftAzureBuilder, (setting, value): (String, &String)| match setting.parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            };
            let builder = variables.settings("AZURE_").fold(MicrosoftAzureBuilder::new(), with);
            let builder = builder.with_container_name(name).with_retry(once());
            Arc::new(builder.with_http_connector(connector).build()?)
        }
    })
}

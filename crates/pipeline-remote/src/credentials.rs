//! The credentials of each kind of store, from the variables of the caller and the files that these name.
//!
//! Without any, object_store would ask the metadata service of the cloud that it guesses to be in. Here that takes a
//! variable that asks for it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::profile::Profile;

/// The beginnings of the names of all variables that [`crate::open`] looks at.
pub const PREFIXES: [&str; 6] = ["AWS_", "AZURE_", "GCE_", "GOOGLE_", "HOME", "PIPELINE_REMOTE_"];

/// Parts of the names of variables that hold secrets.
const SECRET: [&str; 6] = ["SECRET", "TOKEN", "SAS", "_KEY", "AUTHORIZATION", "PASSWORD"];

/// The ending of the variables that ask for requests without credentials, such as `AWS_SKIP_SIGNATURE`.
const ANONYMOUS: &str = "_SKIP_SIGNATURE";

/// The variables of the caller, without empty ones.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Variables {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl Variables {
    /// The value of a variable; `None` if it is not set, or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_ascii_lowercase().as_str()))
    }

    fn is_anonymous(&self, prefix: &str) -> bool {
        self.is_true(&format!("{prefix}{ANONYMOUS}"))
    }

    /// Those of a prefix, by the names in lower case that object_store gives to its settings.
    pub(crate) fn settings(&self, prefix: &str) -> impl Iterator<Item = (String, &String)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
    }

    /// The texts that no message may contain: the values of variables that hold secrets, and their parts.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let is_secret = |name: &str| SECRET.iter().any(|part| name.contains(part)) && !name.ends_with("_FILE");
        let values = self.0.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        let parts = values.flat_map(|value| std::iter::once(value.as_str()).chain(value.split(['&', '=', ' ', '"'])));
        let mut secrets: Vec<String> = parts.filter(|part| part.len() >= 8).map(str::to_owned).collect();
        // Longer ones first: a part must not leave the rest of its whole.
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// The variables for S3, with those that the AWS profile stands for.
    ///
    /// # Errors
    /// With a message, when there are no credentials.
    pub(crate) fn for_s3(&self) -> Result<Self, String> {
        let profile = Profile::read(self);
        let has_own = self.has("AWS_ACCESS_KEY_ID") || self.has("AWS_SECRET_ACCESS_KEY");
        let has_role = self.has("AWS_WEB_IDENTITY_TOKEN_FILE");
        let mut all = self.clone();
        for (name, value) in profile.variables {
            let is_credential = !["AWS_REGION", "AWS_ENDPOINT_URL"].contains(&name);
            // A set of credentials comes from one place.
            let is_known = self.has(name) || (name == "AWS_REGION" && self.has("AWS_DEFAULT_REGION"));
            if !value.is_empty() && !is_known && !(is_credential && (has_own || has_role)) {
                all.0.insert(name.to_owned(), value);
            }
        }
        if let Some(endpoint) = self.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            all.0.entry("AWS_METADATA_ENDPOINT".to_owned()).or_insert(endpoint.to_owned());
        }
        let both = |first: &str, second: &str| all.has(first) && all.has(second);
        let asks_for_role = all.has("AWS_METADATA_ENDPOINT")
            || self.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let has_some = all.is_anonymous("AWS")
            || both("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            || both("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
            || all.has("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            || both("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            || asks_for_role;
        let problem = profile.problem.map(|problem| format!("{problem}; ")).unwrap_or_default();
        match profile.foreign {
            _ if has_some => Ok(all),
            Some(key) => Err(format!(
                "the profile `{}` gets its credentials by `{key}`, which only AWS's own programs can: `eval \"$(aws \
                 configure export-credentials --format env)\"` puts them into the environment",
                profile.name
            )),
            None => Err(format!(
                "{problem}set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or write them into the profile `{}` of \
                 `~/.aws/credentials`; `AWS_EC2_METADATA_DISABLED=false` uses the role of this instance, and \
                 `AWS_SKIP_SIGNATURE=true` asks without credentials",
                profile.name
            )),
        }
    }

    /// Checks that there are credentials for Google Cloud Storage.
    ///
    /// # Errors
    /// With a message, when there are none.
    pub(crate) fn for_google(&self) -> Result<Self, String> {
        let names = [
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_BEARER_TOKEN",
            "GCE_METADATA_HOST",
        ];
        let usual = ".config/gcloud/application_default_credentials.json";
        let has_file = || self.get("HOME").is_some_and(|home| Path::new(home).join(usual).exists());
        if names.iter().any(|name| self.has(name)) || self.is_anonymous("GOOGLE") || has_file() {
            return Ok(self.clone());
        }
        Err("set `GOOGLE_APPLICATION_CREDENTIALS` to the file of a service account, or run `gcloud auth \
             application-default login`; `GCE_METADATA_HOST=metadata.google.internal` uses the account of this \
             instance, and `GOOGLE_SKIP_SIGNATURE=true` asks without credentials"
            .to_owned())
    }

    /// Checks that there are credentials for Azure.
    ///
    /// # Errors
    /// With a message, when there are none.
    pub(crate) fn for_azure(&self) -> Result<Self, String> {
        if self.is_true("AZURE_STORAGE_USE_EMULATOR") {
            return Ok(self.clone());
        }
        if !self.has("AZURE_STORAGE_ACCOUNT_NAME") {
            return Err("set `AZURE_STORAGE_ACCOUNT_NAME`".to_owned());
        }
        let alone = [
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_TOKEN",
            "AZURE_MSI_ENDPOINT",
            "AZURE_IDENTITY_ENDPOINT",
        ];
        let either = |names: &[&str]| names.iter().any(|name| self.has(name));
        let is_application = either(&["AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID"])
            && either(&["AZURE_TENANT_ID", "AZURE_STORAGE_TENANT_ID"])
            && either(&["AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"]);
        let is_asked_for = self.get("AZURE_CREDENTIAL_TYPE") == Some("managed_identity");
        if either(&alone) || is_application || is_asked_for || self.is_anonymous("AZURE") {
            return Ok(self.clone());
        }
        Err("set `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, or `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and \
             `AZURE_CLIENT_SECRET`; `AZURE_CREDENTIAL_TYPE=managed_identity` uses the identity of this machine"
            .to_owned())
    }
}

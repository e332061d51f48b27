//! The AWS profile: what `~/.aws/credentials` and `~/.aws/config` say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::credentials::Variables;

/// The variables that the keys of a profile stand for.
const KEYS: [(&str, &str); 7] = [
    ("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
    ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"),
    ("aws_session_token", "AWS_SESSION_TOKEN"),
    ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ("role_arn", "AWS_ROLE_ARN"),
    ("region", "AWS_REGION"),
    ("endpoint_url", "AWS_ENDPOINT_URL"),
];

/// The keys of a profile for credentials that only other programs can get.
const FOREIGN: [&str; 5] = ["sso_session", "sso_start_url", "credential_process", "source_profile", "login_session"];

/// A profile of AWS.
#[derive(Default)]
pub(crate) struct Profile {
    pub name: String,
    /// The variables that it stands for.
    pub variables: BTreeMap<&'static str, String>,
    /// A key for credentials that only other programs can get.
    pub foreign: Option<&'static str>,
    /// The reason why a file of it could not be read: it matters only to a caller who needs credentials from it.
    pub problem: Option<String>,
}

impl Profile {
    /// Reads the profile that `AWS_PROFILE` names, or the default one. A missing file is an empty one.
    pub fn read(variables: &Variables) -> Self {
        let name = variables.get("AWS_PROFILE").unwrap_or("default").to_owned();
        let mut profile = Self { name, ..Self::default() };
        let sections = [profile.name.clone(), format!("profile {}", profile.name)];
        for (variable, file) in [("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")] {
            let usual = || Some(PathBuf::from(variables.get("HOME")?).join(".aws").join(file));
            let Some(path) = variables.get(variable).map(PathBuf::from).or_else(usual) else { continue };
            match pipeline_files::read(&path) {
                Ok(text) => profile.add(&String::from_utf8_lossy(&text), &sections),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => profile.problem = Some(format!("`{}` cannot be read: {error}", path.display())),
            }
        }
        profile
    }

    /// Adds the lines of a file that stand in one of the sections.
    fn add(&mut self, text: &str, sections: &[String]) {
        let mut is_in = false;
        for line in text.lines().map(str::trim_end) {
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
                is_in = sections.iter().any(|known| known == section.trim());
            } else if let Some((key, value)) =
                line.split_once('=').filter(|_| is_in && !line.starts_with([' ', '\t', '#', ';']))
            {
                let (key, value) = (key.trim(), value.trim());
                if let Some((_, variable)) = KEYS.iter().find(|(known, _)| *known == key) {
                    self.variables.insert(variable, value.to_owned());
                }
                self.foreign = FOREIGN.into_iter().find(|known| *known == key).or(self.foreign);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_named_profile_count_and_no_others() {
        let mut profile = Profile::default();
        let text = "# comment\n[default]\naws_access_key_id = other\n[profile team]\nregion= eu-1\n\
                    s3 =\n  role_arn = no\n\
                    aws_access_key_id=me\n#role_arn = no\nsso_session = x\n[profile teams]\nrole_arn = no\n";
        profile.add(text, &["profile team".to_owned()]);
        let expected =
            [("AWS_ACCESS_KEY_ID", "me"), ("AWS_REGION", "eu-1")].map(|(key, value)| (key, value.to_owned()));
        assert_eq!(profile.variables, BTreeMap::from(expected));
        assert_eq!(profile.foreign, Some("sso_session"));
    }
}

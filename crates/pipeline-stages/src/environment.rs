//! The program's environment; records the variables that stages depend on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use pipeline_core::Digest;

/// The variables that stages may read. Records which ones they did.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    asked: RefCell<BTreeSet<String>>,
    passed: RefCell<BTreeSet<String>>,
}

impl Environment {
    /// An environment of these variables.
    pub fn new(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        Self { variables: variables.collect(), ..Self::default() }
    }

    /// The value of a variable that affects results.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of a variable that is passed to a program and enters no key.
    pub fn pass_on(&self, name: &str) -> Option<&OsStr> {
        self.passed.borrow_mut().insert(name.to_owned());
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of a variable that says where this process may work: it enters no key, and other processes have their
    /// own.
    pub fn peek(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The variables with this prefix, to be passed to a program; they enter no key.
    pub fn pass_on_all(&self, begin: &str) -> impl Iterator<Item = (OsString, OsString)> {
        let is_meant = move |(name, _): &(&OsString, &OsString)| name.as_bytes().starts_with(begin.as_bytes());
        let variables = self.variables.iter().filter(is_meant);
        variables.map(|(name, value)| {
            self.passed.borrow_mut().insert(name.to_string_lossy().into_owned());
            (name.clone(), value.clone())
        })
    }

    /// The variables that the stages have read or pass on, set or not: those that another process needs for them.
    pub fn needed(&self) -> BTreeSet<String> {
        self.asked.borrow().union(&self.passed.borrow()).cloned().collect()
    }

    /// The variables that [`Environment::get`] was called with, set or not.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
}

impl fmt::Debug for Environment {
    /// Shows names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("Environment").field("names", &names).field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// The digest that stands for the value of a variable, which may be a secret.
///
/// It is bound to its purpose and to the name. So equal values of several variables look different, and precomputed
/// digests of common texts do not help. A reader can still guess a short secret: the digest has no salt, since keys
/// must be the same in every store.
pub fn digest(name: &str, value: &OsStr) -> Digest {
    let parts = [b"pipeline: a variable of the environment", name.as_bytes(), value.as_bytes()];
    Digest::of(&parts.join(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_a_stage_what_it_is_counts_as_asked_for() {
        let environment = Environment::new([("PATH".into(), "/bin".into())].into_iter());
        assert_eq!(environment.pass_on("PATH"), Some(OsStr::new("/bin")));
        assert_eq!(environment.get("HF_HOME"), None);
        assert_eq!(environment.asked(), BTreeSet::from(["HF_HOME".to_owned()]));
    }

    #[test]
    fn values_do_not_show() {
        let environment = Environment::new([("TOKEN".into(), "s3cret".into())].into_iter());
        let text = format!("{environment:?}");
        assert!(text.contains("TOKEN") && !text.contains("s3cret"), "{text}");
        assert_ne!(digest("TOKEN", OsStr::new("s3cret")), digest("OTHER", OsStr::new("s3cret")));
    }
}

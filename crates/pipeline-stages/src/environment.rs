//! The environment of the program, and which of its variables the stages depend on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

/// The variables that stages may ask for. Remembers which were.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    asked: RefCell<BTreeSet<String>>,
}

impl Environment {
    /// An environment of these variables.
    pub fn new(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        Self { variables: variables.collect(), asked: RefCell::default() }
    }

    /// The value of a variable that makes a stage what it is.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.pass_on(name)
    }

    /// The value of a variable that is handed to a program and enters no key.
    pub fn pass_on(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The variables that [`Environment::get`] was asked for, whether they are set or not.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }
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
}

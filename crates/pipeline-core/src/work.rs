//! The kinds of work on which a stage spends its time.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of work. Kinds sort by name, so that reports list them in one order.
///
/// The record of another version may have a kind that this one does not know: it is kept under its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Work {
    /// Decoding images.
    Decode,
    /// Encoding, without the making of tokens.
    Forward,
    /// Loading a model.
    Load,
    /// Reading inputs.
    Read,
    /// Finding the rows of a source.
    Scan,
    /// Ranking what is searched.
    Search,
    /// Metrics and their intervals.
    Statistics,
    /// Waiting until the files of the artifact are stored; added by the engine.
    Store,
    /// Making tokens of texts.
    Tokenize,
    /// Training.
    Train,
    /// Writing files.
    Write,
    /// The work of another version, by its name.
    Other(String),
}

impl Work {
    const KNOWN: [Self; 11] = [
        Self::Decode,
        Self::Forward,
        Self::Load,
        Self::Read,
        Self::Scan,
        Self::Search,
        Self::Statistics,
        Self::Store,
        Self::Tokenize,
        Self::Train,
        Self::Write,
    ];

    /// The name, as JSON and people have it.
    pub fn name(&self) -> &str {
        match self {
            Self::Decode => "decode",
            Self::Forward => "forward",
            Self::Load => "load",
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Search => "search",
            Self::Statistics => "statistics",
            Self::Store => "store",
            Self::Tokenize => "tokenize",
            Self::Train => "train",
            Self::Write => "write",
            Self::Other(name) => name,
        }
    }
}

impl Ord for Work {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl PartialOrd for Work {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for Work {
    fn from(name: String) -> Self {
        Self::KNOWN.into_iter().find(|work| work.name() == name).unwrap_or(Self::Other(name))
    }
}

impl From<Work> for String {
    fn from(work: Work) -> Self {
        work.name().to_owned()
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_json_of_any_version_is_read_and_written_as_it_was() {
        let known = Work::KNOWN.map(|work| format!("\"{work}\":0.5")).join(",");
        for json in [
            "{\"evaluate\":1.0,\"forward\":2.5,\"preprocess\":0.25,\"read\":0.5,\"zip\":0.0}".to_owned(),
            format!("{{{known}}}"),
        ] {
            let seconds: BTreeMap<Work, f64> = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&seconds).unwrap(), json);
        }
    }

    #[test]
    fn a_known_kind_is_never_another() {
        for work in Work::KNOWN {
            assert_eq!(Work::from(work.name().to_owned()), work);
        }
        assert_eq!(Work::from("preprocess".to_owned()), Work::Other("preprocess".to_owned()));
    }
}

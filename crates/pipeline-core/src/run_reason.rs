//! The reasons for which stages run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{LineChange, Numerics, StageId};

/// Why a stage runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum RunReason {
    /// This store remembers no earlier run with this stage name.
    New,
    /// The manifest differs from that of the stage's last run.
    Changed {
        /// The lines that differ, old and new.
        changes: Vec<LineChange>,
    },
    /// The user forced it.
    Forced,
    /// It had a result, but the record of it is lost or was damaged.
    RecordLost,
    /// Its result was computed with other arithmetic, which this run does not accept.
    OtherNumerics {
        /// The classes that computed it.
        numerics: Vec<Numerics>,
    },
    /// Its bytes were dropped or lost, and `reader` must read them.
    Demanded {
        /// The reader that needs them.
        reader: Reader,
    },
}

/// A reader of an artifact: in JSON the name of the stage or the path, which no stage can have as its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reader {
    /// A stage.
    Stage(StageId),
    /// A path to which it is to be published.
    Path(String),
}

impl From<String> for Reader {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Path(text), Self::Stage)
    }
}

impl From<Reader> for String {
    fn from(reader: Reader) -> Self {
        reader.to_string()
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stage) => stage.fmt(f),
            Self::Path(path) => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_a_stage_or_a_path() {
        let json = |reader: &Reader| serde_json::to_string(reader).unwrap();
        let (stage, path) = (Reader::Stage("text".parse().unwrap()), Reader::Path("/w/text.pth".into()));
        assert_eq!((json(&stage).as_str(), json(&path).as_str()), (r#""text""#, r#""/w/text.pth""#));
        for reader in [stage, path] {
            assert_eq!(serde_json::from_str::<Reader>(&json(&reader)).unwrap(), reader);
        }
    }
}

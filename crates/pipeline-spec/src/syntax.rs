//! Explains the errors of the YAML parser, and says what to do.

use granit_parser::{ErrorKind, ScanError};

use crate::SpecError;

/// The error, without its place yet.
pub(crate) fn explain(error: &ScanError) -> SpecError {
    use ErrorKind as Kind;
    let (message, help) = match error.kind() {
        Kind::TabNotAllowed | Kind::TabInBlockIndentation | Kind::TabInIndentation | Kind::TabInPlainScalar => {
            ("a tab cannot indent YAML".to_owned(), Some("indent with spaces"))
        }
        Kind::UnclosedFlowCollection { open } => (format!("`{open}` is never closed"), None),
        Kind::UnexpectedEofFlowSequence => ("the file ends inside a list: `]` is missing".into(), None),
        Kind::UnexpectedEofFlowMapping | Kind::UnexpectedEofImplicitFlowMapping => {
            ("the file ends inside a map: `}` is missing".into(), None)
        }
        Kind::MismatchedFlowCollectionEnd { open, close } => (format!("`{open}` is closed by `{close}`"), None),
        Kind::MisplacedFlowCollectionEnd => ("a bracket closes that was never opened".into(), None),
        Kind::UnclosedQuotedScalar => ("the quote that begins here is never closed".into(), None),
        Kind::ExpectedFlowMappingSeparator => ("`,` or `}` is missing before this".into(), None),
        Kind::ExpectedFlowSequenceSeparator => ("`,` or `]` is missing before this".into(), None),
        Kind::UnknownAnchor => ("this alias repeats an anchor that is not defined above it".into(), None),
        Kind::RecursionLimitExceeded => ("lists and maps are nested too deeply".into(), None),
        Kind::SimpleKeyExpected | Kind::ExpectedBlockMappingKey | Kind::InvalidSimpleKey => {
            ("this line is not `key: value`".into(), Some("check its indentation, and that a space follows the colon"))
        }
        Kind::InvalidIndentation | Kind::ExpectedBlockSequenceEntry => {
            ("the indentation fits neither the line above nor what holds it".into(), None)
        }
        Kind::MappingValueNotAllowed | Kind::MappingKeyNotAllowed => (
            "a `key: value` cannot stand here".into(),
            Some("check the indentation and the line above; quote a text that contains `: `"),
        ),
        Kind::UnexpectedCharacter { character } => {
            (format!("a text cannot begin with `{character}`"), Some("put it in quotes"))
        }
        Kind::UnknownQuotedScalarEscape => (
            "unknown escape in a double-quoted text".into(),
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        other => (other.to_string(), None),
    };
    let error = SpecError::new(message);
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

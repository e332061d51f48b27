//! Explains the errors of the YAML parser, and says what to do.

use granit_parser::{ErrorKind, ScanError};

use crate::SpecError;
use crate::open_flow::unclosed;

/// The error in `text`, without its place yet.
pub(crate) fn explain(error: &ScanError, text: &str) -> SpecError {
    use ErrorKind as Kind;
    let is_shape = matches!(
        error.kind(),
        Kind::SimpleKeyExpected
            | Kind::ExpectedBlockMappingKey
            | Kind::InvalidSimpleKey
            | Kind::InvalidIndentation
            | Kind::ExpectedBlockSequenceEntry
            | Kind::MappingValueNotAllowed
            | Kind::MappingKeyNotAllowed
    );
    let is_flow = matches!(
        error.kind(),
        Kind::UnexpectedEofFlowSequence
            | Kind::UnexpectedEofFlowMapping
            | Kind::UnexpectedEofImplicitFlowMapping
            | Kind::UnclosedFlowCollection { .. }
            | Kind::UnclosedQuotedScalar
            | Kind::ExpectedFlowMappingSeparator
            | Kind::ExpectedFlowSequenceSeparator
            | Kind::InvalidColonPlacement
            | Kind::InvalidTrailingSingleQuotedScalar
            | Kind::InvalidTrailingDoubleQuotedScalar
            | Kind::InvalidQuotedScalarIndent
            | Kind::InvalidFlowScalarIndent
    );
    let line = error.marker().line();
    let found = is_flow.then(|| unclosed(text, line)).flatten();
    if let Some(error) = found.or_else(|| is_shape.then(|| colon(text, line).or_else(|| indentation(text, line)))?) {
        return error;
    }
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
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => (
            "a text in quotes ends before this".into(),
            Some("double a single quote inside single quotes; write `\\\"` inside double quotes"),
        ),
        Kind::ExpectedDocumentStart => (
            "this line does not go on with what is above it".into(),
            Some("a spec is one map: its lines are `key: value`, from the first column on"),
        ),
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

/// A colon that is missing in a line, counted from 1, or that lacks the space behind it; `None` where neither is so.
fn colon(text: &str, line: usize) -> Option<SpecError> {
    let content = |line: &str| line.trim().trim_start_matches("- ").to_owned();
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let here = content(text.lines().nth(line.checked_sub(1)?)?);
    let above = text.lines().enumerate().take(line - 1).filter(|(_, line)| is_content(line)).last();
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|sign| sign.is_alphanumeric() || "-_.".contains(sign));
    let glued = |text: &str| {
        let (key, value) = text.split_once(':')?;
        let is_path = value.starts_with("//") || value.starts_with('\\');
        (is_word(key) && !value.is_empty() && !value.starts_with(' ') && !is_path).then(|| format!("{key}: {value}"))
    };
    // `- train:valid` is a text in a list.
    let is_item = |text: &str| text.trim_start().starts_with("- ");
    let above = above.filter(|(_, text)| !is_item(text));
    if text.lines().nth(line - 1).is_some_and(is_item) {
        return None;
    }
    for (number, text) in above.map(|(idx, text)| (idx + 1, content(text))).into_iter().chain([(line, here.clone())]) {
        if let Some(written) = glued(&text) {
            let error = SpecError::new(format!("a space is missing behind the colon of line {number}"));
            return Some(error.with_help(format!("write `{written}`")));
        }
    }
    if is_word(&here) {
        return Some(SpecError::new("this line is not `key: value`").with_help(format!("write `{here}:`")));
    }
    let (key, value) = here.split_once(": ").filter(|(key, _)| is_word(key))?;
    let is_plain = !value.starts_with(['"', '\'', '[', '{', '|', '>', '&', '*', '!']);
    (is_plain && value.contains(": ") && !value.contains('"')).then(|| {
        SpecError::new("a `key: value` cannot stand here")
            .with_help(format!("quote a text that contains `: `: `{key}: \"{value}\"`"))
    })
}

/// What is wrong with the indentation of a line, counted from 1; `None` where it is not the indentation.
fn indentation(text: &str, line: usize) -> Option<SpecError> {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let here = text.lines().nth(line.checked_sub(1)?).filter(is_content)?;
    let above: Vec<&str> = text.lines().take(line - 1).filter(is_content).collect();
    let last = above.last()?;
    let (indent, last_indent) = (indent_of(here), indent_of(last));
    let is_key = |line: &str| line.trim_end().ends_with(':') || line.contains(": ");
    let is_item = |line: &str| line.trim_start().starts_with('-');
    if !is_key(here) || is_item(here) || is_item(last) {
        return None;
    }
    if indent > last_indent && is_key(last) && !last.trim_end().ends_with([':', '|', '>']) {
        let (key, _) = last.trim_start().split_once(':')?;
        let error = SpecError::new(format!("this line is indented more than `{key}` above it, which has its value"));
        return Some(error.with_help(format!("indent it by {}, as that line is", spaces(last_indent))));
    }
    // The levels that are still open above this line.
    let mut levels = Vec::new();
    for level in above.iter().map(|line| indent_of(line)) {
        levels.retain(|open| *open < level);
        levels.push(level);
    }
    if indent >= last_indent || levels.contains(&indent) {
        return None;
    }
    let near: Vec<String> =
        [levels.iter().rfind(|level| **level < indent), levels.iter().find(|level| **level > indent)]
            .into_iter()
            .flatten()
            .map(|level| spaces(*level))
            .collect();
    let error = SpecError::new(format!("this line is indented by {}, and no line above it is", spaces(indent)));
    Some(error.with_help(format!("indent it by {}, as the lines that it belongs to", near.join(" or "))))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn spaces(n: usize) -> String {
    match n {
        0 => "no space".to_owned(),
        1 => "1 space".to_owned(),
        n => format!("{n} spaces"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_wrong_indentation_is_said_in_spaces() {
        for (text, message, help) in [
            (
                "stages:\n  a:\n    kind: x\n      params: {}\n",
                "this line is indented more than `kind` above it, which has its value",
                "indent it by 4 spaces, as that line is",
            ),
            (
                "stages:\n  a:\n    kind: x\n   params: {}\n",
                "this line is indented by 3 spaces, and no line above it is",
                "indent it by 2 spaces or 4 spaces, as the lines that it belongs to",
            ),
        ] {
            let error = crate::parse(text, Path::new("a.yaml")).unwrap_err();
            assert_eq!((error.message.as_str(), error.help.as_deref()), (message, Some(help)));
        }
        for (text, message, help) in [
            (
                "stages:\n  a:\n    kind:x\n    params:\n",
                "a space is missing behind the colon of line 3",
                "write `kind: x`",
            ),
            ("stages:\n  a:\n    kind: x\n  b\n", "this line is not `key: value`", "write `b:`"),
        ] {
            let error = crate::parse(text, Path::new("a.yaml")).unwrap_err();
            assert_eq!((error.message.as_str(), error.help.as_deref()), (message, Some(help)));
        }
        // What is no matter of indentation keeps its own words.
        let error = crate::parse("name: a: b\nstages: {}\n", Path::new("a.yaml")).unwrap_err();
        assert_eq!(error.help.unwrap(), "quote a text that contains `: `: `name: \"a: b\"`");
    }
}

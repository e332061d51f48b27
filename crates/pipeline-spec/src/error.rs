//! The one error of this crate: a message and its place in the file.

use std::error::Error;

use crate::{Span, did_you_mean, meant};

/// The most known names that a help text lists when no name is near.
const MAX_LISTED: usize = 12;

/// A mistake in a spec, and its place.
///
/// `Display` shows the message alone; the renderer adds file, line, column, excerpt and help from the fields.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    /// The message, as a lower-case fragment.
    pub message: String,
    /// The place; `None` only where there is no text, such as for a file that cannot be read.
    pub span: Option<Span>,
    /// The whole line of the span, without its line break.
    pub excerpt: Option<String>,
    /// The advice to the user.
    pub help: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SpecError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, excerpt: None, help: None, source: None }
    }

    /// An error at a place.
    pub fn at(span: &Span, message: impl Into<String>) -> Self {
        Self::new(message).or_at(span)
    }

    /// An error at a name that is not among the `known` ones: `unknown <what> <name>`, with the nearest known name.
    ///
    /// ```
    /// # let spec = pipeline_spec::parse("stages: { a: { kind: load } }", "spec.yaml".as_ref()).unwrap();
    /// let kind = &spec.stages[0].kind;
    /// let error = pipeline_spec::SpecError::unknown("kind", &kind.value, &kind.span, ["loads", "evaluate"]);
    /// assert_eq!(error.to_string(), "unknown kind `load`");
    /// assert_eq!(error.help.as_deref(), Some("did you mean `loads`?"));
    /// ```
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        span: &Span,
        known: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    ) -> Self {
        Self { help: help_with_name(name, known), ..Self::at(span, format!("unknown {what} `{name}`")) }
    }

    /// Adds advice to the user.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds advice to the user, if there is some.
    pub(crate) fn with_help_of(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help), ..self }
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets the place unless the error already has a more exact one.
    pub fn or_at(mut self, span: &Span) -> Self {
        if self.span.is_none() {
            self.excerpt = Some(span.file.line(span.line).to_owned());
            self.span = Some(span.clone());
        }
        self
    }
}

/// `did you mean …?`, or else a list of the known names.
pub(crate) fn help_with_name<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Option<String> {
    let known = known.into_iter();
    if let Some(question) = did_you_mean(&meant(name, known.clone())) {
        return Some(question);
    }
    let mut listed: Vec<String> = known.map(|name| format!("`{name}`")).take(MAX_LISTED + 1).collect();
    if listed.len() > MAX_LISTED {
        listed[MAX_LISTED] = "…".into();
    }
    match listed.len() {
        0 => None,
        1 => Some(format!("the only known one is {}", listed[0])),
        _ => Some(format!("known are {}", listed.join(", "))),
    }
}

//! Errors for users: `error:`, `caused by:`, `help:`, with an excerpt when the spec is wrong.
//!
//! The crates below say what went wrong; `faults.rs` decides whose fault it was, and so the exit code.

use std::error::Error;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use pipeline_experiments::causes;
use pipeline_spec::Span;

use crate::exit::Exit;
use crate::printable;
use crate::terminal::{Palette, Terminal};

/// The reason why a command ends early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The message and its causes, outermost first.
    pub errors: Vec<String>,
    /// Advice for the user.
    pub help: Option<String>,
    /// The place of the mistake in the spec.
    pub span: Option<Span>,
    /// True when the reader of stdout went away, which needs no message.
    pub is_silent: bool,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, errors: vec![message.into()], help: None, span: None, is_silent: false }
    }

    /// A failure because of `error`, whose causes are kept.
    pub fn because(exit: Exit, error: &dyn Error) -> Self {
        Self { errors: causes(error), ..Self::new(exit, "") }
    }

    /// Adds advice for the user.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same failure as the cause of another.
    pub fn under(mut self, message: impl Into<String>) -> Self {
        self.errors.insert(0, message.into());
        self
    }

    /// Reports it on stderr.
    pub fn report(&self, terminal: &Terminal) {
        if !self.is_silent {
            terminal.note(&self.render(terminal.err, terminal.err_width()));
        }
    }

    /// The text of the failure. An excerpt shows as much of a line as fits into `columns`.
    pub fn render(&self, palette: Palette, columns: Option<usize>) -> String {
        match &self.span {
            Some(span) => with_excerpt(&self.errors, self.help.as_deref(), span, (palette, columns)),
            None => without_excerpt(&self.errors, self.help.as_deref(), palette),
        }
    }
}

fn without_excerpt(errors: &[String], help: Option<&str>, palette: Palette) -> String {
    let mut text = String::new();
    for (idx, message) in errors.iter().enumerate() {
        let label = if idx == 0 { palette.bad("error") } else { format!("  {}", palette.bad("caused by")) };
        let indent = if idx == 0 { "\n  " } else { "\n    " };
        text.push_str(&format!("{label}: {}\n", message.trim_end().replace('\n', indent)));
    }
    if let Some(help) = help {
        text.push_str(&format!("{}: {}\n", palette.helpful("help"), help.replace('\n', "\n  ")));
    }
    text.trim_end().to_owned()
}

fn with_excerpt(
    errors: &[String],
    help: Option<&str>,
    span: &Span,
    (palette, columns): (Palette, Option<usize>),
) -> String {
    let line = &printable::signs_only(span.file.line(span.line));
    let errors: Vec<String> = errors.iter().map(|message| printable::text(message)).collect();
    let help = help.map(printable::text);
    let start = byte_of(line, span.column as usize - 1);
    let end = (start + byte_of(&line[start..], span.len as usize)).max(start + 1).min(line.len().max(start));
    let path = printable::signs_only(&span.file.path().display().to_string());
    let snippet = Snippet::source(line)
        .line_start(span.line as usize)
        .path(path)
        .annotation(AnnotationKind::Primary.span(start..end));
    let mut groups = vec![Level::ERROR.primary_title(errors[0].as_str()).element(snippet)];
    let causes = errors[1..].iter().map(|cause| Level::ERROR.with_name("caused by").secondary_title(cause.as_str()));
    groups.extend(causes.map(Group::with_title));
    groups.extend(help.iter().map(|help| Group::with_title(Level::HELP.secondary_title(help.as_str()))));
    let renderer = if palette.colored { Renderer::styled() } else { Renderer::plain() };
    // A line that the terminal breaks has its marks below another part of it.
    let renderer = match columns {
        Some(columns) => renderer.term_width(columns),
        None => renderer,
    };
    printable::adopt(&renderer.render(&groups))
}

/// The byte at which character number `n_chars` begins; the end if there are fewer.
fn byte_of(text: &str, n_chars: usize) -> usize {
    text.char_indices().nth(n_chars).map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use pipeline_core::StageError;

    use super::*;

    #[test]
    fn causes_follow_the_error_and_help_comes_last() {
        let error = StageError::because("cannot read `a.tsv`", std::io::Error::other("disk on fire"));
        let failure = Failure::because(Exit::StageFailed, &error).with_help("buy a new disk");
        let text = failure.render(Palette::default(), None);
        assert_eq!(text, "error: cannot read `a.tsv`\n  caused by: disk on fire\nhelp: buy a new disk");
    }

    #[test]
    fn a_wrong_spec_is_quoted() {
        let text = "name: 图\nstages:\n  a: { knd: command }\n";
        let error = pipeline_spec::parse(text, "demo.yaml".as_ref()).unwrap_err();
        let text = Failure::from(error).render(Palette::default(), None);
        assert!(text.starts_with("error: "), "{text}");
        assert!(text.contains("demo.yaml:3:8"), "{text}");
        assert!(text.contains("3 |   a: { knd: command }"), "{text}");
        assert!(text.contains("help: did you mean `kind`?"), "{text}");

        let text = format!("stages: {{ a: {{ params: {{ run: [{}] }}, knd: x }} }}\n", "word, ".repeat(30));
        let error = pipeline_spec::parse(&text, "a.yaml".as_ref()).unwrap_err();
        let text = Failure::from(error).render(Palette::default(), Some(60));
        assert!(text.contains("knd: x"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }
}

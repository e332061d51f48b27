//! The output streams: stdout for data, stderr for the rest, with or without colour.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::args::{ColorChoice, GlobalArgs};
use crate::printable;

/// The verbosity of stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings only.
    Quiet,
    /// The events of each stage.
    Normal,
    /// Reused stages, too, and the reasons.
    Verbose,
}

/// The two streams and their properties.
#[derive(Debug, Clone)]
pub struct Terminal {
    /// Colours stdout.
    pub out: Palette,
    /// Colours stderr.
    pub err: Palette,
    /// Whether stderr is a terminal that can redraw lines.
    pub is_live: bool,
    /// Whether the locale's characters are those of Unicode.
    pub has_unicode: bool,
    /// The verbosity.
    pub verbosity: Verbosity,
}

impl Terminal {
    /// Inspects the streams, the arguments, `NO_COLOR` and `TERM`.
    pub fn new(args: &GlobalArgs) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |is_terminal: bool| match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !refused && !dumb,
        };
        let verbosity = match (args.quiet, args.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            out: Palette { colored: colored(io::stdout().is_terminal()) },
            err: Palette { colored: colored(err_is_terminal) },
            is_live: err_is_terminal && !dumb,
            has_unicode: has_unicode(&|name| std::env::var(name).ok()),
            verbosity,
        }
    }

    /// Writes data and a line end to stdout; control characters become visible signs.
    ///
    /// # Errors
    /// When stdout cannot be written, even if only its reader went away.
    pub fn data(&self, text: &str) -> io::Result<()> {
        self.bytes(&printable::text(text))
    }

    /// Writes a text for programs, such as a path, and a newline to stdout: verbatim unless stdout is a terminal.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn exact(&self, text: &str) -> io::Result<()> {
        if io::stdout().is_terminal() { self.data(text) } else { self.bytes(text) }
    }

    fn bytes(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }

    /// Writes a value to stdout as indented JSON.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.bytes(&printable::json(&serde_json::to_string_pretty(value)?))
    }

    /// Writes a value to stdout as one line of JSON.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn json_line(&self, value: &impl Serialize) -> io::Result<()> {
        self.bytes(&printable::json(&serde_json::to_string(value)?))
    }

    /// Writes a line to stderr; a failure cannot be reported anywhere.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", printable::text(text));
    }

    /// Writes a line that `--quiet` silences.
    pub fn remark(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.note(text);
        }
    }

    /// The columns of stdout when it is a terminal.
    pub fn out_width(&self) -> Option<usize> {
        width(&console::Term::stdout())
    }

    /// The columns of stderr when it is a terminal.
    pub fn err_width(&self) -> Option<usize> {
        width(&console::Term::stderr())
    }

    /// The rows of stderr when it is a terminal.
    pub fn err_height(&self) -> Option<usize> {
        console::Term::stderr().size_checked().map(|(rows, _)| usize::from(rows)).filter(|rows| *rows > 0)
    }
}

/// Whether the locale has UTF-8, by the first of its variables that is set; without any, as in containers, it counts as
/// UTF-8.
fn has_unicode(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn width(term: &console::Term) -> Option<usize> {
    term.size_checked().map(|(_, columns)| usize::from(columns)).filter(|columns| *columns >= 20)
}

/// Colours text, or leaves it plain; the words alone carry the meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette {
    /// Whether escape codes are written at all.
    pub colored: bool,
}

impl Palette {
    /// The most important text.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// The least important text.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A success.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// An error.
    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// A text that deserves attention.
    pub fn notable(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// A help text.
    pub fn helpful(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored { format!("{}{text}{}", printable::code(code), printable::code("0")) } else { text.to_owned() }
    }
}

/// `text` cut to `columns`, with an ellipsis if it was longer; wide characters count twice, escape codes not at all.
pub fn fit(text: &str, columns: Option<usize>) -> String {
    match columns {
        Some(columns) => console::truncate_str(text, columns, "…").into_owned(),
        None => text.to_owned(),
    }
}

/// `text` with an ellipsis in its middle if it is wider than `columns`: long names and paths differ at their ends.
pub fn shorten(text: &str, columns: usize) -> String {
    if console::measure_text_width(text) <= columns || columns < 3 {
        return text.to_owned();
    }
    let n_after = columns / 2;
    let before = console::truncate_str(text, columns - n_after, "…");
    let mut after = String::new();
    for character in text.chars().rev() {
        if console::measure_text_width(&after) + console::measure_text_width(&character.to_string()) > n_after {
            break;
        }
        after.insert(0, character);
    }
    format!("{before}{after}")
}

/// `text` padded with spaces to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    console::pad_str(text, columns, console::Alignment::Left, None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(pad("图片", 6), "图片  ");
        assert_eq!(fit("图片图片", Some(5)), "图片…");
        assert_eq!(fit("图片图片", None), "图片图片");
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(shorten("projection.temperature-0.03.seed-1", 16), "project…3.seed-1");
        assert_eq!(shorten("short", 16), "short");
        assert_eq!(shorten("图片图片图片", 7), "图…片");
    }

    #[test]
    fn the_locale_says_whether_there_is_unicode() {
        let locale = |set: &[(&str, &str)]| {
            has_unicode(&|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(locale(&[]) && locale(&[("LANG", "zh_CN.UTF-8")]) && locale(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
        assert!(!locale(&[("LANG", "C")]) && !locale(&[("LC_ALL", "POSIX"), ("LANG", "en_US.UTF-8")]));
    }

    #[test]
    fn no_escape_codes_without_colour() {
        assert_eq!(Palette { colored: false }.bad("x"), "x");
        assert_eq!(printable::text(&Palette { colored: true }.bad("x")), "\u{1b}[1;31mx\u{1b}[0m");
    }
}

//! The output of a program: split into lines as it arrives, bounded, with its end always kept.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pipeline_core::StageHost;

/// The bytes that are kept of an overlong line's start, and those of its end.
const LINE_HEAD: usize = 48 << 10;
const LINE_END: usize = 16 << 10;

/// The lines and bytes that are passed on as they arrive; after that, only samples and the end are.
const MAX_LINES: usize = 20_000;
const MAX_BYTES: usize = 8 << 20;

/// The interval of samples from a program that has printed more than that.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The number of last lines that an error quotes, and their total bytes.
const N_QUOTED_LINES: usize = 20;
const MAX_QUOTED_BYTES: usize = 16 << 10;

/// The output of a program, on its way to `host`.
pub(super) struct Output<'a> {
    host: &'a dyn StageHost,
    line: Line,
    /// The cursor is at the start of the line: the next text replaces it.
    is_returned: bool,
    /// The line was replaced at least once, like a progress bar.
    is_redrawn: bool,
    n_lines: usize,
    n_bytes: usize,
    /// Lines since the last one that was passed on.
    n_withheld: usize,
    sampled: Instant,
    last: LastLines,
}

impl<'a> Output<'a> {
    pub(super) fn new(host: &'a dyn StageHost) -> Self {
        Self {
            host,
            line: Line::default(),
            is_returned: false,
            is_redrawn: false,
            n_lines: 0,
            n_bytes: 0,
            n_withheld: 0,
            sampled: Instant::now(),
            last: LastLines::default(),
        }
    }

    /// Takes the next bytes, which may end anywhere.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end]);
            if bytes[end] == b'\n' {
                self.end_line();
            } else {
                (self.is_returned, self.is_redrawn) = (true, true);
            }
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
        if self.is_redrawn && !self.line.is_empty() {
            self.host.redraw(&visible(&self.line.text()));
        }
    }

    /// Ends the output; returns its last lines.
    pub(super) fn finish(mut self) -> LastLines {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.pass_on_last(N_QUOTED_LINES);
        self.last
    }

    fn extend(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_returned) {
            self.line.clear();
        }
        self.line.push(bytes);
    }

    fn end_line(&mut self) {
        (self.is_returned, self.is_redrawn) = (false, false);
        let text = self.line.text();
        self.line.clear();
        if self.n_lines < MAX_LINES && self.n_bytes < MAX_BYTES {
            self.n_lines += 1;
            self.n_bytes += text.len();
            self.host.output(&text);
            self.last.push(text);
            return;
        }
        self.n_withheld += 1;
        self.last.push(text);
        if self.sampled.elapsed() >= SAMPLE_EVERY {
            self.pass_on_last(1);
            self.sampled = Instant::now();
        }
    }

    /// Passes on the last lines that were withheld, and the number of those before them.
    fn pass_on_last(&mut self, n_most: usize) {
        let n_passed_on = self.n_withheld.min(n_most).min(self.last.lines.len());
        let n_left_out = std::mem::take(&mut self.n_withheld) - n_passed_on;
        if n_left_out > 0 {
            self.host.output(&format!("[{n_left_out} lines left out]"));
        }
        self.last.lines.iter().skip(self.last.lines.len() - n_passed_on).for_each(|line| self.host.output(line));
    }
}

/// An unfinished line. Of an overlong one, only the start and the end.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    n_left_out: usize,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.n_left_out = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let n_excess = self.bytes.len().saturating_sub(LINE_HEAD + LINE_END);
        if n_excess > 0 {
            self.bytes.drain(LINE_HEAD..LINE_HEAD + n_excess);
            self.n_left_out += n_excess;
        }
    }

    fn text(&self) -> String {
        if self.n_left_out == 0 {
            return String::from_utf8_lossy(&self.bytes).into_owned();
        }
        let (head, end) = self.bytes.split_at(LINE_HEAD);
        let (head, end) = (String::from_utf8_lossy(head), String::from_utf8_lossy(end));
        // Half a character may remain where the line was cut.
        let (head, end) = (head.trim_end_matches('\u{fffd}'), end.trim_start_matches('\u{fffd}'));
        format!("{head}[… {} bytes left out …]{end}", self.n_left_out)
    }
}

/// The last lines that a program printed.
#[derive(Debug, Default)]
pub(super) struct LastLines {
    lines: VecDeque<String>,
    n_bytes: usize,
}

impl LastLines {
    fn push(&mut self, line: String) {
        let line = if line.len() > MAX_QUOTED_BYTES { end_of(&line, MAX_QUOTED_BYTES) } else { line };
        self.n_bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > N_QUOTED_LINES || self.n_bytes > MAX_QUOTED_BYTES {
            self.n_bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    /// The lines, as the end of a message.
    pub(super) fn quote(&self) -> String {
        if self.lines.is_empty() {
            return "; it printed nothing".to_owned();
        }
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        format!("; it printed\n{}", lines.join("\n"))
    }

    /// The last line that is not blank.
    pub(super) fn last(&self) -> Option<&str> {
        self.lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty())
    }
}

/// The text without control characters and escape sequences, with which progress bars move the cursor.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            // A sequence is a `[` and everything up to a letter, or one character.
            '\u{1b}' if rest.next() == Some('[') => _ = rest.find(|c| matches!(c, '@'..='~')),
            _ if c.is_control() => {}
            _ => visible.push(c),
        }
    }
    visible
}

/// The last bytes of a text, `n_bytes` at most.
fn end_of(text: &str, n_bytes: usize) -> String {
    let begin = text.len() - n_bytes + '…'.len_utf8();
    let begin = (begin..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    format!("…{}", &text[begin..])
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use pipeline_core::{SourceFile, StageError};

    use super::*;

    #[derive(Default)]
    struct Host {
        lines: Mutex<Vec<String>>,
        redrawn: Mutex<Vec<String>>,
    }

    impl StageHost for Host {
        fn progress(&self, _: u64, _: Option<u64>) {}
        fn warn(&self, _: String) {}
        fn output(&self, line: &str) {
            self.lines.lock().unwrap().push(line.to_owned());
        }
        fn redraw(&self, line: &str) {
            self.redrawn.lock().unwrap().push(line.to_owned());
        }
        fn source_files(&self, _: &Path) -> Result<Vec<SourceFile>, StageError> {
            Ok(Vec::new())
        }

        fn is_cancelled(&self) -> bool {
            false
        }
    }

    /// The lines, the redrawn lines and the last lines of chunks.
    fn printed(chunks: &[&[u8]]) -> (Vec<String>, Vec<String>, LastLines) {
        let host = Host::default();
        let mut output = Output::new(&host);
        chunks.iter().for_each(|chunk| output.push(chunk));
        let last = output.finish();
        (host.lines.into_inner().unwrap(), host.redrawn.into_inner().unwrap(), last)
    }

    #[test]
    fn lines_end_at_line_feeds_wherever_the_pipe_cuts_them() {
        for (chunks, expect) in [
            (vec!["a\nb\n"], vec!["a", "b"]),
            (vec!["a", "b\n", "", "c"], vec!["ab", "c"]),
            (vec!["dos\r\n", "cut\r", "\nmac"], vec!["dos", "cut", "mac"]),
            (vec!["\n\n"], vec!["", ""]),
            (vec![], vec![]),
            (vec!["\r"], vec![]),
        ] {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            assert_eq!(printed(&chunks).0, expect, "{chunks:?}");
        }
        assert_eq!(printed(&["图".as_bytes().split_at(1).0, "图".as_bytes().split_at(1).1, b"\xff"]).0, ["图\u{fffd}"]);
    }

    #[test]
    fn a_line_that_is_redrawn_is_shown_as_it_comes_and_kept_as_it_was_last() {
        let (lines, redrawn, _) = printed(&[b"\r 1%", b"\r 50%\r 60%", b"\r100%\n", b"next\n"]);
        assert_eq!(lines, ["100%", "next"]);
        assert_eq!(redrawn, [" 1%", " 60%"]);
        assert_eq!(printed(&[b"\r\x1b[K\x1b[1;32m5%\x1b[0m\x07|"]).1, ["5%|"]);
        assert_eq!(printed(&[b"1%\r", b"2%\r"]).0, ["2%"]);
        assert_eq!(printed(&[b"1%\r", b"2%\r"]).1, ["1%", "2%"]);
    }

    #[test]
    fn of_a_line_without_end_the_begin_and_the_end_are_kept() {
        let mut chunks = vec![&b"begin"[..]];
        let middle = vec![b'x'; 64 << 10];
        chunks.extend(std::iter::repeat_n(middle.as_slice(), 100));
        chunks.push(b"end");
        let (lines, _, last) = printed(&chunks);
        let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
        assert!(line.starts_with("beginx") && line.ends_with("xend"), "{} bytes", line.len());
        assert!(line.contains("[… 6488072 bytes left out …]") && line.len() < 66 << 10, "{} bytes", line.len());
        assert!(last.quote().ends_with("xend") && last.quote().len() < 17 << 10);
    }

    #[test]
    fn of_many_lines_the_first_and_the_last_are_passed_on() {
        let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
        let (lines, _, last) = printed(&[text.as_bytes(), b"the reason"]);
        assert_eq!(lines.len(), MAX_LINES + 1 + N_QUOTED_LINES);
        assert_eq!((lines[0].as_str(), lines[MAX_LINES - 1].as_str()), ("line 0", "line 19999"));
        assert_eq!(
            (lines[MAX_LINES].as_str(), lines[MAX_LINES + 1].as_str()),
            ("[79981 lines left out]", "line 99981")
        );
        assert_eq!((lines.last().unwrap().as_str(), last.last()), ("the reason", Some("the reason")));
    }
}

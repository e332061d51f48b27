//! Finds the bracket or the quote that is still open at a place of a text, where the parser names only that place.

use crate::SpecError;

/// A bracket or a quote that is not closed where it should be.
struct Begin {
    sign: char,
    /// Its line, counted from 1.
    line: usize,
}

/// The error for a bracket that is open, or a text in quotes that ends, in line `line`, if it begins in an earlier one.
pub(crate) fn unclosed(text: &str, line: usize) -> Option<SpecError> {
    let Begin { sign, line } = open_before(text, line).filter(|begin| begin.line < line)?;
    let (close, what) = match sign {
        '[' => (']', "list"),
        '{' => ('}', "map"),
        quote => (quote, "text in quotes"),
    };
    let begin = text.lines().nth(line - 1)?.trim();
    let error = SpecError::new(format!("the {what} that begins in line {line} is not closed before this"));
    // In a line of its own a bracket may hold many lines: then only its end is known to be missing.
    let is_whole = !begin.ends_with([',', '[', '{', ':']);
    Some(match is_whole {
        true => error.with_help(format!("close it in line {line}: {begin}{close}")),
        false => error.with_help(format!("close it with `{close}`")),
    })
}

/// The innermost bracket that is open at the end of line `last`, or the quote that is closed there.
fn open_before(text: &str, last: usize) -> Option<Begin> {
    let mut open: Vec<Begin> = Vec::new();
    let mut quote: Option<Begin> = None;
    for (line_idx, text) in text.lines().enumerate().take(last) {
        let mut before = '\n';
        let mut signs = text.chars().peekable();
        while let Some(sign) = signs.next() {
            if let Some(begin) = &quote {
                match sign {
                    '\\' if begin.sign == '"' => _ = signs.next(),
                    _ if sign == begin.sign => {
                        if begin.line < line_idx + 1 && line_idx + 1 == last {
                            return quote;
                        }
                        quote = None;
                    }
                    _ => {}
                }
                before = sign;
                continue;
            }
            let begins_value = before.is_whitespace() || (!open.is_empty() && matches!(before, '[' | '{' | ','));
            match sign {
                '#' if before.is_whitespace() => break,
                '"' | '\'' if begins_value => quote = Some(Begin { sign, line: line_idx + 1 }),
                '[' | '{' if begins_value => open.push(Begin { sign, line: line_idx + 1 }),
                // `${name}` is part of a text.
                '{' if before == '$' => _ = signs.by_ref().find(|sign| *sign == '}'),
                ']' | '}' => _ = open.pop(),
                _ => {}
            }
            before = sign;
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_line_in_which_a_bracket_or_a_quote_begins_is_named() {
        for (params, message, help) in [
            ("{ run: [a, b }\n    retain: true\n", "`[` is closed by `}`", None),
            (
                "\n      run: [a, ${b}\n      outputs: [c]\n",
                "the list that begins in line 5 is not closed before this",
                Some("close it in line 5: run: [a, ${b}]"),
            ),
            (
                "{ a: 1\n    retain: true\n",
                "the map that begins in line 4 is not closed before this",
                Some("close it in line 4: params: { a: 1}"),
            ),
            (
                "{ a: \"x }\n    publish: { b: \"c\" }\n",
                "the text in quotes that begins in line 4 is not closed before this",
                Some("close it in line 4: params: { a: \"x }\""),
            ),
        ] {
            let text = format!("stages:\n  a:\n    kind: x\n    params: {params}");
            let error = crate::parse(&text, Path::new("a.yaml")).unwrap_err();
            assert_eq!((error.message.as_str(), error.help.as_deref()), (message, help), "{text}");
        }
    }
}

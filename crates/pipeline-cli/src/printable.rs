//! Keeps control characters of foreign text (data, specs, programs) from the terminal.
//!
//! The program's own escape codes carry a random number for each process, so that foreign text cannot colour or move
//! anything.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// The number in the program's own escape codes; four digits, as the measuring of widths expects of a code.
static MARK: LazyLock<u64> = LazyLock::new(|| 1000 + RandomState::new().hash_one("mark") % 9000);

/// The escape code that colours the text after it, until it reaches the terminal.
pub fn code(code: &str) -> String {
    format!("\u{1b}[{};{code}m", *MARK)
}

/// The same for text that a library has coloured, which is trusted.
pub fn adopt(painted: &str) -> String {
    painted.replace("\u{1b}[", &format!("\u{1b}[{};", *MARK))
}

/// Text for people: line breaks and tabs stay, other control characters become visible signs.
pub fn text(text: &str) -> String {
    if !text.contains(is_control) {
        return text.to_owned();
    }
    let own = format!("\u{1b}[{};", *MARK);
    let mut parts = text.split(own.as_str());
    let mut clean = parts.next().map(signs).unwrap_or_default();
    for part in parts {
        clean.push_str("\u{1b}[");
        clean.push_str(&signs(part));
    }
    clean
}

/// Foreign text as a part of a line: line breaks become visible signs, too.
pub fn signs_only(text: &str) -> String {
    signs(text).replace('\n', "\u{240a}")
}

/// JSON text: control characters, which occur in strings only, are escaped.
pub fn json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if is_control(character) {
            clean.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            clean.push(character);
        }
    }
    clean
}

/// C0 except line breaks and tabs, DEL, C1, and characters that change the writing direction.
fn is_control(character: char) -> bool {
    let is_laid_out = matches!(character, '\n' | '\t');
    let is_bidi = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (character.is_control() && !is_laid_out) || is_bidi
}

/// Each control character as one sign of one column, so that carets below an excerpt stay in place.
fn signs(text: &str) -> String {
    let sign = |character: char| match u32::from(character) {
        _ if !is_control(character) => character,
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_codes_reach_the_terminal() {
        let own = format!("{}bad{}", code("1;31"), code("0"));
        assert_eq!(text(&own), "\u{1b}[1;31mbad\u{1b}[0m");
        assert_eq!(text("a\u{1b}[2J\u{1b}[1;31m\u{7}b\r\n\tc"), "a␛[2J␛[1;31m␇b␍\n\tc");
        assert_eq!(text("\u{9b}2J\u{7f}\u{202e}图"), "\u{fffd}2J␡\u{fffd}图");
        assert_eq!(console::measure_text_width(&own), 3);
        assert_eq!(text(&adopt("\u{1b}[1mx\u{1b}[0m")), "\u{1b}[1mx\u{1b}[0m");
        assert_eq!(signs_only("a\nb"), "a␊b");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a": "\u{7f}\u{9b}\u{202e}\u{1b}\n图" });
        let clean = json(&value.to_string());
        assert!(!clean.contains(is_control), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}

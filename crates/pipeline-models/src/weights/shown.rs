//! Formats names from files for messages.

/// The longest name that is shown in full.
const MAX_LETTERS: usize = 100;

/// The number of names that a message lists; the rest is counted.
const N_LISTED: usize = 8;

/// A name in backticks, shortened, with control characters escaped: it may contain anything.
pub(super) fn shown(name: &str) -> String {
    let mut letters = name.chars();
    let mut text = String::from("`");
    for letter in letters.by_ref().take(MAX_LETTERS) {
        match letter {
            // Marks that change the writing direction would hide the text after them.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.extend(letter.escape_unicode());
            }
            letter if letter.is_control() => text.extend(letter.escape_default()),
            letter => text.push(letter),
        }
    }
    if letters.next().is_some() {
        text.push('…');
    }
    text.push('`');
    text
}

/// The first few names, and the number of the others.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.peekable();
    let first: Vec<_> = names.by_ref().take(N_LISTED).map(shown).collect();
    match names.count() {
        0 => first.join(", "),
        n_more => format!("{} and {n_more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_cannot_speak_to_the_terminal() {
        assert_eq!(shown("layer1.0.conv1.weight"), "`layer1.0.conv1.weight`");
        assert_eq!(shown("a\u{1b}[2J\n\u{202e}"), "`a\\u{1b}[2J\\n\\u{202e}`");
        assert_eq!(shown(&"重".repeat(101)), format!("`{}…`", "重".repeat(100)));
        let names: Vec<String> = (0..10).map(|idx| format!("t{idx}")).collect();
        let text = listed(names.iter().map(String::as_str));
        assert!(text.ends_with("`t7` and 2 more"), "{text}");
    }
}

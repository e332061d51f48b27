//! Ids that look the same and are different texts: the letters of names from macOS are often in another Unicode form.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

/// An id in the form in which every letter is one character (NFC); `None` where it has no other form.
fn composed(id: &str) -> Option<String> {
    (!id.is_ascii()).then(|| id.nfc().collect())
}

/// The same id in both usual forms, composed and decomposed.
pub(crate) fn both_forms(id: &str) -> Vec<String> {
    if id.is_ascii() { Vec::new() } else { vec![id.nfc().collect(), id.nfd().collect()] }
}

/// The end of a message about ids that do not meet: the first of `missing` that would be one of `there` in the same
/// Unicode form. Empty where there is none.
pub(crate) fn note<'a>(missing: impl Iterator<Item = &'a str>, there: impl Iterator<Item = &'a str>) -> String {
    let mut missing = missing.filter(|id| !id.is_ascii()).peekable();
    if missing.peek().is_none() {
        return String::new();
    }
    let there: HashMap<String, &str> = there.filter_map(|id| Some((composed(id)?, id))).collect();
    let is_alike = |id: &&str| composed(id).and_then(|id| there.get(&id)).is_some_and(|other| other != id);
    missing.find(is_alike).map(words).unwrap_or_default()
}

/// The words about an id that is there in another form.
pub(crate) fn words(id: &str) -> String {
    format!(
        "; `{id}` is there in another Unicode form, which looks the same: the accents of file names from macOS are \
         characters of their own; bring both sides to one form, such as NFC"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_another_form_is_found_and_one_in_the_same_form_is_not() {
        let (nfc, nfd) = ("caf\u{e9}.png", "cafe\u{301}.png");
        let note = |missing: &[&str], there: &[&str]| note(missing.iter().copied(), there.iter().copied());
        assert!(
            note(&["a", nfc], &[nfd, "红.png"]).starts_with(&format!("; `{nfc}` is there in another Unicode form"))
        );
        assert!(note(&[nfd], &["x", nfc]).contains(nfd));
        for (missing, there) in
            [(vec![nfc], vec![nfc]), (vec!["a"], vec![nfd]), (vec!["é"], vec![nfd]), (vec![], vec![])]
        {
            assert_eq!(note(&missing, &there), "");
        }
    }
}

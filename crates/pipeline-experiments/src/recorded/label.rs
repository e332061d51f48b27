//! Names and tags of runs: short words that the shell and the names of runs leave alone.

/// The most characters of a name or tag.
const MAX_CHARS: usize = 64;

/// The reason why a text is not a name or tag of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// It has another shape.
    #[error("write a letter or digit, then letters, digits, `-`, `_`, `.`, `+` or `=`, at most {MAX_CHARS} characters")]
    Shape,
    /// It means runs already.
    #[error("`last` and numbers already mean runs")]
    Taken,
}

/// Checks a name or tag. It may begin with a letter of any script.
///
/// # Errors
/// When it has another shape, or already means a run.
pub fn check_label(text: &str) -> Result<String, InvalidLabel> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '=');
    let begins = text.starts_with(char::is_alphanumeric);
    if !begins || !text.chars().all(is_plain) || text.chars().count() > MAX_CHARS {
        return Err(InvalidLabel::Shape);
    }
    if text == "last" || text.chars().all(|c| c.is_ascii_digit()) {
        return Err(InvalidLabel::Taken);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_word_that_means_no_other_run() {
        for text in ["base", "lr=0.1", "图-1", "2nd.try"] {
            assert_eq!(check_label(text).as_deref(), Ok(text));
        }
        for text in ["", "-x", "a b", "a:1", "a/b", "last~1", &"x".repeat(65)] {
            assert_eq!(check_label(text), Err(InvalidLabel::Shape), "{text}");
        }
        for text in ["last", "12"] {
            assert_eq!(check_label(text), Err(InvalidLabel::Taken), "{text}");
        }
    }
}

//! The variables that a program gets.

/// `INPUT_` and the slot in upper case, with `_` for what a variable's name cannot have.
pub(super) fn input_variable(slot: &str) -> String {
    let name: String =
        slot.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("INPUT_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_inputs_are_upper_case() {
        assert_eq!(input_variable("train-text.2"), "INPUT_TRAIN_TEXT_2");
    }
}

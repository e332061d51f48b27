//! The variables of a program, and the part of them that enters the manifest.
//!
//! A value in the spec is public and stands in the manifest itself. One taken from the caller's environment may be a
//! secret: only its digest is hashed and stored. One that is only passed on is neither hashed nor stored.

use std::collections::BTreeMap;
use std::ffi::OsString;

use pipeline_core::{Device, StageContext, StageError};
use pipeline_spec::SpecError;

use super::params::{CommandParams, place};
use crate::Environment;
use crate::environment::digest;
use crate::kind::{BuildContext, span_of};

/// Variables that are always passed on: nothing runs without the first, and little without the second.
const ALWAYS: [&str; 2] = ["PATH", "HOME"];

/// The variable with the folder of the spec.
const SPEC_DIR: &str = "SPEC_DIR";

/// The variable with the cards that CUDA shows to a program.
const VISIBLE_CARDS: &str = "CUDA_VISIBLE_DEVICES";
const ORDER_OF_CARDS: &str = "CUDA_DEVICE_ORDER";

/// The variables of a program beside those of its inputs.
pub(super) struct Variables {
    /// Values from the spec.
    written: BTreeMap<String, String>,
    /// Values from the caller's environment that are hashed.
    taken: BTreeMap<String, OsString>,
    /// Values from the caller's environment that are not hashed.
    passed: BTreeMap<OsString, OsString>,
    spec_folder: OsString,
    /// The cards that CUDA shows to this process, if not all.
    visible_cards: Option<String>,
    /// The order in which CUDA counts the cards, if the caller chose one.
    order_of_cards: Option<OsString>,
}

impl Variables {
    /// Reads the declared variables from the caller's environment.
    ///
    /// # Errors
    /// When a name is not valid or reserved, and when two inputs have the same variable.
    pub(super) fn new(
        params: &CommandParams,
        context: BuildContext<'_>,
        spec_folder: OsString,
    ) -> Result<Self, SpecError> {
        let node = &context.stage.params;
        check_inputs(context)?;
        check_declared(params, context)?;
        let environment = &context.settings.environment;
        let (mut written, mut taken) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in &params.env {
            match value {
                Some(value) => _ = written.insert(name.clone(), value.clone()),
                None => taken.extend(environment.get(name).map(|value| (name.clone(), value.to_owned()))),
            }
        }
        let mut passed = BTreeMap::new();
        for name in ALWAYS.iter().copied().chain(params.pass_env.iter().map(String::as_str)) {
            pass(name, environment, &mut passed);
        }
        let is_text = |text: &String| !text.contains('\0');
        if !params.run.iter().chain(written.values()).all(is_text) {
            let message = "neither `run` nor a variable can hold a NUL character";
            return Err(SpecError::at(span_of(node, "run"), message));
        }
        let visible_cards = environment.peek(VISIBLE_CARDS).map(|cards| cards.to_string_lossy().into_owned());
        let order_of_cards = environment.peek(ORDER_OF_CARDS).map(ToOwned::to_owned);
        Ok(Self { written, taken, passed, spec_folder, visible_cards, order_of_cards })
    }

    /// The lines of the manifest: canonical JSON by name.
    pub(super) fn manifest_params(&self) -> impl Iterator<Item = (String, String)> {
        let written = self.written.iter().map(|(name, value)| (name, serde_json::Value::from(value.as_str())));
        // An object, so that no text from a spec can look the same.
        let taken =
            self.taken.iter().map(|(name, value)| (name, serde_json::json!({ "blake3": digest(name, value).hex() })));
        written.chain(taken).map(|(name, value)| (format!("env.{name}"), value.to_string()))
    }

    /// The value of a variable that the program gets.
    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        let written = self.written.get(name).map(OsString::from);
        written.or_else(|| self.taken.get(name).cloned()).or_else(|| self.passed.get(&OsString::from(name)).cloned())
    }

    /// All variables of a program that runs in `context`.
    ///
    /// # Errors
    /// When the files of an input cannot be verified.
    pub(super) fn all(&self, context: &StageContext<'_>) -> Result<Vec<(OsString, OsString)>, StageError> {
        let mut all = self.passed.clone();
        all.extend(self.taken.iter().map(|(name, value)| (name.into(), value.clone())));
        all.extend(self.written.iter().map(|(name, value)| (name.into(), value.into())));
        if let (Device::Cuda, Some(number)) = (context.device, context.card)
            && let Some(card) = visible_card(self.visible_cards.as_deref(), number)
        {
            all.entry(VISIBLE_CARDS.into()).or_insert(card.into());
            // Numbers mean the same cards to both processes.
            self.order_of_cards.iter().for_each(|order| _ = all.entry(ORDER_OF_CARDS.into()).or_insert(order.clone()));
        }
        all.insert(SPEC_DIR.into(), self.spec_folder.clone());
        for (slot, input) in context.inputs {
            all.insert(input_variable(slot).into(), input.folder()?.into());
        }
        Ok(all.into_iter().collect())
    }
}

/// The card with this number, as CUDA would name it to another process.
fn visible_card(visible: Option<&str>, number: u16) -> Option<String> {
    match visible.filter(|cards| !cards.trim().is_empty()) {
        Some(cards) => cards.split(',').nth(number.into()).map(|card| card.trim().to_owned()),
        None => Some(number.to_string()),
    }
}

/// Adds the variable with this name, or with a trailing `*` all variables with this prefix.
fn pass(name: &str, environment: &Environment, passed: &mut BTreeMap<OsString, OsString>) {
    match name.strip_suffix('*') {
        Some(begin) => passed.extend(environment.pass_on_all(begin)),
        None => passed.extend(environment.pass_on(name).map(|value| (name.into(), value.to_owned()))),
    }
}

/// `INPUT_` and the slot in upper case, with `_` for invalid characters.
fn input_variable(slot: &str) -> String {
    let name: String =
        slot.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("INPUT_{name}")
}

/// Refuses inputs whose variables collide.
fn check_inputs(context: BuildContext<'_>) -> Result<(), SpecError> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (slot, _) in &context.stage.inputs {
        let variable = input_variable(&slot.value);
        if let Some(other) = seen.insert(variable.clone(), &slot.value) {
            let message = format!("the inputs `{other}` and `{}` would both be `${variable}`", slot.value);
            return Err(SpecError::at(&slot.span, message)
                .with_help("rename one: a variable's name has only A to Z, 0 to 9 and `_`"));
        }
    }
    Ok(())
}

/// Refuses declared variables that the program cannot get.
fn check_declared(params: &CommandParams, context: BuildContext<'_>) -> Result<(), SpecError> {
    let node = &context.stage.params;
    let inputs: Vec<String> = context.stage.inputs.iter().map(|(slot, _)| input_variable(&slot.value)).collect();
    let declared = params.env.keys().map(|name| ("env", name, name.as_str()));
    let passed = params.pass_env.iter().map(|name| ("pass_env", name, name.strip_suffix('*').unwrap_or(name)));
    for (param, written, name) in declared.chain(passed) {
        let error = |message| Err(SpecError::at(&place(node, param, written), message));
        if name.is_empty() || name.contains(['=', '\0', '*']) {
            return error(format!("`{written}` cannot name a variable"));
        }
        if name == SPEC_DIR || inputs.iter().any(|input| input == name) {
            return error(format!("`{name}` is set by this program: it cannot be declared"));
        }
    }
    let is_passed = |name: &&String| params.env.contains_key(*name);
    match params.pass_env.iter().find(is_passed) {
        Some(name) => Err(SpecError::at(&place(node, "pass_env", name), format!("`{name}` stands in `env`, too"))
            .with_help("`env` is hashed, `pass_env` is not: name it in one of them")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_card_as_the_driver_counts() {
        let card = |visible: Option<&str>, number| visible_card(visible, number);
        assert_eq!(card(None, 2).as_deref(), Some("2"));
        assert_eq!(card(Some(""), 1).as_deref(), Some("1"));
        assert_eq!(card(Some("4, 6"), 1).as_deref(), Some("6"));
        assert_eq!(card(Some("GPU-8932f937"), 0).as_deref(), Some("GPU-8932f937"));
        assert_eq!(card(Some("4"), 1), None);
    }

    #[test]
    fn variables_of_inputs_are_upper_case() {
        assert_eq!(input_variable("train-text.2"), "INPUT_TRAIN_TEXT_2");
    }
}

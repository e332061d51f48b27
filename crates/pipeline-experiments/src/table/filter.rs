//! Conditions on the runs of a table, such as `mean_recall>=0.5`, `tag=good` or `projection.params.lr=0.01`.

use std::cmp::Ordering;
use std::str::FromStr;

use super::Experiment;

/// A condition on a run: KEY OP VALUE.
///
/// KEY is `spec` (its name, or the end of its path), `name`, `tag`, `note`, `result`, a metric, or a param as
/// STAGE.params.NAME. OP is `=`, `!=`, `<`, `<=`, `>` or `>=`. In a text, `*` stands for any characters.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFilter {
    key: String,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The operators as written; those that begin with another come first.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// The keys that are texts.
const TEXTS: [&str; 5] = ["spec", "name", "tag", "note", "result"];

/// The reason why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It has no operator, or nothing before or after it.
    #[error("write KEY=VALUE, or with `!=`, `<`, `<=`, `>` or `>=`, such as `mean_recall>=0.5` or `tag=good`")]
    Shape,
    /// Texts have no order.
    #[error("`{key}` is a text: compare it by `=` or `!=`")]
    TextOrder {
        /// The key.
        key: String,
    },
    /// A number is compared with something else.
    #[error("`{value}` is not a number")]
    NotANumber {
        /// The value.
        value: String,
    },
}

impl FromStr for RunFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let at = text.find(['=', '!', '<', '>']).ok_or(FilterError::Shape)?;
        let (key, rest) = text.split_at(at);
        let (sign, operator) =
            OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or(FilterError::Shape)?;
        let (key, value) = (key.trim().to_owned(), rest[sign.len()..].trim().to_owned());
        if key.is_empty() || value.is_empty() {
            return Err(FilterError::Shape);
        }
        let has_order = !matches!(operator, Operator::Equal | Operator::Unequal);
        if has_order && TEXTS.contains(&key.as_str()) {
            return Err(FilterError::TextOrder { key });
        }
        if has_order && value.parse::<f64>().is_err() {
            return Err(FilterError::NotANumber { value });
        }
        Ok(Self { key, operator, value })
    }
}

impl RunFilter {
    /// The metric or param that it is about; `None` when it is about a text.
    pub fn value_key(&self) -> Option<&str> {
        (!TEXTS.contains(&self.key.as_str())).then_some(&self.key)
    }

    /// True if the run fulfils the condition. A run without the metric or the param fulfils only `!=`.
    pub fn accepts(&self, experiment: &Experiment) -> bool {
        match self.operator {
            Operator::Equal => self.is_equal(experiment),
            Operator::Unequal => !self.is_equal(experiment),
            operator => self.order(experiment).is_some_and(|order| operator.holds(order)),
        }
    }

    fn is_equal(&self, experiment: &Experiment) -> bool {
        let labels = &experiment.info.labels;
        let is = |text: Option<&str>| text.is_some_and(|text| fits(&self.value, text));
        match self.key.as_str() {
            "spec" => {
                let file = experiment.info.origin.file.as_deref();
                is(Some(&experiment.info.spec)) || file.is_some_and(|file| file.ends_with(&self.value))
            }
            "name" => is(labels.name.as_deref()),
            "tag" => labels.tags.iter().any(|tag| is(Some(tag))),
            "note" => is(labels.note.as_deref()),
            "result" => is(Some(experiment.result())),
            key => match (self.order(experiment), experiment.param(key)) {
                (Some(order), _) => order == Ordering::Equal,
                (None, Some(value)) => is(Some(&crate::sweep::shown(value))),
                (None, None) => false,
            },
        }
    }

    /// The order of the run's number and that of the condition; `None` where one of them is no number.
    fn order(&self, experiment: &Experiment) -> Option<Ordering> {
        let value = match experiment.param(&self.key) {
            Some(value) => value.as_f64()?,
            None => experiment.metric(&self.key)?,
        };
        value.partial_cmp(&self.value.parse().ok()?)
    }
}

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// True if the text is the pattern, in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().any(|at| fits(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_a_key_an_operator_and_a_value() {
        for (text, key, operator, value) in [
            ("mean_recall>=0.5", "mean_recall", Operator::AtLeast, "0.5"),
            ("tag = good", "tag", Operator::Equal, "good"),
            ("a.params.x!=a=b", "a.params.x", Operator::Unequal, "a=b"),
            ("loss<1e-3", "loss", Operator::Less, "1e-3"),
        ] {
            let (key, value) = (key.to_owned(), value.to_owned());
            assert_eq!(text.parse(), Ok(RunFilter { key, operator, value }), "{text}");
        }
        for text in ["good", "=good", "tag=", "tag!good", "name<b", "loss<small"] {
            assert!(text.parse::<RunFilter>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expect) in [
            ("try-*", "try-1", true),
            ("*图*", "a图b", true),
            ("a*b", "ac", false),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expect, "{pattern} {text}");
        }
    }
}

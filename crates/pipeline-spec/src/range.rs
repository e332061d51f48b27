//! A range of a sweep axis, such as `{ log_uniform: [1e-5, 1e-2] }`, and the value at a fraction of it.
//!
//! The value at a fraction is the same on every machine: it takes sums, products, quotients and square roots, which
//! IEEE 754 rounds exactly, and no function of a mathematical library.

use crate::keys::{RANGE_KEYS, check_keys};
use crate::{Node, SpecError, Value};

/// The significant digits of a drawn number: of itself on a logarithmic range, of the range's width on another.
const DIGITS: i32 = 4;

/// The largest whole number that every float below it shares with the integers.
const MAX_WHOLE: i64 = 1 << 53;

/// The range of an axis, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueRange {
    scale: Scale,
    node: Node,
}

/// The distribution of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// Numbers from `low` to `high`, rounded to the decimal place `place`, which is negative behind the point.
    Uniform { low: f64, high: f64, place: i32 },
    /// Numbers whose logarithms are uniform; `low` is above 0.
    Log { low: f64, high: f64 },
    /// The `n_values` numbers `low`, `low + step`, ….
    Steps { low: f64, step: f64, n_values: u64 },
    /// The `n_values` whole numbers `low`, `low + step`, ….
    Whole { low: i64, step: i64, n_values: u64 },
    /// The whole numbers from `low`, at least 1, to `high`: each takes the part of the logarithmic range up to the
    /// next.
    WholeLog { low: i64, high: i64 },
}

/// Advice on values and ranges as other tools write them.
fn of_other_tools(node: &Node) -> Option<String> {
    let text = |names: [&str; 4]| names.iter().find_map(|name| node.get(name)).map(|node| node.span.text());
    if let Some(values) = ["values", "choices", "choice", "value", "options"].iter().find_map(|name| node.get(name)) {
        let Value::List(items) = &values.value else {
            return Some("write a list of values: `[0.03, 0.07]`".to_owned());
        };
        let items: Vec<&str> = items.iter().map(|item| item.span.text()).collect();
        return Some(format!("write the list itself: `[{}]`", items.join(", ")));
    }
    let (low, high) = (text(["min", "from", "low", "start"])?, text(["max", "to", "high", "stop"])?);
    Some(format!("write `{{ uniform: [{low}, {high}] }}`; `log_uniform` draws evenly from the logarithms"))
}

impl ValueRange {
    /// Reads the map of a range; `what` names its axis.
    ///
    /// # Errors
    /// When it is no range, its ends cannot be its ends, or its step does not fit.
    pub(crate) fn read(what: &str, node: Node) -> Result<Self, SpecError> {
        let Value::Map(entries) = &node.value else {
            return Err(SpecError::at(&node.span, format!("{what} must be a range, found {}", node.describe())));
        };
        check_keys(entries, RANGE_KEYS).map_err(|error| error.with_help_of(of_other_tools(&node)))?;
        let mut ranges = entries.iter().filter(|(key, _)| key.value != "step");
        let Some((key, ends)) = ranges.next() else {
            return Err(SpecError::at(&node.span, format!("{what} has no range"))
                .with_help("write a range, `{ log_uniform: [1e-5, 1e-2] }`, or a list of values"));
        };
        if let Some((second, _)) = ranges.next() {
            let message = format!("{what} has both `{}` and `{}`", key.value, second.value);
            return Err(SpecError::at(&second.span, message).with_help("an axis has one range"));
        }
        let step = node.entry("step");
        let (is_log, is_whole) = (key.value.ends_with("log_uniform"), key.value.starts_with("int_"));
        if let (Some((step, _)), true) = (step, is_log) {
            return Err(SpecError::at(&step.span, format!("`{}` takes no `step`", key.value))
                .with_help("`uniform` and `int_uniform` do; a list holds any values: `[16, 32, 64]`"));
        }
        let (low, high) = two_ends(&key.value, ends, is_log)?;
        let step = step.map(|(_, step)| step);
        let scale = match (is_whole, is_log) {
            (false, true) => log(&key.value, ends, low, high)?,
            (false, false) => uniform(&key.value, ends, low, high, step)?,
            (true, _) => whole(&key.value, ends, is_log, step)?,
        };
        Ok(Self { scale, node })
    }

    /// The value at the fraction `fraction / 2³²` of the range.
    pub fn value_at(&self, fraction: u32) -> Node {
        let value = match self.scale {
            Scale::Uniform { low, high, place } => {
                let value = low + (high - low) * (f64::from(fraction) / TWO_32);
                // No zero keeps a sign from rounding.
                Value::Float(to_place(value, place).clamp(low, high) + 0.0)
            }
            Scale::Log { low, high } => {
                Value::Float(significant(power_between(low, high, fraction), DIGITS).clamp(low, high))
            }
            Scale::Steps { low, step, n_values } => Value::Float(on_step(low, step, part_of(n_values, fraction))),
            Scale::Whole { low, step, n_values } => Value::Int(low + step * part_of(n_values, fraction) as i64),
            Scale::WholeLog { low, high } => {
                let value = power_between(low as f64, (high + 1) as f64, fraction);
                Value::Int((value as i64).clamp(low, high))
            }
        };
        self.own(value)
    }

    /// The lowest and the highest value.
    pub fn ends(&self) -> [Node; 2] {
        match self.scale {
            Scale::Uniform { low, high, .. } | Scale::Log { low, high } => [low, high].map(Value::Float),
            Scale::Steps { low, step, n_values } => {
                [on_step(low, step, 0), on_step(low, step, n_values - 1)].map(Value::Float)
            }
            Scale::Whole { low, step, n_values } => [low, low + step * (n_values - 1) as i64].map(Value::Int),
            Scale::WholeLog { low, high } => [low, high].map(Value::Int),
        }
        .map(|value| self.own(value))
    }

    /// The number of its values, at most; `None` where they are too many to be exhausted.
    pub fn n_values(&self) -> Option<u64> {
        match self.scale {
            Scale::Uniform { .. } | Scale::Log { .. } => None,
            Scale::Steps { n_values, .. } | Scale::Whole { n_values, .. } => Some(n_values),
            Scale::WholeLog { low, high } => Some((high - low + 1) as u64),
        }
    }

    /// The range as the spec has it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The value at the place of the range.
    fn own(&self, value: Value) -> Node {
        Node { value, ..self.node.clone() }
    }
}

/// 2³², by which a fraction is divided.
const TWO_32: f64 = 4_294_967_296.0;

/// The ends of the range `name`, the lower first.
fn two_ends(name: &str, ends: &Node, is_log: bool) -> Result<(f64, f64), SpecError> {
    let pair = match &ends.value {
        Value::List(items) => <&[Node; 2]>::try_from(items.as_slice()).ok(),
        _ => None,
    };
    let Some([low, high]) = pair else {
        let found = match &ends.value {
            Value::List(items) => format!("a list of {}", items.len()),
            _ => ends.describe(),
        };
        return Err(SpecError::at(&ends.span, format!("`{name}` must be a list of two numbers, found {found}"))
            .with_help("write its lowest and its highest value in brackets: `[0.03, 0.07]`"));
    };
    let number = |node: &Node| match node.value {
        Value::Int(value) => Ok(value as f64),
        Value::Float(value) if value.is_finite() => Ok(value),
        _ => Err(SpecError::at(&node.span, format!("an end of `{name}` must be a number, found {}", node.describe()))),
    };
    let (lowest, highest) = (number(low)?, number(high)?);
    if lowest == highest {
        return Err(SpecError::at(&ends.span, format!("`{name}` is empty: both ends are {}", low.to_yaml()))
            .with_help(format!("one value is a list: `[{}]`", low.to_yaml())));
    }
    if lowest > highest {
        return Err(SpecError::at(&ends.span, format!("`{name}` has its higher end first")).with_help(format!(
            "write `[{}, {}]`",
            high.to_yaml(),
            low.to_yaml()
        )));
    }
    if is_log && lowest <= 0.0 {
        return Err(SpecError::at(&low.span, format!("`{name}` must begin above 0, found {}", low.describe()))
            .with_help("only numbers above 0 have a logarithm; `uniform` and `int_uniform` may begin at 0"));
    }
    Ok((lowest, highest))
}

fn log(name: &str, ends: &Node, low: f64, high: f64) -> Result<Scale, SpecError> {
    // Narrower ones have fewer than a hundred values of four digits; wider ones overflow.
    let (is_wide, is_finite) = (high / low >= 1.1, (high.sqrt() / low.sqrt()).is_finite());
    match (is_wide, is_finite) {
        (true, true) => Ok(Scale::Log { low, high }),
        (false, _) => {
            Err(SpecError::at(&ends.span, format!("`{name}` is too narrow: its ends differ by less than 10%"))
                .with_help("so narrow a range is as good as `uniform`"))
        }
        (_, false) => Err(SpecError::at(&ends.span, format!("`{name}` is wider than numbers allow"))),
    }
}

fn uniform(name: &str, ends: &Node, low: f64, high: f64, step: Option<&Node>) -> Result<Scale, SpecError> {
    if !(high - low).is_finite() {
        return Err(SpecError::at(&ends.span, format!("`{name}` is wider than numbers allow")));
    }
    let Some(step) = step else {
        return Ok(Scale::Uniform { low, high, place: exponent(high - low) + 1 - DIGITS });
    };
    let size = match step.value {
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        _ => return Err(step_error(step)),
    };
    if !(size > 0.0 && size <= high - low) {
        return Err(step_error(step));
    }
    let n_steps = (high - low) / size;
    if n_steps >= MAX_WHOLE as f64 {
        return Err(SpecError::at(&step.span, "`step` is too small for its range"));
    }
    // The last step may be missed by a rounding error.
    let n_values = (n_steps + 1e-9).floor() as u64 + 1;
    Ok(Scale::Steps { low, step: size, n_values })
}

fn whole(name: &str, ends: &Node, is_log: bool, step: Option<&Node>) -> Result<Scale, SpecError> {
    let Value::List(items) = &ends.value else { unreachable!("BUG: the ends are a list") };
    let end = |node: &Node| match node.value {
        Value::Int(value) if value.unsigned_abs() <= MAX_WHOLE as u64 => Ok(value),
        _ => {
            let message = format!("an end of `{name}` must be a whole number, found {}", node.describe());
            let other = if is_log { "log_uniform" } else { "uniform" };
            Err(SpecError::at(&node.span, message).with_help(format!("`{other}` draws numbers with a fraction")))
        }
    };
    let (low, high) = (end(&items[0])?, end(&items[1])?);
    if is_log {
        return Ok(Scale::WholeLog { low, high });
    }
    let step = match step {
        None => 1,
        Some(node) => match node.value {
            Value::Int(step) if step > 0 && step <= high - low => step,
            _ => return Err(step_error(node)),
        },
    };
    Ok(Scale::Whole { low, step, n_values: ((high - low) / step) as u64 + 1 })
}

fn step_error(step: &Node) -> SpecError {
    let message = format!("`step` must lead from one end towards the other, found {}", step.describe());
    SpecError::at(&step.span, message)
        .with_help("a number above 0 and at most the width of the range; a whole one for `int_uniform`")
}

/// The part of `n_values` equal ones in which the fraction lies, from 0.
fn part_of(n_values: u64, fraction: u32) -> u64 {
    ((u128::from(n_values) * u128::from(fraction)) >> 32) as u64
}

/// `low · (high / low)^(fraction / 2³²)`, from square roots: one for each bit of the fraction.
fn power_between(low: f64, high: f64, fraction: u32) -> f64 {
    // The first is the root of the quotient, which itself could overflow.
    let mut root = high.sqrt() / low.sqrt();
    let mut value = low;
    for bit in (0..32).rev() {
        if fraction >> bit & 1 == 1 {
            value *= root;
        }
        root = root.sqrt();
    }
    value
}

/// The decimal exponent of a number above 0: 0 for 1 to 9.99.
fn exponent(value: f64) -> i32 {
    format!("{value:e}").rsplit('e').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The number rounded to so many significant digits.
fn significant(value: f64, digits: i32) -> f64 {
    format!("{value:.*e}", digits as usize - 1).parse().unwrap_or(value)
}

/// The number rounded to a decimal place: -2 leaves two digits behind the point, 3 thousands.
fn to_place(value: f64, place: i32) -> f64 {
    match usize::try_from(-place) {
        Ok(decimals) => format!("{value:.decimals$}").parse().unwrap_or(value),
        Err(_) => {
            let unit: f64 = format!("1e{place}").parse().unwrap_or(1.0);
            (value / unit).round() * unit
        }
    }
}

/// `low + n · step` without the last bits of rounding: 0.3 and not 0.30000000000000004.
fn on_step(low: f64, step: f64, n: u64) -> f64 {
    significant(low + step * n as f64, 12)
}

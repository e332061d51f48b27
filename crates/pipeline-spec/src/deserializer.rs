//! Typed params: reads any serde struct from a node, with errors that point at the wrong value, key or map.

use std::fmt::Display;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::error::help_with_name;
use crate::path::{PATH_MARKER, absolute};
use crate::{Node, Spanned, SpecError, Value};

/// Reads the params of a stage into the struct of its kind.
///
/// Use `#[serde(deny_unknown_fields)]`, and [`SpecPath`](crate::SpecPath) for paths. An integer is accepted where a
/// float is expected, but not the reverse; nothing else is converted. Enums have bare names only.
///
/// # Errors
/// For an unknown param, with the nearest known one; for a missing one; for a value of the wrong type or out of range.
pub fn params<T: DeserializeOwned>(node: &Node) -> Result<T, SpecError> {
    T::deserialize(NodeDeserializer(node)).map_err(|error| error.or_at(&node.span))
}

struct NodeDeserializer<'a>(&'a Node);

impl NodeDeserializer<'_> {
    fn expected(&self, what: impl Display) -> SpecError {
        let error = SpecError::at(&self.0.span, format!("expected {what}, found {}", self.0.describe()));
        match &self.0.value {
            Value::Null => error.with_help("write a value, or remove the key to have the default"),
            _ => error,
        }
    }

    /// The error for a value that is not a number, with help if it is text that looks like one.
    fn expected_number(&self, what: &str) -> SpecError {
        let error = self.expected(what);
        let text = match &self.0.value {
            Value::Str(text) => text,
            Value::Float(value) if value.fract() == 0.0 => return error.with_help(format!("write {value}")),
            Value::List(items) if items.len() == 1 => {
                return error.with_help(format!("remove the brackets: {}", items[0].span.text()));
            }
            _ => return error,
        };
        let digits = text.replace('_', "");
        if digits.parse::<f64>().is_err() {
            return error;
        }
        let written = self.0.span.text();
        match written {
            _ if written.contains("${") => error.with_help("a var is text: set the number itself instead"),
            _ if written.starts_with(['"', '\'']) => error.with_help(format!("remove the quotes: {digits}")),
            _ => error.with_help(format!("write {digits}")),
        }
    }

    fn whole_number<N: TryFrom<i64>>(&self, least: impl Display, most: impl Display) -> Result<N, SpecError> {
        match &self.0.value {
            Value::Int(value) => {
                // The largest number of 64 bits is no limit that people meet.
                let range = match *value < 0 && least.to_string() == "0" {
                    true => "a whole number of at least 0".to_owned(),
                    false => format!("a whole number from {least} to {most}"),
                };
                N::try_from(*value).map_err(|_| self.expected(range))
            }
            _ => Err(self.expected_number("a whole number")),
        }
    }

    fn number(&self) -> Result<f64, SpecError> {
        match &self.0.value {
            Value::Int(value) => Ok(*value as f64),
            Value::Float(value) if value.is_finite() => Ok(*value),
            Value::Float(_) => Err(self.expected("a finite number")),
            _ => Err(self.expected_number("a number")),
        }
    }

    fn text(&self) -> Result<&str, SpecError> {
        match &self.0.value {
            Value::Str(text) => Ok(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                Err(self.expected("text").with_help(format!("put it in quotes: \"{}\"", self.0.span.text())))
            }
            _ => Err(self.expected("text")),
        }
    }

    fn list(&self) -> Result<&[Node], SpecError> {
        match &self.0.value {
            Value::List(items) => Ok(items),
            Value::Str(text) => Err(self.expected("a list").with_help(format!("for a list of one, write `[{text}]`"))),
            Value::Int(_) | Value::Float(_) => {
                let written = self.0.span.text();
                Err(self.expected("a list").with_help(format!("for a list of one, write `[{written}]`")))
            }
            _ => Err(self.expected("a list")),
        }
    }

    fn located<T>(&self, result: Result<T, SpecError>) -> Result<T, SpecError> {
        result.map_err(|error| error.or_at(&self.0.span))
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
            let value = self.whole_number::<$number>($number::MIN, $number::MAX)?;
            self.located(visitor.$visit(value))
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = SpecError;

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        match &self.0.value {
            Value::Null => self.located(visitor.visit_unit()),
            Value::Bool(value) => self.located(visitor.visit_bool(*value)),
            Value::Int(value) => self.located(visitor.visit_i64(*value)),
            Value::Float(value) => self.located(visitor.visit_f64(*value)),
            Value::Str(text) => self.located(visitor.visit_str(text)),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        match &self.0.value {
            Value::Bool(value) => self.located(visitor.visit_bool(*value)),
            _ => Err(self.expected("`true` or `false`").with_help_of(truth(self.0.span.text()))),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        let value = self.number()?;
        self.located(visitor.visit_f64(value))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        let value = self.number()? as f32;
        if value.is_infinite() {
            return Err(self.expected("a number that fits into 32 bits"));
        }
        self.located(visitor.visit_f32(value))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        let text = self.text()?;
        self.located(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        match &self.0.value {
            Value::Null => self.located(visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SpecError> {
        if name != PATH_MARKER {
            return visitor.visit_newtype_struct(self);
        }
        let written = self.text()?;
        if written.is_empty() {
            return Err(SpecError::at(&self.0.span, "a path must not be empty"));
        }
        let path = absolute(self.0.folder(), written);
        let Some(path) = path.to_str() else {
            return Err(SpecError::at(&self.0.span, format!("the path `{}` is not UTF-8", path.display())));
        };
        self.located(visitor.visit_seq(de::value::SeqDeserializer::new([path, written].into_iter())))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        let items = self.list()?;
        self.located(visitor.visit_seq(Items(items.iter())))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, SpecError> {
        let repeated = |written: &str| format!("for equal values, write `[{}]`", vec![written; len].join(", "));
        if let Value::Int(_) | Value::Float(_) = self.0.value {
            return Err(self.expected(format!("a list of {len} values")).with_help(repeated(self.0.span.text())));
        }
        let items = self.list()?;
        if items.len() != len {
            let message = format!("expected a list of {len} values, found one of {}", items.len());
            let help = items.first().filter(|_| items.len() == 1).map(|only| repeated(only.span.text()));
            return Err(SpecError::at(&self.0.span, message).with_help_of(help));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SpecError> {
        let Value::Map(entries) = &self.0.value else { return Err(self.expected("a map")) };
        self.located(visitor.visit_map(Entries { entries: entries.iter(), value: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SpecError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SpecError> {
        let Value::Str(name) = &self.0.value else { return Err(self.expected(one_of(names))) };
        let name: StrDeserializer<'_, SpecError> = name.as_str().into_deserializer();
        self.located(visitor.visit_enum(name))
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct tuple_struct identifier ignored_any }
}

/// Advice on a word that other formats take for a truth value.
fn truth(written: &str) -> Option<String> {
    let value = match written.trim_matches(['"', '\'']).to_lowercase().as_str() {
        "yes" | "on" | "1" | "y" | "true" => true,
        "no" | "off" | "0" | "n" | "false" => false,
        _ => return None,
    };
    Some(format!("write {value}"))
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = SpecError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, SpecError> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(NodeDeserializer(node)).map(Some).map_err(|error| error.or_at(&node.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Spanned<String>, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = SpecError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SpecError> {
        let Some((key, node)) = self.entries.next() else { return Ok(None) };
        self.value = Some(node);
        let name: StrDeserializer<'_, SpecError> = key.value.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.or_at(&key.span))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, SpecError> {
        let node = self.value.take().expect("BUG: serde asks for a value after its key");
        seed.deserialize(NodeDeserializer(node)).map_err(|error| error.or_at(&node.span))
    }
}

/// The messages for errors of serde and its derived code; the place is added on the way out.
impl de::Error for SpecError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {unexpected}"))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {unexpected}"))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let error = Self::new(format!("unknown param `{name}`"));
        match known {
            [] => error.with_help("this kind has no params"),
            _ => Self { help: help_with_name(name, known.iter().copied()), ..error },
        }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(format!("param `{name}` is missing"))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        let help = crate::nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Self { help, ..Self::new(format!("expected {}, found the text `{name}`", one_of(known))) }
    }
}

/// "`a`, `b` or `c`".
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

//! The values of a pickle, in one arena.
//!
//! They refer to each other by index: sharing costs nothing, cycles are harmless, and drops do not recurse.

use super::super::element::Element;

/// The index of a value in its arena.
pub(crate) type ValueId = u32;

/// A text, by its index among all texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    start: u32,
    length: u32,
}

/// A Python value, as far as tensors depend on it.
#[derive(Debug)]
pub(crate) enum Value {
    /// A value that no tensor depends on: `None`, booleans, floats, bytes, sets, long texts.
    Opaque,
    /// An integer.
    Integer(i64),
    /// An integer of up to 128 bits.
    Long(Box<i128>),
    /// A text.
    Text(Text),
    /// A tuple.
    Tuple(Vec<ValueId>),
    /// A list.
    List(Vec<ValueId>),
    /// A dict, with keys and values in the order of insertion.
    Dict(Vec<(ValueId, ValueId)>),
    /// A class or function, by its dotted name.
    Global(Text),
    /// An instance of an unknown class.
    Object(Box<Object>),
    /// Numbers outside the pickle.
    Storage(Box<Storage>),
    /// A tensor.
    Tensor(Box<Tensor>),
    /// A tensor that cannot be read, and the reason.
    Unreadable(Unreadable),
}

/// An instance of an unknown class.
#[derive(Debug)]
pub(crate) struct Object {
    /// The dotted name of its class, or of the function that makes it.
    pub(crate) class: Text,
    /// Its items, if it is used like a dict.
    pub(crate) items: Vec<(ValueId, ValueId)>,
}

/// Numbers outside the pickle.
#[derive(Debug)]
pub(crate) struct Storage {
    /// Its name in the file.
    pub(crate) key: Text,
    /// Its number type.
    pub(crate) element: Element,
    /// The number of its numbers.
    pub(crate) n_numbers: u64,
    /// The offset and length of a part, where it is not the whole (format before PyTorch 1.6).
    pub(crate) part: Option<(u64, u64)>,
}

/// The description of a tensor, not yet checked against its storage.
#[derive(Debug)]
pub(crate) struct Tensor {
    /// A [`Value::Storage`].
    pub(crate) storage: ValueId,
    /// Its number type, where it differs from the storage's.
    pub(crate) element: Option<Element>,
    /// The index of the first number.
    pub(crate) offset: u64,
    /// The length of each axis.
    pub(crate) shape: Box<[u64]>,
    /// The step of each axis, in numbers.
    pub(crate) strides: Box<[u64]>,
}

/// The reason why a tensor cannot be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unreadable {
    /// An unsupported function of PyTorch makes it, such as for sparse tensors.
    Kind(Text),
    /// Its description is invalid.
    Description(&'static str),
}

/// All values of a pickle.
#[derive(Debug)]
pub(crate) struct Values {
    values: Vec<Value>,
    texts: String,
}

impl Values {
    /// The value of everything that no tensor depends on.
    pub(super) const OPAQUE: ValueId = 0;
    /// The empty tuple.
    pub(super) const EMPTY_TUPLE: ValueId = 1;

    pub(super) fn new() -> Self {
        Self { values: vec![Value::Opaque, Value::Tuple(Vec::new())], texts: String::new() }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        (self.values.len() - 1) as ValueId
    }

    /// Adds a text; `None` once all texts have 4 GiB.
    pub(super) fn add_text(&mut self, text: &str) -> Option<Text> {
        let start = u32::try_from(self.texts.len()).ok()?;
        self.texts.push_str(text);
        Some(Text { start, length: text.len() as u32 })
    }

    /// A value.
    pub(crate) fn get(&self, id: ValueId) -> &Value {
        &self.values[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id as usize]
    }

    /// All values.
    pub(crate) fn all(&self) -> &[Value] {
        &self.values
    }

    /// The characters of a text.
    pub(crate) fn text(&self, text: Text) -> &str {
        &self.texts[text.start as usize..][..text.length as usize]
    }

    /// The characters of a value that is a text.
    pub(crate) fn as_text(&self, id: ValueId) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(self.text(*text)),
            _ => None,
        }
    }

    /// The value as a non-negative integer, if it is one.
    pub(super) fn as_count(&self, id: ValueId) -> Option<u64> {
        match self.get(id) {
            Value::Integer(integer) => u64::try_from(*integer).ok(),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn as_items(&self, id: ValueId) -> Option<&[ValueId]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The keys and values of a dict, or of an object that is used like one.
    pub(crate) fn as_dict(&self, id: ValueId) -> Option<&[(ValueId, ValueId)]> {
        match self.get(id) {
            Value::Dict(items) => Some(items),
            Value::Object(object) => Some(&object.items),
            _ => None,
        }
    }
}

//! The effects of pickle opcodes on the machine's stack and memo, apart from moving values.

use super::call;
use super::error::{MAX_STEPS, PickleError};
use super::machine::Machine;
use super::opcodes as op;
use super::value::{Object, Text, Value, ValueId, Values};

impl Machine<'_> {
    pub(super) fn integer(&mut self, opcode: u8) -> Result<(), PickleError> {
        let value = match opcode {
            op::BININT => Some(i128::from(i32::from_le_bytes(self.input.array()?))),
            op::BININT1 => Some(i128::from(self.input.byte()?)),
            op::BININT2 => Some(i128::from(u16::from_le_bytes(self.input.array()?))),
            op::LONG1 | op::LONG4 => {
                let n_bytes = if opcode == op::LONG1 { self.input.length::<1>()? } else { self.input.length::<4>()? };
                self.input.bytes(n_bytes)?.and_then(|bytes| two_complement(&bytes))
            }
            _ => {
                let line = self.input.line()?.unwrap_or_default();
                let digits = std::str::from_utf8(&line).unwrap_or_default().trim_end_matches('L');
                // `I00` and `I01` are false and true.
                digits.parse().ok()
            }
        };
        match value {
            Some(value) => match i64::try_from(value) {
                Ok(value) => self.push(Value::Integer(value)),
                Err(_) => self.push(Value::Long(Box::new(value))),
            },
            None => self.push_opaque(),
        }
    }

    pub(super) fn text(&mut self, opcode: u8) -> Result<(), PickleError> {
        let bytes = match opcode {
            op::UNICODE => self.input.line()?.map(|line| unescaped(&line)),
            op::STRING => self.input.line()?.and_then(|line| unquoted(&line)),
            op::SHORT_BINUNICODE | op::SHORT_BINSTRING => self.sized::<1>()?,
            op::BINUNICODE | op::BINSTRING => self.sized::<4>()?,
            _ => self.sized::<8>()?,
        };
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => {
                let text = self.add_text(&text)?;
                self.push(Value::Text(text))
            }
            None => self.push_opaque(),
        }
    }

    pub(super) fn add_text(&mut self, text: &str) -> Result<Text, PickleError> {
        self.values.add_text(text).ok_or(PickleError::TooLong)
    }

    pub(super) fn binary(&mut self, opcode: u8) -> Result<(), PickleError> {
        let n_bytes = match opcode {
            op::SHORT_BINBYTES => self.input.length::<1>()?,
            op::BINBYTES => self.input.length::<4>()?,
            _ => self.input.length::<8>()?,
        };
        self.input.skip(n_bytes)?;
        self.push_opaque()
    }

    /// A string after its length in `N` bytes.
    fn sized<const N: usize>(&mut self) -> Result<Option<Vec<u8>>, PickleError> {
        let n_bytes = self.input.length::<N>()?;
        self.input.bytes(n_bytes)
    }

    pub(super) fn list(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = match opcode {
            op::EMPTY_LIST => return self.push(Value::List(Vec::new())),
            op::LIST => {
                let items = self.pop_to_mark()?;
                return self.push(Value::List(items));
            }
            op::APPEND => vec![self.pop()?],
            _ => self.pop_to_mark()?,
        };
        let list = self.top()?;
        // Items of other objects do not matter.
        if let Value::List(list) = self.values.get_mut(list) {
            list.extend(items);
        }
        Ok(())
    }

    pub(super) fn tuple(&mut self, opcode: u8) -> Result<(), PickleError> {
        let n_items = match opcode {
            op::EMPTY_TUPLE => {
                self.stack.push(Values::EMPTY_TUPLE);
                return Ok(());
            }
            op::TUPLE => {
                let items = self.pop_to_mark()?;
                return self.push(Value::Tuple(items));
            }
            op::TUPLE1 => 1,
            op::TUPLE2 => 2,
            _ => 3,
        };
        if self.stack.len() < self.floor() + n_items {
            return Err(PickleError::Damaged("its stack is empty"));
        }
        let items = self.stack.split_off(self.stack.len() - n_items);
        self.push(Value::Tuple(items))
    }

    pub(super) fn dict(&mut self, opcode: u8) -> Result<(), PickleError> {
        let pairs = match opcode {
            op::EMPTY_DICT => return self.push(Value::Dict(Vec::new())),
            op::DICT => {
                let pairs = self.pop_pairs()?;
                return self.push(Value::Dict(pairs));
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![(key, value)]
            }
            _ => self.pop_pairs()?,
        };
        let dict = self.top()?;
        match self.values.get_mut(dict) {
            Value::Dict(items) => items.extend(pairs),
            Value::Object(object) => object.items.extend(pairs),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn memorize(&mut self, opcode: u8) -> Result<(), PickleError> {
        let place = match opcode {
            op::MEMOIZE => self.n_memorized,
            op::BINPUT => self.input.length::<1>()?,
            op::LONG_BINPUT => self.input.length::<4>()?,
            _ => self.number()?,
        };
        let id = self.top()?;
        if place >= MAX_STEPS {
            return Err(PickleError::TooLong);
        }
        let place = place as usize;
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        self.n_memorized += u64::from(self.memo[place].replace(id).is_none());
        Ok(())
    }

    pub(super) fn recall(&mut self, opcode: u8) -> Result<(), PickleError> {
        let place = match opcode {
            op::BINGET => self.input.length::<1>()?,
            op::LONG_BINGET => self.input.length::<4>()?,
            _ => self.number()?,
        };
        let kept = usize::try_from(place).ok().and_then(|place| self.memo.get(place).copied().flatten());
        self.stack.push(kept.ok_or(PickleError::Damaged("it recalls what it never kept"))?);
        Ok(())
    }

    /// A line of digits.
    fn number(&mut self) -> Result<u64, PickleError> {
        self.input.word()?.parse().map_err(|_| PickleError::Damaged("a number has no digits"))
    }

    pub(super) fn global(&mut self, opcode: u8) -> Result<(), PickleError> {
        let (module, name) = match opcode {
            op::GLOBAL => (self.input.word()?, self.input.word()?),
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id| self.values.as_text(id).map(str::to_owned);
                text(module).zip(text(name)).ok_or(PickleError::Damaged("a name is no text"))?
            }
            // Numbers of a registry that only the writing program has.
            op::EXT1 => ("extension".into(), self.input.length::<1>()?.to_string()),
            op::EXT2 => ("extension".into(), self.input.length::<2>()?.to_string()),
            _ => ("extension".into(), self.input.length::<4>()?.to_string()),
        };
        let name = self.add_text(&format!("{module}.{name}"))?;
        self.push(Value::Global(name))
    }

    /// Pops a class or function and its arguments, and pushes the result.
    pub(super) fn construct(&mut self, opcode: u8) -> Result<(), PickleError> {
        let (function, arguments) = match opcode {
            op::INST => {
                let (module, name) = (self.input.word()?, self.input.word()?);
                let name = self.add_text(&format!("{module}.{name}"))?;
                (self.values.add(Value::Global(name)), self.pop_to_mark()?)
            }
            op::OBJ => {
                let mut items = self.pop_to_mark()?;
                if items.is_empty() {
                    return Err(PickleError::Damaged("an object has no class"));
                }
                (items.remove(0), items)
            }
            _ => {
                if opcode == op::NEWOBJ_EX {
                    self.pop()?;
                }
                let (arguments, function) = (self.pop()?, self.pop()?);
                let n_arguments = self.values.as_items(arguments).map_or(0, <[_]>::len);
                self.spend(n_arguments)?;
                let items = self.values.as_items(arguments).ok_or(PickleError::Damaged("arguments are no tuple"))?;
                (function, items.to_vec())
            }
        };
        let made = call::call(self, function, &arguments)?;
        self.stack.push(made);
        Ok(())
    }

    pub(super) fn persistent(&mut self, opcode: u8) -> Result<(), PickleError> {
        if opcode == op::PERSID {
            return self.input.line().and_then(|_| self.push_opaque());
        }
        let id = self.pop()?;
        let found = call::persistent(&mut self.values, id);
        self.stack.push(found);
        Ok(())
    }

    /// An instance of an unknown class.
    pub(super) fn object(&mut self, class: Text) -> ValueId {
        self.values.add(Value::Object(Box::new(Object { class, items: Vec::new() })))
    }
}

/// An integer of up to 16 little-endian bytes; `None` if it is longer.
fn two_complement(bytes: &[u8]) -> Option<i128> {
    let fill = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
    let mut all = [fill; 16];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i128::from_le_bytes(all))
}

/// A text of protocol 0: Latin-1, and other characters by number after `\u` or `\U`.
fn unescaped(line: &[u8]) -> Vec<u8> {
    let text: String = line.iter().map(|byte| char::from(*byte)).collect();
    let mut parts = text.split("\\u");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let letter = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match letter {
            Some(letter) => result.extend([letter].into_iter().chain(part[4..].chars())),
            None => result.extend(["\\u", part]),
        }
    }
    result.into_bytes()
}

/// A quoted string of protocol 0; `None` if it has escapes.
fn unquoted(line: &[u8]) -> Option<Vec<u8>> {
    let quote = *line.first().filter(|byte| matches!(byte, b'\'' | b'"'))?;
    let inner = line.strip_prefix(&[quote])?.strip_suffix(&[quote])?;
    (!inner.contains(&b'\\')).then(|| inner.to_vec())
}

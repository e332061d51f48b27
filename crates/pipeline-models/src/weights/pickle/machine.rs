//! The machine that executes pickles as data: a stack, marks on it, and a memo.

use std::io::BufRead;

use super::error::{MAX_STEPS, PickleError};
use super::input::Input;
use super::opcodes as op;
use super::value::{Value, ValueId, Values};

/// A parsed pickle.
#[derive(Debug)]
pub(crate) struct Pickle {
    /// All its values.
    pub(crate) values: Values,
    /// Its result.
    pub(crate) root: ValueId,
}

/// Reads one pickle; leaves the rest in `reader`.
///
/// # Errors
/// When it ends too early, is not a pickle or is larger than any checkpoint's.
pub(crate) fn parse(reader: &mut dyn BufRead) -> Result<Pickle, PickleError> {
    let mut machine = Machine {
        input: Input::new(reader),
        values: Values::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        n_memorized: 0,
        n_steps: 0,
    };
    loop {
        machine.spend(1)?;
        match machine.input.byte()? {
            op::STOP => break,
            opcode => machine.step(opcode)?,
        }
    }
    let root = machine.pop()?;
    Ok(Pickle { values: machine.values, root })
}

pub(super) struct Machine<'a> {
    pub(super) input: Input<'a>,
    pub(super) values: Values,
    pub(super) stack: Vec<ValueId>,
    /// The heights of the marks on the stack.
    marks: Vec<usize>,
    /// Values by their memo indices; most pickles fill them without gaps.
    pub(super) memo: Vec<Option<ValueId>>,
    /// The number of filled entries.
    pub(super) n_memorized: u64,
    n_steps: u64,
}

impl Machine<'_> {
    /// Counts steps, or copied items.
    pub(super) fn spend(&mut self, n_steps: usize) -> Result<(), PickleError> {
        self.n_steps += n_steps as u64;
        if self.n_steps > MAX_STEPS { Err(PickleError::TooLong) } else { Ok(()) }
    }

    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            op::PROTO => self.protocol(),
            op::FRAME => self.input.skip(8),
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.pop_anything(),
            op::POP_MARK => self.pop_to_mark().map(|_| ()),
            op::DUP => self.top().map(|id| self.stack.push(id)),
            op::NONE | op::NEWTRUE | op::NEWFALSE => self.push_opaque(),
            op::INT | op::LONG | op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::LONG4 => self.integer(opcode),
            op::FLOAT => self.input.line().and_then(|_| self.push_opaque()),
            op::BINFLOAT => self.input.skip(8).and_then(|()| self.push_opaque()),
            op::UNICODE | op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => self.text(opcode),
            op::STRING | op::BINSTRING | op::SHORT_BINSTRING => self.text(opcode),
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => self.binary(opcode),
            op::EMPTY_LIST | op::LIST | op::APPEND | op::APPENDS => self.list(opcode),
            op::EMPTY_TUPLE | op::TUPLE | op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => self.tuple(opcode),
            op::EMPTY_DICT | op::DICT | op::SETITEM | op::SETITEMS => self.dict(opcode),
            op::EMPTY_SET => self.push_opaque(),
            op::ADDITEMS => self.pop_to_mark().map(|_| ()),
            op::FROZENSET => self.pop_to_mark().and_then(|_| self.push_opaque()),
            op::PUT | op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.memorize(opcode),
            op::GET | op::BINGET | op::LONG_BINGET => self.recall(opcode),
            op::GLOBAL | op::STACK_GLOBAL | op::EXT1 | op::EXT2 | op::EXT4 => self.global(opcode),
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX | op::OBJ | op::INST => self.construct(opcode),
            // The attributes of an object, such as `_metadata` of an OrderedDict, are not tensors of a state dict.
            op::BUILD => self.pop().and_then(|_| self.top().map(|_| ())),
            op::PERSID | op::BINPERSID => self.persistent(opcode),
            op::NEXT_BUFFER | op::READONLY_BUFFER => Err(PickleError::Damaged("its buffers lie outside the file")),
            other => Err(PickleError::Opcode(other)),
        }
    }

    fn protocol(&mut self) -> Result<(), PickleError> {
        if self.input.byte()? > 5 { Err(PickleError::Damaged("its protocol is not known")) } else { Ok(()) }
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), PickleError> {
        let id = self.values.add(value);
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn push_opaque(&mut self) -> Result<(), PickleError> {
        self.stack.push(Values::OPAQUE);
        Ok(())
    }

    /// The height below which nothing may be popped.
    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop(&mut self) -> Result<ValueId, PickleError> {
        let id = if self.stack.len() > self.floor() { self.stack.pop() } else { None };
        id.ok_or(PickleError::Damaged("its stack is empty"))
    }

    pub(super) fn top(&self) -> Result<ValueId, PickleError> {
        let id = if self.stack.len() > self.floor() { self.stack.last().copied() } else { None };
        id.ok_or(PickleError::Damaged("its stack is empty"))
    }

    /// Pops a mark like a value.
    fn pop_anything(&mut self) -> Result<(), PickleError> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<ValueId>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Damaged("a mark is missing"))?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn pop_pairs(&mut self) -> Result<Vec<(ValueId, ValueId)>, PickleError> {
        let items = self.pop_to_mark()?;
        let (pairs, []) = items.as_chunks::<2>() else { return Err(PickleError::Damaged("a key has no value")) };
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    }
}

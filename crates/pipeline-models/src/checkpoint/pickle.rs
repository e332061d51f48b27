//! Writes the Python values of a PyTorch checkpoint as a pickle, in protocol 2.
//!
//! Uses only opcodes that `torch.load(weights_only=True)` allows, and no memo, since nothing is shared.

/// A pickle that is being written.
pub(super) struct Pickle(Vec<u8>);

impl Pickle {
    pub(super) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// Ends the pickle; its value is the one that was pushed.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push(b'.');
        self.0
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    /// Pushes any non-negative integer.
    pub(super) fn integer(&mut self, value: usize) {
        match i32::try_from(value) {
            Ok(small) => {
                self.0.push(b'J');
                self.0.extend(small.to_le_bytes());
            }
            // LONG1 with nine bytes: the ninth keeps the sign positive.
            Err(_) => {
                self.0.extend([0x8a, 9]);
                self.0.extend((value as u64).to_le_bytes());
                self.0.push(0);
            }
        }
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.0.push(if value { 0x88 } else { 0x89 });
    }

    /// Pushes a class or function of a module.
    pub(super) fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    /// Pushes a tuple of the values that `items` pushes.
    pub(super) fn tuple(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'(');
        items(self);
        self.0.push(b't');
    }

    /// Pushes a dict of the keys and values that `items` pushes alternately.
    pub(super) fn dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'}');
        self.set_items(items);
    }

    /// Pushes an `OrderedDict` of the keys and values that `items` pushes alternately.
    pub(super) fn ordered_dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.call("collections", "OrderedDict", |_| ());
        self.set_items(items);
    }

    /// Pushes the result of a function, called with the values that `arguments` pushes.
    pub(super) fn call(&mut self, module: &str, name: &str, arguments: impl FnOnce(&mut Self)) {
        self.global(module, name);
        self.tuple(arguments);
        self.0.push(b'R');
    }

    /// Pushes a reference to an object outside the pickle, by the id that `id` pushes.
    pub(super) fn persistent(&mut self, id: impl FnOnce(&mut Self)) {
        id(self);
        self.0.push(b'Q');
    }

    fn set_items(&mut self, items: impl FnOnce(&mut Self)) {
        self.0.push(b'(');
        items(self);
        self.0.push(b'u');
    }
}

//! A pool of buffers, so that batches allocate nothing once the first is done.

use std::ops::{Deref, DerefMut};

use crate::pages::Numbers;

/// Numbers aligned to a cache line, with unspecified values until they are written.
#[derive(Debug)]
pub struct Buffer {
    numbers: Numbers,
    len: usize,
}

/// The free buffers of a pool.
#[derive(Default)]
pub struct Buffers {
    free: Vec<Buffer>,
}

impl Buffers {
    /// A pool without buffers.
    pub const fn new() -> Self {
        Self { free: Vec::new() }
    }

    /// Lends a buffer of `len` numbers: the smallest free one that is large enough, or else the largest, which grows.
    pub fn take(&mut self, len: usize) -> Buffer {
        self.free.sort_by_key(Buffer::capacity);
        let buffer_idx = self.free.partition_point(|buffer| buffer.capacity() < len);
        if buffer_idx < self.free.len() {
            let buffer = self.free.remove(buffer_idx);
            return Buffer { len, ..buffer };
        }
        // The old numbers are not needed, so nothing is copied.
        drop(self.free.pop());
        Buffer::new(len)
    }

    /// Returns a buffer to the pool.
    pub fn give(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }
}

impl Buffer {
    /// A buffer of `len` numbers.
    pub fn new(len: usize) -> Self {
        Self { numbers: Numbers::zeros(len), len }
    }

    /// Replaces the numbers, of unspecified values again, by `len` where there are fewer.
    pub fn grow(&mut self, len: usize) {
        if len > self.capacity() {
            *self = Self::new(len);
        }
        self.len = self.len.max(len);
    }

    fn capacity(&self) -> usize {
        self.numbers.len()
    }
}

impl Default for Buffer {
    /// A buffer without numbers.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_and_grows_when_none_is_large_enough() {
        let mut buffers = Buffers::default();
        let (small, large) = (buffers.take(10), buffers.take(1000));
        let (small_at, large_at) = (small.as_ptr(), large.as_ptr());
        buffers.give(large);
        buffers.give(small);
        let (again, larger) = (buffers.take(7), buffers.take(900));
        assert_eq!((again.as_ptr(), again.len()), (small_at, 7));
        assert_eq!((larger.as_ptr(), larger.len()), (large_at, 900));
        buffers.give(again);
        assert_eq!(buffers.take(20).len(), 20);
        assert!(buffers.free.is_empty());
    }

    #[test]
    fn numbers_begin_with_a_cache_line() {
        for len in [0, 1, 100, 1 << 20] {
            assert_eq!(Buffers::default().take(len).as_ptr().addr() % 64, 0);
        }
    }
}

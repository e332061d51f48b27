//! A pool of buffers, so that batches allocate nothing once the first is done.

use std::ops::{Deref, DerefMut};

/// Numbers per cache line.
const LINE: usize = 16;

/// Numbers aligned to a cache line, with unspecified values until they are written.
pub struct Buffer {
    values: Vec<f32>,
    start: usize,
    len: usize,
}

/// The free buffers of a pool.
#[derive(Default)]
pub struct Buffers {
    free: Vec<Buffer>,
}

impl Buffers {
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
    fn new(len: usize) -> Self {
        let values = vec![0.0; len + LINE];
        let offset = values.as_ptr().align_offset(size_of::<f32>() * LINE);
        // Only the address matters; if the offset were unknown, loads would merely cross cache lines.
        Self { values, start: if offset < LINE { offset } else { 0 }, len }
    }

    fn capacity(&self) -> usize {
        self.values.len() - LINE
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
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

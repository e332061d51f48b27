//! Memory of large tables of numbers, which asks the system for huge pages.
//!
//! The weights of an encoder are read from end to end for each batch. With pages of 4 KiB that needs more entries than
//! the page table's cache has; with pages of 2 MiB it takes a few.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{Advice, madvise};

use crate::instructions::{CacheLine, LINE};

/// The size of a huge page in bytes.
const HUGE_PAGE: usize = 2 << 20;

/// Memory of whole cache lines. From a huge page on, it begins with one.
#[derive(Debug)]
struct Pages {
    start: NonNull<CacheLine>,
    layout: Layout,
}

// SAFETY: pages are owned, as the memory of a vector is.
unsafe impl Send for Pages {}
// SAFETY: shared pages are only read.
unsafe impl Sync for Pages {}

impl Pages {
    /// No memory.
    const fn empty() -> Self {
        Self { start: NonNull::dangling(), layout: Layout::new::<()>() }
    }

    /// Memory of `size` bytes at least, with unspecified values. The advice comes before the first touch, which decides
    /// the size of pages.
    fn new(size: usize) -> Self {
        if size == 0 {
            return Self::empty();
        }
        let align = if size < HUGE_PAGE { align_of::<CacheLine>() } else { HUGE_PAGE };
        let layout = Layout::from_size_align(size.next_multiple_of(size_of::<CacheLine>()), align);
        let layout = layout.expect("numbers that are computed fit into memory");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        let n_whole = layout.size() / HUGE_PAGE * HUGE_PAGE;
        if n_whole > 0 {
            // The system may have no huge pages: then the numbers are merely slower.
            // SAFETY: the memory was just allocated, and the advice changes no byte of it.
            let _ = unsafe { madvise(start.as_ptr().cast(), n_whole, Advice::LinuxHugepage) };
        }
        Self { start: start.cast(), layout }
    }

    fn n_lines(&self) -> usize {
        self.layout.size() / size_of::<CacheLine>()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: the memory was allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
        }
    }
}

/// Cache lines that are appended once and then only read.
#[derive(Debug)]
pub(crate) struct Table {
    pages: Pages,
    len: usize,
}

impl Table {
    /// A table without memory.
    pub(crate) const fn new() -> Self {
        Self { pages: Pages::empty(), len: 0 }
    }

    /// Forgets all lines, and gets memory for `capacity` of them if there is less.
    pub(crate) fn restart(&mut self, capacity: usize) {
        self.len = 0;
        if capacity > self.pages.n_lines() {
            self.pages = Pages::new(capacity * size_of::<CacheLine>());
        }
    }

    /// Appends a line.
    ///
    /// # Panics
    /// When there is no memory left: a bug of the caller.
    #[inline(always)]
    pub(crate) fn push(&mut self, line: CacheLine) {
        let capacity = self.pages.n_lines();
        assert!(self.len < capacity, "BUG: a table has room for {capacity} lines");
        // SAFETY: the place is within the memory, as was just checked.
        unsafe { self.pages.start.add(self.len).write(line) };
        self.len += 1;
    }
}

impl Deref for Table {
    type Target = [CacheLine];

    fn deref(&self) -> &[CacheLine] {
        // SAFETY: so many lines have been written.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr(), self.len) }
    }
}

impl Clone for Table {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.restart(self.len);
        self.iter().for_each(|line| copy.push(*line));
        copy
    }
}

/// Numbers that begin with a cache line, zero at first.
#[derive(Debug)]
pub(crate) struct Numbers {
    pages: Pages,
}

impl Numbers {
    /// `len` numbers at least. Many fill whole huge pages.
    pub(crate) fn zeros(len: usize) -> Self {
        let size = len.checked_mul(size_of::<f32>()).expect("numbers that are computed fit into memory");
        let size = if size > HUGE_PAGE / 2 { size.next_multiple_of(HUGE_PAGE) } else { size };
        let pages = Pages::new(size);
        // SAFETY: the memory has so many lines.
        unsafe { pages.start.as_ptr().write_bytes(0, pages.n_lines()) };
        Self { pages }
    }
}

impl Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: all bytes were set when the memory was allocated.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr().cast(), self.pages.n_lines() * LINE) }
    }
}

impl DerefMut for Numbers {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: the same, and the numbers are borrowed by one owner.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start.as_ptr().cast(), self.pages.n_lines() * LINE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> CacheLine {
        CacheLine([number as f32; 16])
    }

    #[test]
    fn tables_keep_their_lines_at_any_size() {
        for n_lines in [0, 1, 100, HUGE_PAGE / 64, HUGE_PAGE / 64 * 2 + 7] {
            let mut table = Table::new();
            table.restart(n_lines);
            (0..n_lines).for_each(|number| table.push(line(number)));
            assert!((0..n_lines).all(|number| table[number] == line(number)));
            assert_eq!(table.clone()[..], table[..]);
            let least = if n_lines * 64 < HUGE_PAGE { 64 } else { HUGE_PAGE };
            let numbers = Numbers::zeros(n_lines * LINE);
            assert!(numbers.len() >= n_lines * LINE && numbers.iter().all(|number| *number == 0.0));
            assert!(table.pages.start.addr().get().is_multiple_of(least), "{n_lines} lines");
        }
    }

    #[test]
    fn a_table_that_starts_again_keeps_its_memory() {
        let mut table = Table::new();
        table.restart(9);
        (0..9).for_each(|number| table.push(line(number)));
        let start = table.pages.start;
        table.restart(8);
        table.push(line(5));
        assert_eq!((table.pages.start, table.len()), (start, 1));
        table.restart(10);
        assert!(table.is_empty());
    }

    #[test]
    #[should_panic(expected = "BUG: a table has room for 2 lines")]
    fn a_table_never_grows_by_itself() {
        let mut table = Table::new();
        table.restart(2);
        (0..3).for_each(|number| table.push(line(number)));
    }
}

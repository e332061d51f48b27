//! Products with a matrix that is packed once for the processor's tiles.
//!
//! Every number of a product is summed in an order that depends on the depth alone. So the bits of a row depend neither
//! on the number of rows computed together nor on its place among them.

use std::cell::RefCell;
use std::ops::Range;

use crate::buffer::Buffers;
use crate::instructions::{Affine, COPIED_STRIDE, CacheLine, InstructionSet, LINE, MAX_COLS, Strip};
use crate::pages::Table;

/// Rows per panel. More rows share the cost of fetching the panel, and fewer are fetched again from the second-level
/// cache.
const BLOCK_ROWS: usize = 396;
/// The depth of a panel's block, large enough to make the loop's overhead negligible.
///
/// The sums of blocks are added up. So this constant shows in the bits of every product, and is the same for every
/// instruction set.
pub const BLOCK_DEPTH: usize = 384;

const _: () = assert!(BLOCK_DEPTH <= COPIED_STRIDE, "a copied row holds a block");
/// The least panels for which rows are copied to where tile loops read them fastest.
const COPYING_PANELS: usize = 6;

/// Rows computed at once when the product is wider than its matrix: the rows of the largest tile.
const NARROW_ROWS: usize = 12;

/// A matrix as the right side of products, cut into panels as wide as a tile.
///
/// # Shapes
/// represents `[depth, n_cols]` · `lines`: `[depth blocks, panels, depth in the block, tile columns]`, the last panel
/// padded with zeros
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    instructions: InstructionSet,
    depth: usize,
    n_cols: usize,
    lines: Table,
}

/// Rows `stride` numbers apart, each as wide as the product is deep.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The numbers, from the first row on.
    pub values: &'a [f32],
    /// The distance between the starts of neighbouring rows, in numbers.
    pub stride: usize,
    /// The number of rows.
    pub n_rows: usize,
}

/// The operations on a product before it is stored.
#[derive(Debug, Clone, Copy)]
pub struct After<'a> {
    /// Applied to the product, except for its ReLU, which comes last.
    pub affine: Option<Affine<'a>>,
    /// Adds the values in `out`.
    pub adds: bool,
}

impl After<'_> {
    const NOTHING: Self = Self { affine: None, adds: false };
}

impl PackedMatrix {
    /// A matrix without numbers, to be filled by [`PackedMatrix::pack`].
    pub fn new(instructions: InstructionSet) -> Self {
        Self { instructions, depth: 0, n_cols: 0, lines: Table::new() }
    }

    /// Replaces the numbers, reusing the memory; `value` returns the number at a depth and a column.
    pub fn pack(&mut self, depth: usize, n_cols: usize, value: impl Fn(usize, usize) -> f32) {
        (self.depth, self.n_cols) = (depth, n_cols);
        let (n_lines, n_panels) = (self.instructions.tile_lines(), self.n_panels());
        self.lines.restart(depth * n_panels * n_lines);
        for block in self.depth_blocks() {
            for panel_idx in 0..n_panels {
                for k in block.clone() {
                    for first_col in (0..n_lines).map(|line| (panel_idx * n_lines + line) * LINE) {
                        let mut line = CacheLine::default();
                        let cols = first_col..n_cols.min(first_col + LINE);
                        line.0.iter_mut().zip(cols).for_each(|(number, col)| *number = value(k, col));
                        self.lines.push(line);
                    }
                }
            }
        }
    }

    /// `out = finish(rows · self)`.
    ///
    /// `finish` receives runs of finished rows with the position of their first column, while they are in the cache. It
    /// is compiled for the processor's instructions.
    ///
    /// # Shapes
    /// `out`: `[n_rows, n_cols]`, rows `out_stride` apart
    ///
    /// # Panics
    /// When a slice is too short: a bug of the caller.
    pub fn multiply(
        &self,
        rows: Rows<'_>,
        out: &mut [f32],
        out_stride: usize,
        finish: impl Fn(&mut [f32], usize) + Copy,
    ) {
        let finish_panel = |out: &mut [f32], n_rows: usize, cols: Range<usize>| {
            self.instructions.run(
                #[inline(always)]
                || {
                    for row in out.chunks_mut(out_stride).take(n_rows) {
                        finish(&mut row[..cols.len()], cols.start);
                    }
                },
            );
        };
        self.multiply_blocks(rows, 0..self.n_panels(), out, out_stride, After::NOTHING, finish_panel);
    }

    /// `out = after(rows · self)`, where `after` is computed in registers.
    ///
    /// # Shapes
    /// `out`: `[n_rows, n_cols]`
    ///
    /// # Panics
    /// When a slice is too short: a bug of the caller.
    pub fn multiply_and(&self, rows: Rows<'_>, out: &mut [f32], after: After<'_>) {
        self.multiply_blocks(rows, 0..self.n_panels(), out, self.n_cols, after, |_, _, _| ());
    }

    /// `out = rows · part`, where the columns of `self` are `n_parts` matrices side by side, each of whole panels.
    ///
    /// # Shapes
    /// `out`: `[n_rows, n_cols / n_parts]`
    ///
    /// # Panics
    /// When there is no such part or a slice is too short: a bug of the caller.
    pub fn multiply_part(&self, rows: Rows<'_>, part_idx: usize, n_parts: usize, out: &mut [f32]) {
        let n_panels = self.n_panels() / n_parts;
        let panels = part_idx * n_panels..(part_idx + 1) * n_panels;
        self.multiply_blocks(rows, panels, out, self.n_cols / n_parts, After::NOTHING, |_, _, _| ());
    }

    fn multiply_blocks(
        &self,
        rows: Rows<'_>,
        panels: Range<usize>,
        out: &mut [f32],
        out_stride: usize,
        after: After<'_>,
        finish_panel: impl Fn(&mut [f32], usize, Range<usize>),
    ) {
        let width = self.instructions.tile_cols();
        for first_row in (0..rows.n_rows).step_by(BLOCK_ROWS) {
            let n_rows = BLOCK_ROWS.min(rows.n_rows - first_row);
            let rows = Rows { values: &rows.values[first_row * rows.stride..], n_rows, ..rows };
            let out = &mut out[first_row * out_stride..];
            for block in self.depth_blocks() {
                with_rows(rows, &block, panels.len(), |rows| {
                    for panel_idx in panels.clone() {
                        let out = &mut out[(panel_idx - panels.start) * width..];
                        self.multiply_panel(rows, &block, panel_idx, out, out_stride, after);
                        if block.end == self.depth {
                            let first_col = panel_idx * width;
                            finish_panel(out, n_rows, first_col..self.n_cols.min(first_col + width));
                        }
                    }
                });
            }
        }
    }

    /// Adds the product of a block of the depth to the columns of a panel; `rows` begin with the block.
    fn multiply_panel(
        &self,
        rows: Rows<'_>,
        block: &Range<usize>,
        panel_idx: usize,
        out: &mut [f32],
        out_stride: usize,
        after: After<'_>,
    ) {
        let width = self.instructions.tile_cols();
        let first_col = panel_idx * width;
        let n_cols = width.min(self.n_cols - first_col);
        let n_lines = block.len() * self.instructions.tile_lines();
        let start = block.start * self.n_panels() * self.instructions.tile_lines() + panel_idx * n_lines;
        let (panel, later) = self.lines[start..].split_at(n_lines);
        let accumulate = block.start > 0 || after.adds;
        // The sum is over mapped products, so that `out` may hold its first addend from the beginning.
        let affine = after.affine.map(|affine| Affine {
            scale: &affine.scale[first_col..first_col + n_cols],
            bias: affine.bias.filter(|_| block.start == 0).map(|bias| &bias[first_col..first_col + n_cols]),
            relu: affine.relu && block.end == self.depth,
        });
        let later = &later[..later.len().min(n_lines)];
        let (Rows { n_rows, stride: a_stride, .. }, a) = (rows, rows.values);
        let strip = Strip { n_rows, a, a_stride, panel, later, out, out_stride, accumulate, affine };
        if n_cols == width { self.instructions.multiply(strip) } else { self.multiply_narrow(strip, n_cols) }
    }

    /// Computes a strip of which only the first columns are stored. It is computed in full beside them, so that
    /// rounding is the same.
    fn multiply_narrow(&self, strip: Strip<'_>, n_cols: usize) {
        let width = self.instructions.tile_cols();
        let Strip { n_rows, a, a_stride, panel, out, out_stride, accumulate, affine, .. } = strip;
        let ([mut scale, mut bias], mut tile) = ([[0.0; MAX_COLS]; 2], [0.0; NARROW_ROWS * MAX_COLS]);
        let affine = affine.map(|affine| Affine {
            scale: widened(affine.scale, &mut scale),
            bias: affine.bias.map(|values| widened(values, &mut bias)),
            ..affine
        });
        for first_row in (0..n_rows).step_by(NARROW_ROWS) {
            let n_rows = NARROW_ROWS.min(n_rows - first_row);
            let rows = out[first_row * out_stride..].chunks_mut(out_stride).take(n_rows);
            if accumulate {
                rows.zip(tile.chunks_exact_mut(width))
                    .for_each(|(row, tile)| tile[..n_cols].copy_from_slice(&row[..n_cols]));
            }
            self.instructions.multiply(Strip {
                n_rows,
                a: &a[first_row * a_stride..],
                a_stride,
                panel,
                later: &[],
                out: &mut tile,
                out_stride: width,
                accumulate,
                affine,
            });
            let rows = out[first_row * out_stride..].chunks_mut(out_stride).take(n_rows);
            rows.zip(tile.chunks_exact(width)).for_each(|(row, tile)| row[..n_cols].copy_from_slice(&tile[..n_cols]));
        }
    }

    fn n_panels(&self) -> usize {
        self.n_cols.div_ceil(self.instructions.tile_cols())
    }

    /// The blocks of the depth whose sums are added up.
    fn depth_blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let depth = self.depth;
        (0..depth).step_by(BLOCK_DEPTH).map(move |start| start..depth.min(start + BLOCK_DEPTH))
    }
}

thread_local! {
    /// The memory of copied rows.
    static COPIES: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// Runs `work` on the numbers of rows in a block of the depth. They are copied side by side where so many panels meet
/// them that it pays: rows far apart share cache sets, and each needs an entry of the page table's cache.
fn with_rows(rows: Rows<'_>, block: &Range<usize>, n_panels: usize, work: impl FnOnce(Rows<'_>)) {
    let values = &rows.values[block.start..];
    if n_panels < COPYING_PANELS {
        return work(Rows { values, ..rows });
    }
    let mut copies = COPIES.with_borrow_mut(|buffers| buffers.take(rows.n_rows * COPIED_STRIDE));
    for (row, copy) in values.chunks(rows.stride).zip(copies.chunks_exact_mut(COPIED_STRIDE)) {
        copy[..block.len()].copy_from_slice(&row[..block.len()]);
    }
    work(Rows { values: &copies, stride: COPIED_STRIDE, ..rows });
    COPIES.with_borrow_mut(|buffers| buffers.give(copies));
}

/// `values`, padded to the columns of the widest tile.
fn widened<'a>(values: &[f32], wide: &'a mut [f32; MAX_COLS]) -> &'a [f32] {
    wide[..values.len()].copy_from_slice(values);
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// Depths below and above a block, columns below and above a panel.
    const PRODUCTS: [(usize, usize); 8] =
        [(1, 1), (3, 16), (64, 9), (255, 33), (385, 48), (768, 70), (769, 17), (1100, 96)];

    fn product(matrix: &PackedMatrix, a: &[f32], depth: usize, n_rows: usize) -> Vec<f32> {
        let mut out = vec![9.0; n_rows * matrix.n_cols];
        matrix.multiply(Rows { values: a, stride: depth, n_rows }, &mut out, matrix.n_cols, |_, _| ());
        out
    }

    /// 300 rows, and the columns that are packed into `matrix`.
    fn operands(matrix: &mut PackedMatrix, depth: usize, n_cols: usize) -> (Vec<f32>, Vec<f32>) {
        let (a, b) = (fixtures::noise("a", 300 * depth, 1.0), fixtures::noise("b", depth * n_cols, 1.0));
        matrix.pack(depth, n_cols, |k, col| b[k * n_cols + col]);
        (a, b)
    }

    #[test]
    fn rows_meet_columns_with_every_instruction_set() {
        for instructions in InstructionSet::available() {
            let mut matrix = PackedMatrix::new(instructions);
            for (depth, n_cols) in PRODUCTS {
                let (a, b) = operands(&mut matrix, depth, n_cols);
                for (row_idx, row) in product(&matrix, &a, depth, 300).chunks(n_cols).enumerate() {
                    for (col, value) in row.iter().enumerate() {
                        let terms =
                            (0..depth).map(|k| f64::from(a[row_idx * depth + k]) * f64::from(b[k * n_cols + col]));
                        let difference = (f64::from(*value) - terms.sum::<f64>()).abs();
                        let at = format!("row {row_idx}, column {col} of [300, {depth}] · [{depth}, {n_cols}]");
                        assert!(difference < 1e-5 * (depth as f64).sqrt(), "{instructions:?}, {at}: {difference:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_among_any_others() {
        for instructions in InstructionSet::available() {
            let mut matrix = PackedMatrix::new(instructions);
            for (depth, n_cols) in PRODUCTS {
                let (a, _) = operands(&mut matrix, depth, n_cols);
                let all = fixtures::bits(&product(&matrix, &a, depth, 300));
                for (first_row, n_rows) in [(0, 1), (299, 1), (7, 2), (7, 5), (3, 12), (1, 13), (30, 269)] {
                    let part = fixtures::bits(&product(&matrix, &a[first_row * depth..], depth, n_rows));
                    assert_eq!(part, all[first_row * n_cols..][..part.len()], "{instructions:?}, {n_rows} rows");
                }
            }
        }
    }

    #[test]
    fn products_have_the_same_bits_whatever_the_width_of_a_tile() {
        for (depth, n_cols) in PRODUCTS {
            let numbers = |name: &str, len: usize| fixtures::noise(name, len, 1.0);
            let (a, b) = (numbers("a", 300 * depth), numbers("b", depth * n_cols));
            let (scale, bias, out) = (numbers("scale", n_cols), numbers("bias", n_cols), numbers("out", 300 * n_cols));
            let affine = |bias, relu| Some(Affine { scale: &scale, bias, relu });
            fixtures::assert_same_bits(&format!("[300, {depth}] · [{depth}, {n_cols}]"), |instructions| {
                let mut matrix = PackedMatrix::new(instructions);
                matrix.pack(depth, n_cols, |k, col| b[k * n_cols + col]);
                let rows = Rows { values: &a, stride: depth, n_rows: 300 };
                let mut all = product(&matrix, &a, depth, 300);
                for affine in [None, affine(None, false), affine(Some(&bias), false), affine(Some(&bias), true)] {
                    for adds in [false, true] {
                        let mut out = out.clone();
                        matrix.multiply_and(rows, &mut out, After { affine, adds });
                        all.append(&mut out);
                    }
                }
                all
            });
        }
    }

    #[test]
    fn a_finished_product_is_handed_on_once_row_by_row() {
        let mut matrix = PackedMatrix::new(InstructionSet::best());
        matrix.pack(300, 40, |_, col| col as f32);
        let mut out = vec![9.0; 3 * 50];
        let finish = |out: &mut [f32], first_col: usize| {
            out.iter_mut().enumerate().for_each(|(idx, out)| *out -= (first_col + idx) as f32);
        };
        matrix.multiply(Rows { values: &[1.0; 900], stride: 300, n_rows: 3 }, &mut out, 50, finish);
        for row in out.chunks(50) {
            for (col, value) in row.iter().enumerate() {
                assert_eq!(*value, if col < 40 { 299.0 * col as f32 } else { 9.0 });
            }
        }
    }
}

//! Divides a column of vectors into Parquet pages of a mebibyte or more.

/// A page ends once it has this many bytes of vectors.
const PAGE_BYTES: usize = 1 << 20;

/// The most rows that are added to a page at once, so that a page of short vectors ends at a multiple of this.
const STEP_ROWS: usize = 1024;

/// A page ends once it has this many rows.
const PAGE_ROWS: usize = 20_000;

/// The number of rows in each page of `n_rows` vectors of `width` bytes, as the parquet crate divides them.
pub(super) fn rows_by_page(n_rows: usize, width: usize) -> Vec<usize> {
    let step_rows = if STEP_ROWS * width <= PAGE_BYTES { STEP_ROWS } else { PAGE_BYTES / width + 1 };
    let (mut pages, mut page_rows) = (Vec::new(), 0);
    for chunk_row in (0..n_rows).step_by(STEP_ROWS) {
        let chunk_rows = STEP_ROWS.min(n_rows - chunk_row);
        for row in (0..chunk_rows).step_by(step_rows) {
            page_rows += step_rows.min(chunk_rows - row);
            if page_rows * width >= PAGE_BYTES || page_rows >= PAGE_ROWS {
                pages.push(page_rows);
                page_rows = 0;
            }
        }
    }
    if page_rows > 0 {
        pages.push(page_rows);
    }
    pages
}

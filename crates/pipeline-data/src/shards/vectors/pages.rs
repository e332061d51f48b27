//! Divides a column of vectors into Parquet pages: plain bytes after a header of some twenty bytes, a mebibyte or more
//! each.

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

/// The header before a page of `n_rows` values in `n_bytes` bytes.
///
/// It is Parquet's `PageHeader` in Thrift's compact protocol. A field is `delta << 4 | type`, and a number is zigzag
/// with seven bits per byte.
pub(super) fn header(n_rows: usize, n_bytes: usize) -> Vec<u8> {
    const NUMBER: u8 = 0x15;
    const DATA_PAGE: usize = 0;
    const PLAIN: usize = 0;
    const RLE: usize = 3;
    // After the lengths comes field 5, the struct of a data page; the checksum field is left out.
    const DATA_PAGE_HEADER: u8 = 0x2c;
    let mut header = Vec::with_capacity(32);
    for value in [DATA_PAGE, n_bytes, n_bytes] {
        header.push(NUMBER);
        push_number(&mut header, value);
    }
    header.push(DATA_PAGE_HEADER);
    for value in [n_rows, PLAIN, RLE, RLE] {
        header.push(NUMBER);
        push_number(&mut header, value);
    }
    header.extend([0, 0]);
    header
}

fn push_number(bytes: &mut Vec<u8>, value: usize) {
    let mut zigzag = value << 1;
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

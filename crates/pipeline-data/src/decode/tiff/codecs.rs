//! The compressions of TIFF files: each returns exactly the expected number of bytes, or an error.

use fax::Color;
use flate2::{Decompress, FlushDecompress};
use weezl::BitOrder;

use super::{TRUNCATED, damaged, unsupported};
use crate::DecodeError;

/// Decompresses LZW, the highest bits first.
pub(super) fn lzw(data: &[u8], n_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    // The first code clears the table; with reversed bits it is of an old kind.
    if !matches!(data, [0x80, second, ..] if second & 0x80 == 0) {
        return Err(unsupported("LZW compression of an old kind"));
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8);
    let (mut rows, mut n_there, mut n_read) = (vec![0; n_bytes], 0, 0);
    while n_there < n_bytes {
        let result = decoder.decode_bytes(&data[n_read..], &mut rows[n_there..]);
        (n_read, n_there) = (n_read + result.consumed_in, n_there + result.consumed_out);
        result.status.map_err(|_| damaged("bad LZW data"))?;
        if result.consumed_in == 0 && result.consumed_out == 0 {
            return Err(TRUNCATED);
        }
    }
    Ok(rows)
}

/// Decompresses deflate in the zlib format.
pub(super) fn deflate(data: &[u8], n_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut inflater = Decompress::new(true);
    let mut rows = vec![0; n_bytes];
    while (inflater.total_out() as usize) < n_bytes {
        let (n_read, n_there) = (inflater.total_in() as usize, inflater.total_out() as usize);
        inflater
            .decompress(&data[n_read..], &mut rows[n_there..], FlushDecompress::None)
            .map_err(|_| damaged("bad deflated data"))?;
        if (n_read, n_there) == (inflater.total_in() as usize, inflater.total_out() as usize) {
            return Err(TRUNCATED);
        }
    }
    Ok(rows)
}

/// Decompresses run lengths.
pub(super) fn pack_bits(mut data: &[u8], n_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut rows = Vec::with_capacity(n_bytes);
    while rows.len() < n_bytes {
        let (&count, rest) = data.split_first().ok_or(TRUNCATED)?;
        data = rest;
        match count as i8 {
            -128 => {}
            count @ 0.. => {
                let literal;
                (literal, data) = data.split_at_checked(count as usize + 1).ok_or(TRUNCATED)?;
                rows.extend_from_slice(literal);
            }
            count => {
                let (&value, rest) = data.split_first().ok_or(TRUNCATED)?;
                data = rest;
                rows.resize(rows.len() + 1 + usize::from(count.unsigned_abs()), value);
            }
        }
    }
    // Excess bytes are dropped, as in libtiff.
    rows.truncate(n_bytes);
    Ok(rows)
}

/// Decodes rows of bits, with black ones set.
pub(super) fn group4(data: &[u8], width: usize, n_rows: usize) -> Result<Vec<u8>, DecodeError> {
    let (Ok(columns), Ok(height)) = (u16::try_from(width), u16::try_from(n_rows)) else {
        return Err(unsupported("a fax of more than 65535 pixels"));
    };
    let row_bytes = width.div_ceil(8);
    let mut rows = Vec::with_capacity(row_bytes * n_rows);
    let mut check = Check { data, position: 0, is_equal: true };
    let mut encoder = fax::encoder::Encoder::new(&mut check);
    let decoded = fax::decoder::decode_g4(data.iter().copied(), columns, Some(height), |line| {
        let start = rows.len();
        rows.resize(start + row_bytes, 0);
        for (x, colour) in fax::decoder::pels(line, columns).enumerate() {
            rows[start + x / 8] |= u8::from(colour == Color::Black) << (7 - x % 8);
        }
        let Ok(()) = encoder.encode_line(fax::decoder::pels(line, columns), columns);
    });
    if decoded.is_none() || !check.is_equal || rows.len() != row_bytes * n_rows {
        return Err(damaged("bad fax data"));
    }
    Ok(rows)
}

/// Compares bits with those of a file.
///
/// Decoders of damaged faxes each recover in their own way. Only a decoder that encodes its pixels back to the same
/// bits has read an undamaged one.
struct Check<'a> {
    data: &'a [u8],
    /// Its position, in bits.
    position: usize,
    is_equal: bool,
}

impl fax::BitWriter for &mut Check<'_> {
    type Error = std::convert::Infallible;

    fn write(&mut self, bits: fax::Bits) -> Result<(), Self::Error> {
        for at in (0..bits.len).rev() {
            let byte = self.data.get(self.position / 8);
            let bit = byte.map(|byte| u16::from(byte >> (7 - self.position % 8) & 1));
            self.is_equal &= bit == Some(bits.data >> at & 1);
            self.position += 1;
        }
        Ok(())
    }
}

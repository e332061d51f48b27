//! The first frame of a GIF, on its canvas.

use std::num::NonZeroU64;

use gif::{DecodeOptions, DecodingError, Frame, MemoryLimit};

use super::{DecodeError, Format, MAX_PIXELS, RgbImage, check_size};

pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let mut options = DecodeOptions::new();
    options.set_memory_limit(NonZeroU64::new(MAX_PIXELS).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    let mut decoder = options.read_info(bytes).map_err(failure)?;
    let screen = (decoder.width(), decoder.height());
    let frame =
        decoder.next_frame_info().map_err(failure)?.ok_or(DecodeError::damaged(Format::Gif, "no image"))?.clone();
    // As in Pillow, the canvas grows where the frame reaches over it.
    let width = usize::from(screen.0).max(usize::from(frame.left) + usize::from(frame.width));
    let height = usize::from(screen.1).max(usize::from(frame.top) + usize::from(frame.height));
    check_size(width as u64, height as u64)?;
    let mut indices = vec![0; usize::from(frame.width) * usize::from(frame.height)];
    decoder.read_into_buffer(&mut indices).map_err(failure)?;
    let palette = decoder.palette().map_err(failure)?.as_chunks::<3>().0;
    let colour = |index: u8| palette.get(usize::from(index)).copied().unwrap_or_default();
    // Outside of the frame Pillow has the transparent index, else 0.
    let mut pixels = colour(frame.transparent.unwrap_or(0)).repeat(width * height);
    paint(&frame, &indices, colour, &mut pixels, width);
    Ok(RgbImage { width: width as u32, height: height as u32, pixels })
}

fn paint(frame: &Frame<'_>, indices: &[u8], colour: impl Fn(u8) -> [u8; 3], pixels: &mut [u8], width: usize) {
    let rows = pixels.chunks_exact_mut(width * 3).skip(usize::from(frame.top));
    for (row, indices) in rows.zip(indices.chunks(usize::from(frame.width).max(1))) {
        let row = row.as_chunks_mut::<3>().0.iter_mut().skip(usize::from(frame.left));
        row.zip(indices).for_each(|(pixel, &index)| *pixel = colour(index));
    }
}

fn failure(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::Io(_) => DecodeError::Truncated { format: Format::Gif },
        error => DecodeError::damaged(Format::Gif, error),
    }
}

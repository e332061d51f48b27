//! The first image of a TIFF file, with its orientation applied, as Pillow alone does it for TIFF.
//!
//! Strips or tiles, together or in planes, plain or compressed by LZW, deflate, PackBits, JPEG or group 4 fax.

mod codecs;
mod directory;
mod parts;
mod pixel;

use super::canvas::check_size;
use super::{Canvas, DecodeError, Format};
use directory::{Directory, tag};
use parts::Parts;
use pixel::Pixel;

const TRUNCATED: DecodeError = DecodeError::Truncated { format: Format::Tiff };

pub(super) fn decode(bytes: &[u8], canvas: &mut Canvas<'_>) -> Result<(), DecodeError> {
    let directory = Directory::read(bytes)?;
    let side = |tag: u16| directory.number(tag, 0);
    let (width, height) = (side(tag::WIDTH)?, side(tag::HEIGHT)?);
    check_size(width, height)?;
    let image = [width as usize, height as usize];
    let pixel = Pixel::read(&directory)?;
    let parts = Parts::read(bytes, &directory, &pixel, image)?;
    let orientation = Orientation::of(directory.numbers(tag::ORIENTATION).and_then(|numbers| numbers.first()).copied());
    let (shown_width, shown_height) = if orientation.is_turned { (height, width) } else { (width, height) };
    canvas.begin(shown_width, shown_height, (width * height * 3).saturating_add(parts.working_bytes(&pixel)))?;
    let background = canvas.background();
    if background.is_some() && pixel.alpha.is_some() && parts.gives_rgb() {
        return Err(unsupported("transparency in JPEG"));
    }
    let mut pixels = vec![[0; 3]; image[0] * image[1]];
    for part in parts.all(&pixel, background.is_some())? {
        canvas.check_cancelled()?;
        let (rows, row_bytes) = parts.rows(&part, &pixel)?;
        for (y, row) in rows.chunks_exact(row_bytes).take(part.height).enumerate() {
            let line = &mut pixels[(part.top + y) * image[0] + part.left..][..part.width];
            if parts.gives_rgb() {
                line.copy_from_slice(&row.as_chunks::<3>().0[..part.width]);
            } else {
                pixel.paint(row, part.plane, line);
                if let Some(background) = background {
                    pixel.blend(row, part.plane, background, line);
                }
            }
        }
    }
    show(&pixels, image, orientation, canvas);
    Ok(())
}

fn damaged(reason: &str) -> DecodeError {
    DecodeError::damaged(Format::Tiff, reason)
}

fn unsupported(feature: &'static str) -> DecodeError {
    DecodeError::Unsupported { format: Format::Tiff, feature }
}

/// The transformation from the stored image to the displayed one.
#[derive(Clone, Copy)]
struct Orientation {
    /// Rows become columns, before anything else.
    is_turned: bool,
    /// The left side is stored on the right.
    is_mirrored: bool,
    /// The top is stored at the bottom.
    is_upside_down: bool,
}

impl Orientation {
    fn of(orientation: Option<u64>) -> Self {
        let (is_turned, is_mirrored, is_upside_down) = match orientation {
            Some(2) => (false, true, false),
            Some(3) => (false, true, true),
            Some(4) => (false, false, true),
            Some(5) => (true, false, false),
            Some(6) => (true, true, false),
            Some(7) => (true, true, true),
            Some(8) => (true, false, true),
            _ => (false, false, false),
        };
        Self { is_turned, is_mirrored, is_upside_down }
    }
}

/// Passes the stored pixels to the canvas in display order.
fn show(pixels: &[[u8; 3]], [width, height]: [usize; 2], orientation: Orientation, canvas: &mut Canvas<'_>) {
    let (shown_width, shown_height) = if orientation.is_turned { (height, width) } else { (width, height) };
    for y in 0..shown_height {
        let y = if orientation.is_upside_down { shown_height - 1 - y } else { y };
        for (x, pixel) in canvas.row().as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let x = if orientation.is_mirrored { shown_width - 1 - x } else { x };
            *pixel = pixels[if orientation.is_turned { x * width + y } else { y * width + x }];
        }
        canvas.next();
    }
}

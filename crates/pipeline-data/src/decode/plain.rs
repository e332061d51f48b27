//! BMP, WebP and TIFF, whose pixels the `image` crate already gives as Pillow does.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{DecodeError, Format, RgbImage, check_size};

pub(super) fn decode(format: Format, bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    let image_format = match format {
        Format::Bmp => ImageFormat::Bmp,
        Format::WebP => ImageFormat::WebP,
        _ => ImageFormat::Tiff,
    };
    let failure = |error: ImageError| match error {
        ImageError::IoError(_) => DecodeError::Truncated { format },
        ImageError::Unsupported(_) => DecodeError::Unsupported { format, feature: "an unusual layout" },
        error => DecodeError::damaged(format, error),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format);
    // The limit is that of `check_size`.
    reader.limits(Limits::no_limits());
    let decoder = reader.into_decoder().map_err(failure)?;
    let (width, height) = decoder.dimensions();
    check_size(u64::from(width), u64::from(height))?;
    if !matches!(decoder.color_type(), ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8) {
        return Err(DecodeError::Unsupported { format, feature: "more than 8 bits a sample" });
    }
    let pixels = DynamicImage::from_decoder(decoder).map_err(failure)?.into_rgb8().into_raw();
    Ok(RgbImage { width, height, pixels })
}

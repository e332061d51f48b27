//! Decoded images in Parquet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, BinaryArray, FixedSizeBinaryArray, StringArray, UInt32Array};
use parquet::basic::{Compression, ZstdLevel};

use super::columns::{self, Column, Table};
use crate::DataError;

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelRow {
    /// The image's id.
    pub id: String,
    /// The digest of the text that it was decoded from.
    pub digest: [u8; 32],
    /// Columns of the image before the resize; 0 if it could not be decoded.
    pub width: u32,
    /// Rows of the image before the resize; 0 if it could not be decoded.
    pub height: u32,
    /// `ok`, or the reason why there are no pixels.
    pub status: String,
    /// RGB after the resize.
    ///
    /// # Shapes
    /// `[height, width, 3]` of the shard, row-major
    pub pixels: Option<Vec<u8>>,
}

/// The images of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelShard {
    /// The description of all pixels.
    pub info: PixelsInfo,
    /// The images.
    pub rows: Vec<PixelRow>,
}

/// The description of a shard's pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelsInfo {
    /// The height of every image, in pixels.
    pub height: u32,
    /// The width of every image, in pixels.
    pub width: u32,
    /// The resize; `None` if all images had the size already.
    pub resized: Option<Resized>,
    /// The colour behind transparent pixels; `None` if transparency was dropped.
    pub alpha: Option<String>,
}

/// The way from images of other sizes to those of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resized {
    /// The filter.
    pub filter: String,
    /// The treatment of other shapes; `None` if height and width were resized independently.
    pub fit: Option<String>,
    /// The length of the shorter edge before a crop; `None` if it is the side of the pixels, or there was no crop.
    pub edge: Option<u32>,
    /// The rounding of the place of a crop; `None` if it was down, or there was no crop.
    pub crop_offset: Option<String>,
}

impl PixelsInfo {
    /// The properties beside height and width, by name.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        let resized = self.resized.as_ref();
        let of_resize = |value: fn(&Resized) -> Option<String>| resized.and_then(value);
        let all = [
            ("resize", of_resize(|resized| Some(resized.filter.clone()))),
            ("fit", of_resize(|resized| resized.fit.clone())),
            ("edge", of_resize(|resized| resized.edge.map(|edge| edge.to_string()))),
            ("crop_offset", of_resize(|resized| resized.crop_offset.clone())),
            ("alpha", self.alpha.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Everything as text, by name.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let sides = [("height", self.height.to_string()), ("width", self.width.to_string())];
        sides.into_iter().chain(self.properties()).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The description of [`PixelsInfo::to_map`], which may stand among other facts; `None` without a size.
    pub fn of_map(map: &BTreeMap<String, String>) -> Option<Self> {
        let value = |name: &str| map.get(name).cloned();
        let number = |name: &str| map.get(name).and_then(|number| number.parse().ok());
        let resized = value("resize").map(|filter| Resized {
            filter,
            fit: value("fit"),
            edge: number("edge"),
            crop_offset: value("crop_offset"),
        });
        Some(Self { height: number("height")?, width: number("width")?, resized, alpha: value("alpha") })
    }
}

/// Writes images and the description of their pixels.
///
/// # Errors
/// When the file cannot be written.
pub fn write_pixels(path: &Path, rows: &[PixelRow], info: &PixelsInfo) -> Result<(), DataError> {
    let failed = |error: arrow_schema::ArrowError| DataError::of_parquet(path, error.into());
    let digests = FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.iter().map(|row| Some(row.digest)), 32)
        .map_err(failed)?;
    let pixels = BinaryArray::from_iter(rows.iter().map(|row| row.pixels.as_deref()));
    let columns = vec![
        Column {
            name: "id",
            is_nullable: false,
            values: Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.id))),
        },
        Column { name: "digest", is_nullable: false, values: Arc::new(digests) },
        Column {
            name: "width",
            is_nullable: false,
            values: Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.width))),
        },
        Column {
            name: "height",
            is_nullable: false,
            values: Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.height))),
        },
        Column {
            name: "status",
            is_nullable: false,
            values: Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.status))),
        },
        Column { name: "pixels", is_nullable: true, values: Arc::new(pixels) },
    ];
    let mut metadata = info.to_map();
    metadata.insert("pixels".to_owned(), "RGB u8, row-major".to_owned());
    columns::write(path, columns, &metadata, Compression::ZSTD(ZstdLevel::default()))
}

/// Reads only the description of a shard's pixels.
///
/// # Errors
/// When the file is not a shard of pixels.
pub fn read_pixels_info(path: &Path) -> Result<PixelsInfo, DataError> {
    let info = PixelsInfo::of_map(&columns::read_metadata(path)?);
    info.ok_or_else(|| DataError::Schema { path: path.to_owned(), expected: "pixels" })
}

/// Reads the images of a shard.
///
/// # Errors
/// When the file is not a shard of pixels.
pub fn read_pixels(path: &Path) -> Result<PixelShard, DataError> {
    let table = Table::read(path, "pixels")?;
    let info = PixelsInfo::of_map(&table.metadata).ok_or_else(|| table.wrong())?;
    let size = info.height as usize * info.width as usize * 3;
    let mut rows = Vec::new();
    for batch in &table.batches {
        let numbers = |name| table.column(batch, name, |array| array.as_primitive_opt::<UInt32Type>());
        let (ids, statuses) = (table.texts(batch, "id")?, table.texts(batch, "status")?);
        let digests = table.column(batch, "digest", |array| array.as_fixed_size_binary_opt())?;
        let (widths, heights) = (numbers("width")?, numbers("height")?);
        let pixels = table.column(batch, "pixels", |array| array.as_binary_opt::<i32>())?;
        for row_idx in 0..batch.num_rows() {
            let pixels = pixels.is_valid(row_idx).then(|| pixels.value(row_idx).to_vec());
            if pixels.as_ref().is_some_and(|pixels| pixels.len() != size) {
                return Err(table.wrong());
            }
            rows.push(PixelRow {
                id: ids.value(row_idx).to_owned(),
                digest: digests.value(row_idx).try_into().map_err(|_| table.wrong())?,
                width: widths.value(row_idx),
                height: heights.value(row_idx),
                status: statuses.value(row_idx).to_owned(),
                pixels,
            });
        }
    }
    Ok(PixelShard { info, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_they_were() {
        let good = PixelRow {
            id: "7".into(),
            digest: [7; 32],
            width: 30,
            height: 20,
            status: "ok".into(),
            pixels: Some(vec![1, 2, 3, 4, 5, 6]),
        };
        let bad = PixelRow { id: "8".into(), status: "cut off".into(), pixels: None, ..good.clone() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part-00000.parquet");
        let rows = vec![good, bad];
        let crop = Some(Resized {
            filter: "bicubic".into(),
            fit: Some("crop".into()),
            edge: Some(3),
            crop_offset: Some("half-even".into()),
        });
        let resized = crop.clone().map(|crop| Resized { fit: None, edge: None, crop_offset: None, ..crop });
        for (resized, alpha) in [(crop, Some("white".into())), (resized, None), (None, None)] {
            let info = PixelsInfo { height: 1, width: 2, resized, alpha };
            write_pixels(&path, &rows, &info).unwrap();
            assert_eq!(read_pixels_info(&path).unwrap(), info);
            assert_eq!(read_pixels(&path).unwrap(), PixelShard { info, rows: rows.clone() });
        }
    }
}

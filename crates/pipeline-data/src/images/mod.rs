//! The images of a data set in any form: a MUGE TSV, a folder, tars, Parquet. They stay where they are; only an index
//! of them is in memory.

mod collect;
mod folder;
mod index;
mod shards;
mod table;
mod tsv;

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::{Alpha, DataError, DecodeError, Decoded, Limits, Memory, Target, decode_base64, decode_within};

pub use folder::FolderFile;
pub use index::{FileIndex, KeepIndex};
pub use shards::{ImageColumns, RowFilter, ValuesWithoutRows};
use table::ImageTables;
pub(crate) use table::{IdLeaves, image_column, image_leaf};

/// The memory of all rows that are being decoded, as text and as files, in bytes.
const FILES_BYTES: u64 = 128 << 20;

/// The largest file of an image, in bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Separates the digests of rows of image files from those of base64: equal bytes give other pixels.
const CONTEXT: &str = "pipeline 2026-11-28 an image file and its id";

/// A file of images, or one image file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagesFile {
    /// Its path.
    pub path: PathBuf,
    /// Its name below the folder that is common to all; `None` for the only file of a data set.
    pub name: Option<String>,
}

impl ImagesFile {
    /// Its name, also where it is the only file.
    pub fn own_name(&self) -> String {
        let of_path = || self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.name.clone().unwrap_or_else(of_path)
    }
}

/// The images to take of a data set.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// The number of images, from the first on, decodable or not; all when absent.
    pub max_samples: Option<u64>,
    /// Whether the image with an id is taken.
    pub keep: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether the caller has cancelled the work.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Keeps the indexes of tars and Parquet files, if they are kept. Used where all images are read.
    pub index: Option<&'a KeepIndex<'a>>,
}

impl Selection<'_> {
    /// All images, or the first of them.
    pub const fn first(max_samples: Option<u64>) -> Selection<'static> {
        Selection { max_samples, keep: &|_| true, is_cancelled: &|| false, index: None }
    }

    /// The way to keep indexes, if files are read as a whole.
    fn kept_index(&self) -> Option<&KeepIndex<'_>> {
        self.index.filter(|_| self.max_samples.is_none())
    }

    /// Stops the reader of a file once the work is cancelled.
    fn go_on(&self, path: &Path) -> Result<(), DataError> {
        if (self.is_cancelled)() { Err(DataError::Stopped { path: path.to_owned() }) } else { Ok(()) }
    }
}

/// The position of one id's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The image's id, unique in its [`Images`].
    pub id: String,
    /// The index of its file.
    file: u32,
    /// The line, row or member that holds the image, counted from 1; 0 where the file is the image.
    pub number: u64,
    /// The byte offset of the image's bytes in the file; in Parquet the row, counted from 0.
    offset: u64,
    /// The length of these bytes.
    len: u64,
    /// The BLAKE3 digest of these bytes.
    pub digest: [u8; 32],
    /// Whether they are base64 of an image file instead of the file itself.
    is_base64: bool,
}

impl ImageRow {
    /// The BLAKE3 digest of id and image; independent of the position in the file.
    pub fn row_digest(&self) -> [u8; 32] {
        let mut hasher = if self.is_base64 { blake3::Hasher::new() } else { blake3::Hasher::new_derive_key(CONTEXT) };
        *hasher.update(&self.digest).update(self.id.as_bytes()).finalize().as_bytes()
    }
}

/// The place of an image or of something that is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImagePlace {
    /// The name of the file; `None` for the only file of a data set.
    pub file: Option<String>,
    /// The line, row or member of it, counted from 1; `None` for a whole file.
    pub number: Option<u64>,
}

impl fmt::Display for ImagePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.number) {
            (Some(file), Some(number)) => write!(formatter, "row {number} of `{file}`"),
            (Some(file), None) => write!(formatter, "`{file}`"),
            (None, Some(number)) => write!(formatter, "row {number}"),
            (None, None) => formatter.write_str("the file"),
        }
    }
}

/// Something that gave no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedImage {
    /// Its place.
    pub place: ImagePlace,
    /// The reason, as a lower-case fragment.
    pub reason: String,
}

/// Images that share an id with another one before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clashes {
    /// Their number.
    pub n_images: u64,
    /// The id of the first of them.
    pub id: String,
    /// The place of the first of them.
    pub place: ImagePlace,
    /// The place of the image that has the id.
    pub first: ImagePlace,
}

/// The images of a data set by row.
#[derive(Debug)]
pub struct Images {
    files: Vec<ImagesFile>,
    form: Form,
    rows: Vec<ImageRow>,
    skipped: Vec<SkippedImage>,
    clashes: Option<Clashes>,
    remarks: Vec<String>,
    memory: Memory,
}

/// The way to the bytes of a row.
#[derive(Debug)]
enum Form {
    /// In one file, which stays open.
    Open(File),
    /// In files that are opened for each image.
    Ranges,
    /// In a column of Parquet.
    Tables(ImageTables),
}

impl Images {
    /// The rows, each id once. Whether an image can be decoded is unknown until it is decoded.
    pub fn rows(&self) -> &[ImageRow] {
        &self.rows
    }

    /// The places that gave no row, in order: those without an image and the repeated ones.
    pub fn skipped(&self) -> &[SkippedImage] {
        &self.skipped
    }

    /// The images with the id of another image before them, which are skipped. None of a TSV: there the last one
    /// counts.
    pub const fn clashes(&self) -> Option<&Clashes> {
        self.clashes.as_ref()
    }

    /// Sentences about files that are no images.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The place of a row.
    pub fn place(&self, row: &ImageRow) -> ImagePlace {
        let file = self.files[row.file as usize].name.clone();
        ImagePlace { file, number: (row.number > 0).then_some(row.number) }
    }

    /// The original size of a row's image, and the image itself, resized to `target` if there is one; or the decoding
    /// error.
    ///
    /// # Errors
    /// When the file cannot be read, or has changed since it was opened: then the file is at fault, not the image.
    pub fn image(
        &self,
        row: &ImageRow,
        target: Option<Target>,
        alpha: Alpha,
        limits: Limits<'_>,
    ) -> Result<Decoded, DataError> {
        self.with_file(row, limits, |file| decode_within(&file, target, alpha, limits))
    }

    /// Applies `work` to the image file of a row. Waits while the files of other threads take too much memory. May be
    /// called from many threads.
    ///
    /// # Errors
    /// As [`Images::image`].
    pub fn with_file<T>(
        &self,
        row: &ImageRow,
        limits: Limits<'_>,
        work: impl FnOnce(Vec<u8>) -> Result<T, DecodeError>,
    ) -> Result<Result<T, DecodeError>, DataError> {
        // The file is three quarters of its text.
        let n_bytes = if row.is_base64 { row.len * 7 / 4 } else { row.len };
        let Some(_taken) = self.memory.take(n_bytes, limits.is_cancelled) else {
            return Ok(Err(DecodeError::Cancelled));
        };
        Ok(file_of(row, self.bytes(row)?).and_then(work))
    }

    /// Applies `work` to the image files of rows, on all threads of the present pool.
    ///
    /// # Errors
    /// As [`Images::image`].
    pub fn each<T: Send>(
        &self,
        rows: &[ImageRow],
        decoders: &Memory,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        work: impl Fn(&ImageRow, Vec<u8>, Limits<'_>) -> Result<T, DecodeError> + Sync,
    ) -> Result<Vec<Result<T, DecodeError>>, DataError> {
        if !matches!(self.form, Form::Tables(_)) {
            let one = |row: &ImageRow| {
                let is_cancelled = || is_cancelled();
                let limits = Limits { memory: decoders, is_cancelled: &is_cancelled };
                self.with_file(row, limits, |file| work(row, file, limits))
            };
            return rows.par_iter().map(one).collect();
        }
        let mut all = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.n_in_memory(rest));
            rest = others;
            // At most a quarter, so that four shards side by side never wait here: a thread that waits for its own rows
            // may take up another shard, and would wait for itself.
            let n_bytes = some.iter().map(|row| 2 * row.len).sum::<u64>().min(FILES_BYTES / 4);
            let Some(_taken) = self.memory.take(n_bytes, &|| is_cancelled()) else {
                all.extend((all.len()..rows.len()).map(|_| Err(DecodeError::Cancelled)));
                return Ok(all);
            };
            let files = self.rows_of_tables(some)?;
            let one = |(row, bytes): (&ImageRow, Vec<u8>)| {
                let is_cancelled = || is_cancelled();
                let limits = Limits { memory: decoders, is_cancelled: &is_cancelled };
                file_of(row, bytes).and_then(|file| work(row, file, limits))
            };
            all.par_extend(some.par_iter().zip(files).map(one));
        }
        Ok(all)
    }

    /// The bytes of a row as the file has them: an image file, or its base64.
    ///
    /// # Errors
    /// When the file cannot be read, or has changed since it was opened.
    pub fn bytes(&self, row: &ImageRow) -> Result<Vec<u8>, DataError> {
        if matches!(self.form, Form::Tables(_)) {
            return Ok(self.rows_of_tables(std::slice::from_ref(row))?.pop().unwrap_or_default());
        }
        let path = &self.files[row.file as usize].path;
        let mut bytes = vec![0; row.len as usize];
        let read = match &self.form {
            Form::Open(file) => file.read_exact_at(&mut bytes, row.offset),
            _ => pipeline_files::open(path).and_then(|file| file.read_exact_at(&mut bytes, row.offset)),
        };
        read.map_err(|source| DataError::Read { path: path.clone(), source })?;
        self.must_be_as_indexed(row, &bytes).map(|()| bytes)
    }

    fn must_be_as_indexed(&self, row: &ImageRow, bytes: &[u8]) -> Result<(), DataError> {
        if *blake3::hash(bytes).as_bytes() == row.digest {
            return Ok(());
        }
        let path = self.files[row.file as usize].path.clone();
        Err(DataError::Changed { path, line: (row.number > 0).then_some(row.number) })
    }

    /// The number of the first of `rows`, at least one, that are read at once.
    fn n_in_memory(&self, rows: &[ImageRow]) -> usize {
        let mut n_bytes = 0;
        let fits = |row: &&ImageRow| {
            n_bytes += row.len;
            n_bytes <= FILES_BYTES / 8 && row.file == rows[0].file
        };
        rows.iter().take_while(fits).count().max(1)
    }
}

/// The image file of a row with these bytes.
fn file_of(row: &ImageRow, bytes: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    if row.is_base64 { decode_base64(&bytes) } else { Ok(bytes) }
}

/// The refusal of a file that is too large to be an image.
fn too_long() -> String {
    format!("longer than {} MiB", MAX_FILE_BYTES >> 20)
}

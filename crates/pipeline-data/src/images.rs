//! Reads the images of a MUGE TSV: `id`, a tab, base64. The file stays on disk; only an index of its rows is in memory.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::content::open_text;
use crate::lines::{Line, Lines, n_leading_space, strip};
use crate::{
    Alpha, DECODER_BYTES, DataError, DecodeError, Decoded, Filter, Fit, Limits, Memory, SkippedLine, Target,
    decode_base64, decode_within,
};

/// The least number of bytes between reports of progress.
const WATCH_BYTES: u64 = 16 << 20;

/// The memory of all rows that are being decoded, as text and as files, in bytes.
const FILES_BYTES: u64 = 128 << 20;

/// The position of one id's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// The image's id, unique in its [`ImageTsv`].
    pub id: String,
    /// The line that holds the image, counted from 1.
    pub line: u64,
    /// The byte offset of the base64 text in the file.
    pub offset: u64,
    /// The length of the base64 text in bytes.
    pub len: u64,
    /// The BLAKE3 digest of the base64 text.
    pub digest: [u8; 32],
}

impl ImageRow {
    /// The BLAKE3 digest of id and image; independent of the position in the file.
    pub fn row_digest(&self) -> [u8; 32] {
        *blake3::Hasher::new().update(&self.digest).update(self.id.as_bytes()).finalize().as_bytes()
    }
}

/// The images of a TSV by row.
#[derive(Debug)]
pub struct ImageTsv {
    path: PathBuf,
    file: File,
    rows: Vec<ImageRow>,
    skipped: Vec<SkippedLine>,
    files: Memory,
}

impl ImageTsv {
    /// Reads the file once and indexes its images.
    ///
    /// A row has two or more fields; with `max_samples` only that many first rows count, decodable or not. A repeated
    /// id keeps the position of its first decodable row and the image of its last decodable one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, max_samples: Option<u64>) -> Result<Self, DataError> {
        Self::open_watched(path, max_samples, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`ImageTsv::open`], but reports the bytes read so far to `watch` from time to time.
    ///
    /// # Errors
    /// When the file cannot be read or is not text, and [`DataError::Stopped`] when `watch` breaks.
    pub fn open_watched(
        path: &Path,
        max_samples: Option<u64>,
        watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Self, DataError> {
        let file = open_text(path)?;
        let (rows, skipped) = (Vec::new(), Vec::new());
        let mut tsv = Self { path: path.to_owned(), file, rows, skipped, files: Memory::new(FILES_BYTES) };
        tsv.scan(max_samples.unwrap_or(u64::MAX), watch)?;
        tsv.settle_repeated_ids()?;
        tsv.skipped.sort_by_key(|skipped| skipped.line);
        Ok(tsv)
    }

    /// The rows, each id once. Whether an image can be decoded is unknown until it is decoded.
    pub fn rows(&self) -> &[ImageRow] {
        &self.rows
    }

    /// The lines that gave no row, sorted: those without an image and the repeated ones. Does not list blank lines.
    pub fn skipped(&self) -> &[SkippedLine] {
        &self.skipped
    }

    /// Reads the base64 text of a row from the file. May be called from many threads.
    ///
    /// # Errors
    /// When the file cannot be read, or has changed since it was opened.
    pub fn image_text(&self, row: &ImageRow) -> Result<Vec<u8>, DataError> {
        let mut text = vec![0; row.len as usize];
        let read = self.file.read_exact_at(&mut text, row.offset);
        read.map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        if *blake3::hash(&text).as_bytes() != row.digest {
            return Err(DataError::Changed { path: self.path.clone(), line: row.line });
        }
        Ok(text)
    }

    /// The original size of a row's image, and the image itself, resized to `target` if there is one; or the decoding
    /// error.
    ///
    /// # Errors
    /// As [`ImageTsv::image_text`]: then the file is at fault, not the image.
    pub fn image(
        &self,
        row: &ImageRow,
        target: Option<Target>,
        alpha: Alpha,
        limits: Limits<'_>,
    ) -> Result<Decoded, DataError> {
        self.with_file(row, limits, |file| decode_within(&file, target, alpha, limits))
    }

    /// Applies `work` to the image file of a row. Waits while the files of other threads take too much memory.
    ///
    /// # Errors
    /// As [`ImageTsv::image_text`].
    pub fn with_file<T>(
        &self,
        row: &ImageRow,
        limits: Limits<'_>,
        work: impl FnOnce(Vec<u8>) -> Result<T, DecodeError>,
    ) -> Result<Result<T, DecodeError>, DataError> {
        // The file is three quarters of its text.
        let Some(_taken) = self.files.take(row.len * 7 / 4, limits.is_cancelled) else {
            return Ok(Err(DecodeError::Cancelled));
        };
        let text = self.image_text(row)?;
        let file = decode_base64(&text);
        drop(text);
        Ok(file.and_then(work))
    }

    fn scan(&mut self, max_rows: u64, watch: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<(), DataError> {
        let file = self.file.try_clone().map_err(|source| DataError::Open { path: self.path.clone(), source })?;
        let mut lines = Lines::new(file);
        let mut next_watch = WATCH_BYTES;
        while (self.rows.len() as u64) < max_rows {
            let line = lines.next_line().map_err(|source| DataError::Read { path: self.path.clone(), source })?;
            let Some(line) = line else { break };
            if line.offset >= next_watch {
                next_watch = line.offset + WATCH_BYTES;
                if watch(line.offset).is_break() {
                    return Err(DataError::Stopped { path: self.path.clone() });
                }
            }
            match parse_row(&line) {
                Ok(Some(row)) => self.rows.push(row),
                Ok(None) => {}
                Err(reason) => self.skipped.push(SkippedLine { line: line.number, reason }),
            }
        }
        Ok(())
    }

    /// Reduces the rows to one for each id.
    fn settle_repeated_ids(&mut self) -> Result<(), DataError> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by(|&a, &b| self.rows[a].id.cmp(&self.rows[b].id).then(a.cmp(&b)));
        let same_id = order.chunk_by(|&a, &b| self.rows[a].id == self.rows[b].id);
        let repeated: Vec<&[usize]> = same_id.filter(|rows| rows.len() > 1).collect();
        let mut is_dropped = vec![false; self.rows.len()];
        for rows in repeated {
            let (place, image) = self.settle_id(rows)?;
            rows.iter().for_each(|&row| is_dropped[row] = row != place);
            self.rows[place] = self.rows[image].clone();
        }
        let mut is_dropped = is_dropped.into_iter();
        self.rows.retain(|_| !is_dropped.next().expect("there is a flag for every row"));
        Ok(())
    }

    /// Chooses among the rows of one id the one that gives the position and the one that gives the image; lists the
    /// others as skipped.
    fn settle_id(&mut self, rows: &[usize]) -> Result<(usize, usize), DataError> {
        // Whether an image can be decoded does not depend on its size, and a small one needs no memory.
        let target = Target { width: 1, height: 1, filter: Filter::Bilinear, fit: Fit::Squash };
        let memory = Memory::new(DECODER_BYTES);
        let limits = Limits { memory: &memory, is_cancelled: &|| false };
        let mut failures = Vec::with_capacity(rows.len());
        for &row in rows {
            failures.push(self.image(&self.rows[row], Some(target), Alpha::Drop, limits)?.err());
        }
        let place = rows[failures.iter().position(Option::is_none).unwrap_or(0)];
        let image = rows[failures.iter().rposition(Option::is_none).unwrap_or(0)];
        for (&row, failure) in rows.iter().zip(failures).filter(|&(&row, _)| row != image) {
            let reason = match failure {
                Some(failure) => failure.to_string(),
                None => format!("line {} has the same id `{}`", self.rows[image].line, self.rows[image].id),
            };
            self.skipped.push(SkippedLine { line: self.rows[row].line, reason });
        }
        Ok((place, image))
    }
}

/// The row of one line; `None` if the line is blank. The error is the reason why it is not a row.
fn parse_row(line: &Line<'_>) -> Result<Option<ImageRow>, String> {
    let bytes = line.bytes.ok_or("longer than 256 MiB")?;
    let whole = str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let text = strip(whole);
    let Some((id, rest)) = text.split_once('\t') else {
        return if text.is_empty() { Ok(None) } else { Err("no tab between id and image".to_owned()) };
    };
    let image = rest.split_once('\t').map_or(rest, |(image, _)| image);
    Ok(Some(ImageRow {
        id: id.to_owned(),
        line: line.number,
        offset: line.offset + (n_leading_space(whole) + id.len() + 1) as u64,
        len: image.len() as u64,
        digest: *blake3::hash(image.as_bytes()).as_bytes(),
    }))
}

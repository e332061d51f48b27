//! Indexes the images of a MUGE TSV: `id`, a tab, base64.

use std::path::Path;

use super::{Form, ImagePlace, ImageRow, Images, ImagesFile, Selection, SkippedImage, too_long};
use crate::base64::without_data_url;
use crate::content::open_text;
use crate::lines::{Line, Lines, n_leading_space, strip};
use crate::{Alpha, DECODER_BYTES, DataError, Filter, Fit, Limits, Memory, Target};

/// The least number of bytes between checks for cancellation.
const WATCH_BYTES: u64 = 16 << 20;

impl Images {
    /// Reads a TSV once and indexes its images.
    ///
    /// A row has two or more fields; with `max_samples` only that many first rows count, decodable or not. A repeated
    /// id keeps the position of its first decodable row and the image of its last decodable one.
    ///
    /// # Errors
    /// When the file cannot be read or is not text, and [`DataError::Stopped`] when the work is cancelled.
    pub fn of_tsv(path: &Path, selection: &Selection<'_>) -> Result<Self, DataError> {
        let file = open_text(path)?;
        let to_scan = file.try_clone().map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let mut images = Self::new(vec![ImagesFile { path: path.to_owned(), name: None }], Form::Open(file));
        images.scan_lines(path, Lines::new(to_scan), selection)?;
        images.settle_repeated_ids()?;
        images.skipped.sort_by_key(|skipped| skipped.place.number);
        Ok(images)
    }

    fn scan_lines(&mut self, path: &Path, mut lines: Lines, selection: &Selection<'_>) -> Result<(), DataError> {
        let max_rows = selection.max_samples.unwrap_or(u64::MAX);
        let mut next_watch = WATCH_BYTES;
        while (self.rows.len() as u64) < max_rows {
            let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
            let Some(line) = line else { break };
            if line.offset >= next_watch {
                next_watch = line.offset + WATCH_BYTES;
                selection.go_on(path)?;
            }
            match parse_row(&line) {
                Ok(Some(row)) if (selection.keep)(&row.id) => self.rows.push(row),
                Ok(_) => {}
                Err(reason) => self.skip_line(line.number, reason),
            }
        }
        Ok(())
    }

    fn skip_line(&mut self, line: u64, reason: String) {
        self.skipped.push(SkippedImage { place: ImagePlace { file: None, number: Some(line) }, reason });
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
                None => format!("line {} has the same id `{}`", self.rows[image].number, self.rows[image].id),
            };
            self.skip_line(self.rows[row].number, reason);
        }
        Ok((place, image))
    }
}

/// The row of one line; `None` if the line is blank. The error is the reason why it is not a row.
fn parse_row(line: &Line<'_>) -> Result<Option<ImageRow>, String> {
    let bytes = line.bytes.ok_or_else(too_long)?;
    let whole = str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let text = strip(whole);
    let Some((id, rest)) = text.split_once('\t') else {
        let reason = match whole.contains('\t') {
            true if whole[..n_leading_space(whole)].contains('\t') => "no id before the tab",
            true => "no image after the tab",
            false => "no tab between id and image",
        };
        return if text.is_empty() { Ok(None) } else { Err(reason.to_owned()) };
    };
    let field = rest.split_once('\t').map_or(rest, |(image, _)| image);
    let image = without_data_url(field.as_bytes());
    let n_before = n_leading_space(whole) + id.len() + 1 + (field.len() - image.len());
    Ok(Some(ImageRow {
        id: id.to_owned(),
        file: 0,
        number: line.number,
        offset: line.offset + n_before as u64,
        len: image.len() as u64,
        digest: *blake3::hash(image).as_bytes(),
        is_base64: true,
    }))
}

//! Collects the images that the files of a data set hold, each id once.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::index::{self, FileIndex, KeepIndex};
use super::{Clashes, FILES_BYTES, Form, ImagePlace, ImageRow, Images, ImagesFile, Selection, SkippedImage};
use crate::json_line::shortened;
use crate::{DataError, Memory};

/// Something that a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// An image.
    Row(ImageRow),
    /// Something else in this place, counted from 1; 0 for the whole file.
    Skipped { number: u64, reason: String },
}

/// Takes what a file holds, piece by piece, until it has enough.
pub(super) type Take<'a> = dyn FnMut(Found) -> ControlFlow<()> + 'a;

/// Passes on what the file with this index holds.
pub(super) type Scan<'a> = dyn Fn(u32, &mut Take<'_>) -> Result<(), DataError> + Sync + 'a;

impl Images {
    pub(super) fn new(files: Vec<ImagesFile>, form: Form) -> Self {
        let (rows, skipped, remarks) = (Vec::new(), Vec::new(), Vec::new());
        Self { files, form, rows, skipped, clashes: None, remarks, memory: Memory::new(FILES_BYTES) }
    }

    /// Scans all files, side by side unless only the first images are wanted. The first image of an id counts.
    pub(super) fn collect(&mut self, selection: &Selection<'_>, scan: &Scan<'_>) -> Result<(), DataError> {
        let n_files = u32::try_from(self.files.len()).expect("files are fewer than names fit into memory");
        let mut seen = HashMap::new();
        if selection.max_samples.is_some() {
            for file in 0..n_files {
                let mut is_enough = false;
                scan(file, &mut |found| {
                    let flow = self.add(file, found, selection, &mut seen);
                    is_enough = flow.is_break();
                    flow
                })?;
                if is_enough {
                    break;
                }
            }
            return Ok(());
        }
        let all: Vec<Option<Vec<Found>>> = (0..n_files)
            .into_par_iter()
            .map(|file| self.held(file, selection, false, scan))
            .collect::<Result<_, DataError>>()?;
        for (file, held) in (0..n_files).zip(all) {
            // Another process was making this index.
            let held = held.map_or_else(|| self.held(file, selection, true, scan), |held| Ok(Some(held)))?;
            for found in held.unwrap_or_default() {
                let _ = self.add(file, found, selection, &mut seen);
            }
        }
        Ok(())
    }

    /// The images to take of a file and what else it holds, from its kept index if there is one. `None` if another
    /// process makes that now and this one does not wait.
    fn held(
        &self,
        file: u32,
        selection: &Selection<'_>,
        waits: bool,
        scan: &Scan<'_>,
    ) -> Result<Option<Vec<Found>>, DataError> {
        let whole = || {
            let mut held = Vec::new();
            scan(file, &mut |found| {
                held.push(found);
                ControlFlow::Continue(())
            })?;
            Ok(held)
        };
        let held = match selection.kept_index() {
            None => Some(whole()?),
            Some(keep) => self.kept(file, waits, &whole, keep)?,
        };
        // The index has all images of the file; of all files together, only those that are taken are held.
        let is_taken = |found: &Found| !matches!(found, Found::Row(row) if !(selection.keep)(&row.id));
        Ok(held.map(|held| held.into_iter().filter(is_taken).collect()))
    }

    /// What the kept index of a file has, as [`Images::held`].
    fn kept(
        &self,
        file: u32,
        waits: bool,
        whole: &dyn Fn() -> Result<Vec<Found>, DataError>,
        keep: &KeepIndex<'_>,
    ) -> Result<Option<Vec<Found>>, DataError> {
        let read = |bytes: &[u8]| index::of_bytes(bytes, file, self.n_bytes(file));
        let found = Cell::new(None);
        let fits = |bytes: &[u8]| {
            let held = read(bytes);
            let is_one = held.is_some();
            found.set(held);
            is_one
        };
        let index = FileIndex { make: &|| Ok(index::to_bytes(&whole()?)), fits: &fits };
        let Some(bytes) = keep(&self.files[file as usize], waits, &index)? else { return Ok(None) };
        // One that was just made has not been read yet; it may be that of a file which is gone meanwhile.
        found.take().or_else(|| read(&bytes)).map_or_else(whole, Ok).map(Some)
    }

    /// The length of a file whose rows are ranges of it; `None` for a table. A file that is gone has no range.
    fn n_bytes(&self, file: u32) -> Option<u64> {
        let of_file = |file: &ImagesFile| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        (!matches!(self.form, Form::Tables(_))).then(|| of_file(&self.files[file as usize]))
    }

    /// Breaks once there are enough images.
    fn add(
        &mut self,
        file: u32,
        found: Found,
        selection: &Selection<'_>,
        seen: &mut HashMap<String, usize>,
    ) -> ControlFlow<()> {
        let row = match found {
            Found::Skipped { number, reason } => {
                self.skip(file, number, reason);
                return ControlFlow::Continue(());
            }
            Found::Row(row) if !(selection.keep)(&row.id) => return ControlFlow::Continue(()),
            Found::Row(row) => row,
        };
        match seen.get(&row.id) {
            // Tables with a row for each caption repeat their images.
            Some(first) if self.rows[*first].digest == row.digest => {}
            Some(first) => {
                let (first, place) = (self.place(&self.rows[*first]), self.place(&row));
                let reason = format!("{first} has another image with the id `{}`", shortened(&row.id));
                self.skip(file, row.number, reason);
                let all = self.clashes.get_or_insert(Clashes { n_images: 0, id: row.id, place, first });
                all.n_images += 1;
            }
            None => {
                seen.insert(row.id.clone(), self.rows.len());
                self.rows.push(row);
            }
        }
        match selection.max_samples {
            Some(max_samples) if self.rows.len() as u64 >= max_samples => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn skip(&mut self, file: u32, number: u64, reason: String) {
        let file = self.files[file as usize].name.clone();
        let place = ImagePlace { file, number: (number > 0).then_some(number) };
        self.skipped.push(SkippedImage { place, reason });
    }
}

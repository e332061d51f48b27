//! Turns the rows of tables into queries: one for each caption, with the images that the row names.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::columns::Resolved;
use super::{Cell, QueryColumns, Record, Table, TableForm};
use crate::image_names::ImageIdPart;
use crate::json_line::shortened;
use crate::lines::strip;
use crate::queries::{must_be_one, repeated_ids};
use crate::{DataError, ImagePlace, ImagesFile, QueryRow, RowFilter, SkippedImage, ValuesWithoutRows};

/// The longest id, in bytes: a longer text is an image in base64.
const MAX_ID_BYTES: usize = 4096;

/// The tables to read, and how.
pub struct QueryTable<'a> {
    /// The form of all files.
    pub form: TableForm,
    /// The files, in the order of their rows.
    pub files: &'a [ImagesFile],
    /// The columns that the caller names.
    pub columns: &'a QueryColumns,
    /// The rows to take; all when absent.
    pub filter: Option<&'a RowFilter>,
    /// The part of an image's path that is its id; the path as written when absent, and the key in tars.
    pub image_id: Option<ImageIdPart>,
    /// Whether the caller has cancelled the work.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// The queries of tables.
#[derive(Debug, Default)]
pub struct TableQueries {
    /// The queries, in the order of the rows and of the captions in a row.
    pub rows: Vec<QueryRow>,
    /// The places that gave none, in order.
    pub skipped: Vec<SkippedImage>,
    /// Sentences about what is odd.
    pub remarks: Vec<String>,
    /// The lines or rows of the queries in their files.
    numbers: Vec<u64>,
    /// The number of captions so far of each image that is the first of a query.
    n_captions: HashMap<String, u64>,
    n_without_id: u64,
    /// Values of the split that no row has.
    pub values_without_rows: Option<ValuesWithoutRows>,
    /// The values of the column of the split that rows have, as far as they are few.
    values: BTreeSet<String>,
}

impl QueryTable<'_> {
    /// Reads all files.
    ///
    /// A query without an id of its own gets that of its first image and the number of its caption among those of the
    /// image, such as `7.jpg#0`, which does not change when rows of other images are added.
    ///
    /// # Errors
    /// When a file cannot be read or lacks a column, and [`DataError::Stopped`] when the work is cancelled.
    pub fn read(&self) -> Result<TableQueries, DataError> {
        let mut queries = TableQueries::default();
        let mut shared = SharedKeys::default();
        for (file_idx, file) in self.files.iter().enumerate() {
            let n_before = queries.rows.len();
            let (table, columns) = Table::open(self.form, file, self.columns, self.filter, self.image_id)?;
            table.read(&columns, &mut |(number, record)| {
                if (self.is_cancelled)() {
                    return Err(DataError::Stopped { path: file.path.clone() });
                }
                let added = record.and_then(|record| self.add(&mut queries, number, record, &columns));
                if let Err(reason) = added {
                    let place = ImagePlace { file: file.name.clone(), number: Some(number) };
                    queries.skipped.push(SkippedImage { place, reason });
                }
                Ok(())
            })?;
            // Samples that name images by a column may share them.
            if self.form == TableForm::Tar && columns.images.is_none() {
                let (rows, numbers) = (&queries.rows[n_before..], &queries.numbers[n_before..]);
                shared.add(rows, numbers, file_idx);
            }
        }
        queries.remarks.extend(shared.remark());
        queries.values_without_rows = self.filter.and_then(|filter| filter.values_without_rows(&queries.values));
        queries.remark(self.files.len());
        Ok(queries)
    }

    fn add(&self, queries: &mut TableQueries, number: u64, record: Record, columns: &Resolved) -> Result<(), String> {
        if let Some(filter) = self.filter {
            match &record.filter {
                Cell::One(value) => {
                    filter.note(value, &mut queries.values);
                    if !filter.values.contains(value) {
                        return Ok(());
                    }
                }
                Cell::Absent => return Ok(()),
                _ => return Err(format!("`{}` is no single text", filter.column)),
            }
        }
        let texts = texts_of(record.text, &columns.text)?;
        let images = self.images_of(record.images, columns.images.as_deref().unwrap_or("the image"))?;
        let ids = ids_of(record.id, texts.len(), columns.id.as_deref().unwrap_or_default())?;
        for (text, id) in texts.into_iter().zip(ids) {
            let first_image = images.as_ref().and_then(|images| images.first());
            let id = id.or_else(|| {
                let n_captions = queries.n_captions.entry(first_image?.clone()).or_default();
                *n_captions += 1;
                Some(format!("{}#{}", first_image?, *n_captions - 1))
            });
            queries.n_without_id += u64::from(id.is_none());
            queries.rows.push(QueryRow { id, text, image_ids: images.clone() });
            queries.numbers.push(number);
        }
        Ok(())
    }

    /// The relevant images of a row.
    fn images_of(&self, cell: Cell, column: &str) -> Result<Option<Vec<String>>, String> {
        let ids = match cell {
            Cell::Absent => return Ok(None),
            Cell::One(id) if id.is_empty() => return Ok(None),
            Cell::One(id) => vec![id],
            Cell::Many(ids) => ids,
            Cell::Wrong(what) => return Err(format!("`{column}` is {what}, which is no id")),
        };
        ids.iter().try_for_each(|id| must_be_one(column, id))?;
        if let Some(id) = ids.iter().find(|id| id.len() > MAX_ID_BYTES) {
            return Err(format!("`{column}` holds {} bytes, which are no id", id.len()));
        }
        // The ids of samples are parts already, and places are none of paths.
        let part = self.image_id.filter(|part| self.form != TableForm::Tar && *part != ImageIdPart::Place);
        Ok(Some(ids.into_iter().map(|id| part.map_or(id.clone(), |part| part.of(&id).to_owned())).collect()))
    }
}

/// The samples of tars whose image an earlier sample has, too.
#[derive(Default)]
struct SharedKeys {
    /// The file and the number of the first sample with an image.
    first_with: HashMap<String, (usize, u64)>,
    /// The samples whose first is in the same tar, and in another.
    n_samples: [usize; 2],
}

impl SharedKeys {
    /// Counts the samples of a file, given its queries with the numbers of their samples.
    fn add(&mut self, rows: &[QueryRow], numbers: &[u64], file_idx: usize) {
        let mut counted = None;
        for (row, number) in rows.iter().zip(numbers) {
            let Some(id) = row.image_ids.as_ref().and_then(|ids| ids.first()) else { continue };
            let first = *self.first_with.entry(id.clone()).or_insert((file_idx, *number));
            // A sample may have several captions.
            if first != (file_idx, *number) && counted != Some(*number) {
                counted = Some(*number);
                self.n_samples[usize::from(first.0 != file_idx)] += 1;
            }
        }
    }

    fn remark(&self) -> Option<String> {
        let [_, n_in_others] = self.n_samples;
        let samples_have = match self.n_samples.iter().sum() {
            0 => return None,
            1 => "1 sample has the key of an earlier sample, and its captions count for the image of that".to_owned(),
            n => {
                format!("{n} samples have the key of an earlier sample, and their captions count for the image of that")
            }
        };
        let way = match n_in_others {
            0 => "within a tar, each sample needs a key of its own",
            _ => "`image_id: place` here and in `decode-images` puts the name of the tar before the key",
        };
        Some(format!("{samples_have}; {way}"))
    }
}

fn texts_of(cell: Cell, column: &str) -> Result<Vec<String>, String> {
    let texts = match cell {
        Cell::Absent => return Err(format!("no text: `{column}` is empty")),
        Cell::One(text) => vec![text],
        Cell::Many(texts) => texts,
        Cell::Wrong(what) => return Err(format!("`{column}` is {what}, which is no text")),
    };
    if texts.iter().all(|text| strip(text).is_empty()) {
        return Err(format!("no text: `{column}` is empty"));
    }
    // What Python prints of a list is no list of JSON, and no caption.
    let is_printed = |text: &&String| text.starts_with("['") && text.ends_with(']');
    match texts.iter().find(is_printed) {
        Some(text) => Err(format!("`{column}` is the text `{}`, not a list: write it as JSON", shortened(text))),
        None => Ok(texts),
    }
}

/// An id for each text.
fn ids_of(cell: Cell, n_texts: usize, column: &str) -> Result<Vec<Option<String>>, String> {
    match cell {
        Cell::Absent => Ok(vec![None; n_texts]),
        Cell::One(id) if id.is_empty() => Ok(vec![None; n_texts]),
        Cell::One(id) if n_texts == 1 => Ok(vec![Some(id)]),
        Cell::One(id) => Ok((0..n_texts).map(|idx| Some(format!("{id}#{idx}"))).collect()),
        Cell::Many(ids) if ids.len() == n_texts => Ok(ids.into_iter().map(Some).collect()),
        Cell::Many(ids) => Err(format!("`{column}` has {} ids for {n_texts} texts", ids.len())),
        Cell::Wrong(what) => Err(format!("`{column}` is {what}, which is no id")),
    }
}

impl TableQueries {
    fn remark(&mut self, n_files: usize) {
        let n_unlabelled = self.rows.iter().filter(|row| row.image_ids.is_none()).count();
        if n_unlabelled > 0 {
            let all = if n_unlabelled == self.rows.len() {
                "; `columns: { item_ids: … }` names the column of images"
            } else {
                ""
            };
            self.remarks.push(format!("{n_unlabelled} of {} queries name no image{all}", self.rows.len()));
        }
        if self.n_without_id > 0 {
            self.remarks.push(format!("{} of {} queries have no id", self.n_without_id, self.rows.len()));
        }
        // A line alone names a row of one file.
        if n_files == 1 {
            self.remarks.extend(repeated_ids(&self.rows, &self.numbers).iter().map(ToString::to_string));
        } else {
            let n_repeated: u64 = repeated_ids(&self.rows, &self.numbers).iter().map(|remark| remark.n_lines).sum();
            if n_repeated > 0 {
                self.remarks
                    .push(format!("{n_repeated} queries repeat the id of an earlier one, and each counts by itself"));
            }
        }
    }

    /// Makes one query of all with the same text, which has the images of all; the first stays where it is.
    #[must_use]
    pub fn grouped(rows: Vec<QueryRow>) -> Vec<QueryRow> {
        let mut first_with: HashMap<String, usize> = HashMap::new();
        let mut named: HashSet<(usize, String)> = HashSet::new();
        let mut grouped: Vec<QueryRow> = Vec::new();
        for row in rows {
            let first = *first_with.entry(row.text.clone()).or_insert(grouped.len());
            if first == grouped.len() {
                grouped.push(QueryRow { image_ids: None, ..row.clone() });
            }
            let Some(ids) = row.image_ids else { continue };
            let all = grouped[first].image_ids.get_or_insert_default();
            all.extend(ids.into_iter().filter(|id| named.insert((first, id.clone()))));
        }
        grouped
    }
}

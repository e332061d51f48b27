//! Finds data sets that are folders of images with a table of their names and captions: CSV, TSV or JSON Lines.

use std::fs;
use std::path::{Path, PathBuf};

use pipeline_data::{ImagesFile, QueryColumns, QueryTable, TableForm, is_image_name, table_columns};

use super::data_set::{DataSet, StageData, TRAIN, VALID, inner_folders, names_in};

/// The largest table that is read to see whether it names images, in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 30;

/// The most names of a table that are looked for.
const MAX_LOOKED_FOR: usize = 100;

/// The parts of a data set that is not divided yet.
const PARTS: &str = "of: { train: 0.8, valid: 0.2 }";

/// Images and the table that names them.
struct Photos {
    images: PathBuf,
    table: PathBuf,
    columns: QueryColumns,
}

/// The data set in a folder: one for each split in folders such as `train` and `valid`, or one that is divided by the
/// hash of the names. `None` unless there is exactly one table whose names are those of images.
pub(super) fn data_set_in(folder: &Path) -> Option<DataSet> {
    let inner = inner_folders(folder);
    let of_split = |words: &[&str]| {
        // In the order of the words, so that a test split takes the place of a validation split only where there is
        // none.
        let of_word = |word: &&str| inner.iter().find(|path| path.file_name().is_some_and(|name| name == *word));
        words.iter().filter_map(of_word).find_map(|path| photos_in(path))
    };
    if let (Some(train), Some(valid)) = (of_split(TRAIN), of_split(&[VALID, &["validation", "test"]].concat())) {
        return Some(DataSet {
            train_images: train.images(""),
            train_queries: train.queries(""),
            valid_images: valid.images(""),
            valid_queries: valid.queries(""),
        });
    }
    let photos = photos_in(folder)?;
    let [train, valid] = ["train", "valid"].map(|part| format!(", split: {{ part: {part}, {PARTS} }}"));
    Some(DataSet {
        train_images: photos.images(&train),
        train_queries: photos.queries(&train),
        valid_images: photos.images(&valid),
        valid_queries: photos.queries(&valid),
    })
}

impl Photos {
    fn images(&self, more: &str) -> StageData {
        StageData { path: self.images.clone(), more: more.to_owned() }
    }

    fn queries(&self, more: &str) -> StageData {
        let column =
            |name: &Option<String>| name.as_ref().map(|name| serde_json::Value::from(name.as_str()).to_string());
        let columns = [("text", &self.columns.text), ("id", &self.columns.id), ("item_ids", &self.columns.image_ids)];
        let columns = columns.iter().filter_map(|(key, name)| Some(format!("{key}: {}", column(name)?)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        StageData { path: self.table.clone(), more: format!(", columns: {{ {columns} }}{more}") }
    }
}

/// The only table in a folder that names images in it, or in one of its folders.
fn photos_in(folder: &Path) -> Option<Photos> {
    let tables = names_in(folder).into_iter().filter_map(|name| {
        let form = form_of(&name)?;
        photos_of(&folder.join(name), form)
    });
    let mut found: Vec<Photos> = tables.collect();
    // A table for people and one for programs often say the same.
    found.dedup_by(|a, b| a.images == b.images && a.table.file_stem() == b.table.file_stem());
    if found.len() == 1 { found.pop() } else { None }
}

fn form_of(name: &str) -> Option<TableForm> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension {
        "csv" => Some(TableForm::Csv),
        "tsv" => Some(TableForm::Tsv),
        "jsonl" => Some(TableForm::JsonLines),
        _ => None,
    }
}

fn photos_of(table: &Path, form: TableForm) -> Option<Photos> {
    if fs::metadata(table).ok()?.len() > MAX_TABLE_BYTES {
        return None;
    }
    let columns = table_columns(form, table).ok().filter(|columns| columns.image_ids.is_some())?;
    let files = [ImagesFile { path: table.to_owned(), name: None }];
    let read =
        QueryTable { form, files: &files, columns: &columns, filter: None, image_id: None, is_cancelled: &|| false };
    let rows = read.read().ok()?.rows;
    let named: Vec<&String> =
        rows.iter().filter_map(|row| row.image_ids.as_ref()?.first()).take(MAX_LOOKED_FOR).collect();
    let folder = table.parent()?;
    let mut roots = vec![folder.to_owned()];
    roots.extend(inner_folders(folder));
    // An absolute path lies in no folder: ids of images are relative.
    let root_has = |root: &Path, name: &str| Path::new(name).is_relative() && root.join(name).is_file();
    let has_most = |root: &PathBuf| {
        let n_there = named.iter().filter(|name| is_image_name(name) && root_has(root, name)).count();
        n_there > 0 && 2 * n_there >= named.len()
    };
    let images = roots.into_iter().find(has_most)?;
    Some(Photos { images, table: table.to_owned(), columns })
}

//! The images that `path` names: a MUGE TSV, a folder, tars or Parquet files, and which of them are taken.

use std::path::{Path, PathBuf};

use pipeline_core::{Source, SourceFile, StageError};
use pipeline_data::{
    DataError, FolderFile, ImageColumns, ImageIdPart, Images, ImagesFile, KeepIndex, Pattern, Selection, is_image_name,
};

use super::params::DecodeImagesParams;
use crate::artifact;
use crate::load_queries::must_be_a_file;
use crate::split::Split;
use crate::table_files::{self, PathWords, extension};

/// Lists the files of a folder that is a source.
pub type ListFolder<'a> = dyn Fn(&Path) -> Result<Vec<SourceFile>, StageError> + 'a;

const WORDS: PathWords = PathWords {
    what: "the image file",
    help: "a MUGE image file such as MR_valid_imgs.tsv, a folder of images, or .tar or .parquet files",
};

/// How deep and how far `check` looks for an image in a folder.
const MAX_DEPTH: usize = 8;
const MAX_ENTRIES: usize = 10_000;

/// The form of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageForm {
    /// `id`, a tab, base64.
    Tsv,
    /// A folder of image files.
    Folder,
    /// Tars of image files.
    Tar,
    /// Parquet with a column of images.
    Parquet,
}

impl ImageForm {
    /// The form by the name of a file, or that of a folder.
    pub(super) fn of(path: &Path) -> Self {
        match extension(path).as_str() {
            _ if path.is_dir() => Self::Folder,
            "tar" => Self::Tar,
            "parquet" | "pq" => Self::Parquet,
            _ => Self::Tsv,
        }
    }

    /// The word of manifests; `None` where the content of the source shows the form.
    pub(super) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Tsv | Self::Folder => None,
            Self::Tar => Some("tar"),
            Self::Parquet => Some("parquet"),
        }
    }
}

/// The sources of a stage.
pub(super) fn sources(path: &Path) -> Result<Vec<Source>, StageError> {
    match ImageForm::of(path) {
        ImageForm::Folder => Ok(vec![Source { name: "path".into(), path: path.to_owned() }]),
        ImageForm::Tsv if Pattern::of(path).is_some() => {
            let message = format!(
                "`path: {}` stands for several files, and must end in .tar or .parquet for that",
                path.display()
            );
            let help =
                "all files of a pattern have one form: end it in .tar or .parquet; a folder of images is named itself";
            Err(StageError::new(message).with_help(help))
        }
        ImageForm::Tsv => {
            must_be_a_file(path, "path", WORDS.what, WORDS.help)?;
            Ok(vec![Source { name: "path".into(), path: path.to_owned() }])
        }
        ImageForm::Tar | ImageForm::Parquet => Ok(table_files::sources(&table_files::files(path, &WORDS)?)),
    }
}

/// The params of a stage that choose images, and the images' form.
pub(super) struct Origin<'a> {
    path: &'a Path,
    pub(super) form: ImageForm,
    columns: ImageColumns,
    id: Option<ImageIdPart>,
    split: Option<&'a Split>,
    pub(super) max_samples: Option<u64>,
}

impl<'a> Origin<'a> {
    pub(super) fn new(params: &'a DecodeImagesParams, split: Option<&'a Split>) -> Self {
        let path = params.path.path();
        let id = params.image_id.map(|part| part.part());
        let columns = params.columns.as_ref().map(|columns| columns.columns()).unwrap_or_default();
        Self {
            path,
            form: ImageForm::of(path),
            columns: ImageColumns { has_place_ids: id == Some(ImageIdPart::Place), ..columns },
            id,
            split,
            max_samples: params.max_samples,
        }
    }

    /// Refuses params without a meaning for this form, and columns and folders without images, as far as the beginning
    /// of the data shows. What is missing is no mistake.
    pub(super) fn check(&self) -> Result<(), StageError> {
        self.check_params()?;
        match self.form {
            ImageForm::Tsv => Ok(()),
            ImageForm::Folder => match has_image(self.path, MAX_DEPTH, &mut MAX_ENTRIES.clone()) {
                true => Ok(()),
                false => Err(self.no_images()),
            },
            ImageForm::Tar | ImageForm::Parquet => {
                let Ok(mut files) = table_files::files(self.path, &WORDS) else { return Ok(()) };
                files.truncate(1);
                let stop = &|| false;
                let first = Selection { max_samples: Some(1), keep: &|_| true, is_cancelled: stop, index: None };
                // A row of another split is no fault of the first file.
                let images = self.read(files, None, &first).map_err(failed)?;
                match images.rows().is_empty() && images.skipped().is_empty() && self.split.is_none() {
                    true => Err(self.no_images()),
                    false => Ok(()),
                }
            }
        }
    }

    fn check_params(&self) -> Result<(), StageError> {
        let has_no_meaning = |name: &str, what: &str| {
            Err(StageError::new(format!("`{name}` has no meaning for `{}`: {what}", self.path.display())))
        };
        let is_table = self.form == ImageForm::Parquet;
        let has_places = matches!(self.form, ImageForm::Tar | ImageForm::Parquet);
        match self.id {
            Some(ImageIdPart::Place) if !has_places => {
                return has_no_meaning("image_id: place", "tars and Parquet have places; `path` is that in a folder");
            }
            Some(ImageIdPart::Place) if self.columns.id.is_some() => {
                return has_no_meaning("image_id: place", "`columns: { id: … }` names the ids");
            }
            Some(part) if part != ImageIdPart::Place && (is_table || self.form == ImageForm::Tsv) => {
                return has_no_meaning(
                    "image_id",
                    "its rows have ids of their own; paths of folders and tars have parts",
                );
            }
            _ => {}
        }
        if self.columns.id.is_some() && !is_table
            || self.columns.image.is_some() && !is_table && self.form != ImageForm::Tar
        {
            return has_no_meaning("columns", "only Parquet has columns, and tars have an `image` extension");
        }
        if let (Some(Split::Column(filter)), false) = (self.split, is_table) {
            let message = format!(
                "`split` by the column `{}` needs a table, and `{}` is none",
                filter.column,
                self.path.display()
            );
            return Err(StageError::new(message).with_help(
                "split the captions by the column, and give them to this stage as `inputs: { queries: … }`: it then \
                 takes only the images that they name",
            ));
        }
        Ok(())
    }

    fn no_images(&self) -> StageError {
        let message = format!("`{}` has no images by their names", self.path.display());
        let there = match self.path.is_dir() {
            true => format!("; {}{}", table_files::listing(self.path), table_files::way_to_files(self.path)),
            false => String::new(),
        };
        StageError::new(message)
            .with_help(format!("images are .jpg, .jpeg, .png, .webp, .gif, .bmp and .tif files{there}"))
    }

    /// Indexes the images that are taken: those of the split, and among these those that `keep` keeps.
    pub(super) fn open(
        &self,
        list: &ListFolder<'_>,
        keep: &(dyn Fn(&str) -> bool + Sync),
        is_cancelled: &(dyn Fn() -> bool + Sync),
        index: Option<&KeepIndex<'_>>,
    ) -> Result<Images, StageError> {
        let split = self.split;
        let keep = |id: &str| Split::takes(split, id) && keep(id);
        let selection = Selection { max_samples: self.max_samples, keep: &keep, is_cancelled, index };
        let images = match self.form {
            ImageForm::Tsv => Images::of_tsv(self.path, &selection),
            ImageForm::Folder => {
                let file = |file: SourceFile| FolderFile {
                    name: file.name,
                    path: file.path,
                    content: file.content.map(|digest| *digest.as_bytes()).map_err(|error| error.to_string()),
                };
                let files = list(self.path)?.into_iter().map(file).collect();
                Images::of_folder(files, self.id_part(), &selection)
            }
            ImageForm::Tar | ImageForm::Parquet => {
                self.read(table_files::files(self.path, &WORDS)?, Split::filter(split), &selection)
            }
        };
        let is_image = self.path.file_name().and_then(|name| name.to_str()).is_some_and(is_image_name);
        images.map_err(|error| match (failed(error), self.path.parent()) {
            (error, Some(folder)) if is_image && error.help.is_none() => {
                error.with_help(format!("a folder of images is named itself: `path: {}`", folder.display()))
            }
            (error, _) => error,
        })
    }

    /// Fails where the split takes no row of the files, whatever queries name, and says which values their column has.
    ///
    /// # Errors
    /// Then, and when they cannot be read.
    pub(super) fn must_take_rows(&self, images: &Images) -> Result<(), StageError> {
        let is_empty = images.rows().is_empty() && images.skipped().is_empty();
        let Some(filter) = Split::filter(self.split).filter(|_| is_empty && self.form == ImageForm::Parquet) else {
            return Ok(());
        };
        let missing = filter.values_without_rows_in(&table_files::files(self.path, &WORDS)?).map_err(failed)?;
        match missing.filter(|missing| missing.are_all) {
            Some(missing) => Err(Split::takes_no_row(self.path, "images", &missing.reason)),
            None => Ok(()),
        }
    }

    /// The params that decide what a file holds, as JSON. Which of its images are taken is no part of that, except for
    /// the rows of a split by a column.
    pub(super) fn index_params(&self, file: &ImagesFile) -> Vec<(&'static str, String)> {
        let text = |text: &Option<String>| serde_json::Value::from(text.as_deref()).to_string();
        let form = self.form.word().map(str::to_owned);
        let image = ("image", text(&self.columns.image));
        if self.form == ImageForm::Tar {
            let id_part = self.id_part();
            let part = serde_json::Value::from(format!("{id_part:?}").to_lowercase());
            let name = (id_part == ImageIdPart::Place).then(|| ("name", text(&Some(file.own_name()))));
            let params = vec![("form", text(&form)), image, ("image_id", part.to_string())];
            return params.into_iter().chain(name).collect();
        }
        let filter = Split::filter(self.split).map(|filter| (&filter.column, &filter.values));
        // Images without an id are named by their file.
        let is_place = self.columns.has_place_ids;
        let name = if is_place { Some(file.own_name()) } else { file.name.clone() };
        let (id, name) = (("id", text(&self.columns.id)), ("name", text(&name)));
        let place = is_place.then(|| ("image_id", "\"place\"".to_owned()));
        let params = vec![("form", text(&form)), image, id, name, ("split", serde_json::json!(filter).to_string())];
        params.into_iter().chain(place).collect()
    }

    /// Whether each row of a table is an image of its own.
    pub(super) fn has_ids_of_rows(&self) -> bool {
        self.form == ImageForm::Parquet && self.columns.has_place_ids
    }

    fn id_part(&self) -> ImageIdPart {
        self.id.unwrap_or(if self.form == ImageForm::Folder { ImageIdPart::Path } else { ImageIdPart::Key })
    }

    fn read(
        &self,
        files: Vec<ImagesFile>,
        filter: Option<&pipeline_data::RowFilter>,
        selection: &Selection<'_>,
    ) -> Result<Images, DataError> {
        match self.form {
            ImageForm::Parquet => Images::of_tables(files, &self.columns, filter, selection),
            _ => Images::of_tars(files, self.columns.image.as_deref(), self.id_part(), selection),
        }
    }
}

fn failed(error: DataError) -> StageError {
    artifact::unreadable("the images cannot be read", error)
}

/// Whether a folder holds an image by its name. True where it has too many files to look at.
fn has_image(folder: &Path, depth: usize, n_left: &mut usize) -> bool {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let Some(left) = n_left.checked_sub(1) else { return true };
        *n_left = left;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_image_name) {
            return true;
        }
        if entry.path().is_dir() && !name.as_encoded_bytes().starts_with(b".") {
            folders.push(entry.path());
        }
    }
    match depth.checked_sub(1) {
        Some(depth) => folders.iter().any(|folder| has_image(folder, depth, n_left)),
        None => !folders.is_empty(),
    }
}

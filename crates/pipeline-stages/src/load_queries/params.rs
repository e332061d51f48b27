//! The params of `load-queries`, and the form of the files.

use std::path::Path;

use pipeline_core::StageError;
use pipeline_data::{DataError, ImagesFile, Pattern, QueryColumns, TableForm, check_table};
use pipeline_spec::{Node, SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode_images::ImageIdName;
use crate::split::{Split, SplitParams};
use crate::table_files::{self, PathWords, extension};

/// The name of a table of images and captions beside them, by the convention of Hugging Face.
const METADATA: &str = "metadata.jsonl";

/// The params of `load-queries`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadQueriesParams {
    /// The queries: JSON Lines with `query_id`, `query_text` and `item_ids`, or `text_id`, `text` and `image_ids`; or a
    /// table by its extension: `.csv`, `.tsv`, `.parquet`, or `.tar` as of WebDataset. `*`, `{a,b}` and `{000..009}`
    /// name several tables.
    // Not part of the manifest: the content is, as sources.
    #[serde(skip_serializing)]
    pub(super) path: SpecPath,
    // The params below are absent from manifests while they mean what was done before they were there.
    /// The columns, where they have other names than usual. With them, JSON Lines are a table, too; `a.b` is the field
    /// `b` of the objects in `a`, and `json.caption` that of the `.json` of a tar's samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) columns: Option<ColumnsParams>,
    /// The part of an image's path that is its id, as in `decode-images`; the path as it is written when absent, and
    /// `key` in tars. `place` is that of the image beside the caption, in tars and Parquet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_id: Option<ImageIdName>,
    /// One query of all rows with the same text, which has the images of all; each row is a query when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<Group>,
    /// The rows to take; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) split: Option<SplitParams>,
}

/// The columns of a table of queries.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnsParams {
    /// The texts; a list of texts makes a query of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The ids of the queries; without them, the id of the image and the number of its caption, such as `7.jpg#0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The ids of the relevant images, or their paths: one, or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item_ids: Option<String>,
}

/// The rows that make one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    /// Those with the same text.
    Text,
}

/// The form of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryForm {
    /// JSON Lines with the names of MUGE or Chinese-CLIP.
    Muge,
    /// A table with columns.
    Table(TableForm),
}

impl QueryForm {
    /// The word of manifests; `None` for the only form of earlier versions.
    pub(super) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Muge => None,
            Self::Table(TableForm::Csv) => Some("csv"),
            Self::Table(TableForm::Tsv) => Some("tsv"),
            Self::Table(TableForm::JsonLines) => Some("jsonl"),
            Self::Table(TableForm::Parquet) => Some("parquet"),
            Self::Table(TableForm::Tar) => Some("tar"),
        }
    }
}

const WORDS: PathWords = PathWords {
    what: "the query file",
    help: "a MUGE query file such as MR_valid_queries.jsonl, or a .csv, .tsv, .jsonl, .parquet or .tar file of \
    captions",
};

impl LoadQueriesParams {
    /// Reads and checks the params.
    pub(super) fn read(node: &Node) -> Result<Self, SpecError> {
        pipeline_spec::params(node)
    }

    pub(super) fn form(&self) -> QueryForm {
        let path = self.path.path();
        let is_metadata = path.file_name().is_some_and(|name| name == METADATA);
        match extension(path).as_str() {
            "csv" => QueryForm::Table(TableForm::Csv),
            "tsv" => QueryForm::Table(TableForm::Tsv),
            "parquet" | "pq" => QueryForm::Table(TableForm::Parquet),
            "tar" => QueryForm::Table(TableForm::Tar),
            _ if self.columns.is_some() || is_metadata => QueryForm::Table(TableForm::JsonLines),
            _ => QueryForm::Muge,
        }
    }

    pub(super) fn columns(&self) -> QueryColumns {
        let of = |name: fn(&ColumnsParams) -> &Option<String>| {
            self.columns.as_ref().and_then(|columns| name(columns).clone())
        };
        QueryColumns {
            text: of(|columns| &columns.text),
            id: of(|columns| &columns.id),
            image_ids: of(|columns| &columns.item_ids),
        }
    }

    /// The files that `path` stands for.
    ///
    /// # Errors
    /// When none is there.
    pub(super) fn files(&self) -> Result<Vec<ImagesFile>, StageError> {
        let path = self.path.path();
        if path.is_dir() {
            let inner = ["metadata.csv", METADATA, "metadata.parquet"].map(|name| path.join(name));
            let inner = inner.iter().find(|path| path.is_file());
            let help = match inner {
                Some(inner) => format!("`path` must name a file, such as `{}`", inner.display()),
                None => {
                    let way = table_files::way_to_files(path);
                    format!("`path` must name {}; {}{way}", WORDS.help, table_files::listing(path))
                }
            };
            return Err(StageError::new(format!("the query file `{}` is not a file", path.display())).with_help(help));
        }
        if self.form() == QueryForm::Muge && Pattern::of(path).is_some() {
            let message =
                format!("`path: {}` stands for several files, and only tables may be several", path.display());
            let help = "end it in .csv, .tsv, .parquet or .tar, name one file, or write `columns: { text: … }`: then \
                        JSON Lines are tables";
            return Err(StageError::new(message).with_help(help));
        }
        table_files::files(path, &WORDS)
    }

    /// Refuses params without a meaning for this form, and columns that are not there, as far as the beginning of the
    /// data shows. What is missing is no mistake.
    pub(super) fn check(&self, split: Option<&Split>) -> Result<(), StageError> {
        let path = self.path.path();
        let has_places = matches!(self.form(), QueryForm::Table(TableForm::Parquet | TableForm::Tar));
        if self.image_id == Some(ImageIdName::Place) && !has_places {
            let message =
                format!("`image_id: place` has no meaning for `{}`: it names images by itself", path.display());
            let help = "only captions in tars and Parquet have the image beside them, whose place is its id";
            return Err(StageError::new(message).with_help(help));
        }
        let QueryForm::Table(form) = self.form() else {
            if let Some(filter) = Split::filter(split) {
                let message = format!("`split` by the column `{}` needs `columns`, too", filter.column);
                return Err(StageError::new(message)
                    .with_help("write `columns: { text: … }`: then each line is a row of a table"));
            }
            return Ok(());
        };
        let Ok(files) = table_files::files(path, &WORDS) else { return Ok(()) };
        let Some(first) = files.first() else { return Ok(()) };
        let part = self.image_id.map(|part| part.part());
        let checked = check_table(form, &first.path, &self.columns(), Split::filter(split), part);
        match checked {
            // Another program may still be writing it; a run will say so.
            Err(DataError::Open { .. } | DataError::Read { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }
}

fn failed(path: &Path, error: DataError) -> StageError {
    StageError::because(format!("the queries of `{}` cannot be read", path.display()), error)
}

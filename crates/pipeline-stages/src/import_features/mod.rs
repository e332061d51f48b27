//! `import-text-features` and `import-image-features`: vectors that another tool has computed.

mod files;
mod rows;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::{
    Computation, Cut, Digest, InRows, OpenRows, Shard, ShardReport, ShardedStage, Source, Stage, StageContext,
    StageError, StageReport, StageWork, Work,
};
use pipeline_data::VectorShard;
use pipeline_models::checkpoint::FeatureSpace;
use pipeline_spec::{Node, SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, FeaturesInfo};
use crate::feature_spaces::Declared;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::published;
use crate::seconds::Seconds;
use files::Files;
use rows::Rows;

pub(crate) static TEXT_KIND: Kind = Kind {
    name: "import-text-features",
    version: 2,
    summary: "Takes the queries' vectors from .npy, .jsonl or Parquet of another tool",
    slots: Some(&[Slot::required("queries", Format::Queries, "the queries whose vectors are wanted, by id")]),
    produces: Format::TextFeatures,
    tokens: None,
    files: &[published::SHARDS, artifact::FEATURES],
    params_schema: schema::<ImportFeaturesParams>,
    build: build_text,
};

pub(crate) static IMAGE_KIND: Kind = Kind {
    name: "import-image-features",
    version: 2,
    summary: "Takes images' vectors from .npy, .jsonl or Parquet of another tool",
    slots: Some(&[]),
    produces: Format::ImageFeatures,
    tokens: None,
    files: &[published::SHARDS, artifact::FEATURES],
    params_schema: schema::<ImportFeaturesParams>,
    build: build_image,
};

/// The params of the two kinds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImportFeaturesParams {
    /// The file with the vectors, or a folder of such files, read in the order of the numbers in their names.
    // Not part of the manifest: the files' content is, as sources.
    #[serde(skip_serializing)]
    path: SpecPath,
    /// Required with `npy`: the ids of the rows, one per line, as a `.npy` of texts or integers, or as a list in a
    /// `.json`.
    // Not part of the manifest: the file's content is, as a source.
    #[serde(default, skip_serializing)]
    ids: Option<SpecPath>,
    /// The format of the files. When absent, it follows from their extensions, and a folder with `img_emb` or
    /// `text_emb` is clip-retrieval's.
    #[serde(default)]
    format: Option<FileFormat>,
    /// The field or column with the ids; when absent `image_id` or `text_id` of lines, `image_path` or `caption` of
    /// clip-retrieval's metadata, and `id` of Parquet.
    #[serde(default)]
    id_column: Option<String>,
    /// The field or column with the vectors; when absent `feature` of lines and `vector` of Parquet.
    #[serde(default)]
    vector_column: Option<String>,
    /// The part of an id that counts.
    #[serde(default)]
    id_part: IdPart,
    /// A name for the encoder of the vectors, such as `chinese-clip-vit-b-16`: heads that were trained on vectors with
    /// one name are refused for those with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<String>,
}

impl ImportFeaturesParams {
    /// The space of the vectors, as far as the spec declares it.
    fn space(&self) -> FeatureSpace {
        FeatureSpace { properties: self.encoder.iter().map(|name| ("encoder".to_owned(), name.clone())).collect() }
    }
}

/// The feature space of a stage with these params according to the spec.
pub(crate) fn declared(params: &Node) -> Option<Declared> {
    let params: ImportFeaturesParams = pipeline_spec::params(params).ok()?;
    Some(Declared { properties: params.encoder.map(|name| ("encoder", name)).into_iter().collect(), model: None })
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum FileFormat {
    /// NumPy: `[n, dim]` of f16, f32, f64 or integers, with `ids`.
    Npy,
    /// One JSON object per line, as Chinese-CLIP extracts features: an id and a list of numbers.
    Jsonl,
    /// Parquet with a column of ids and one of lists of numbers.
    Parquet,
    /// The folder that clip-retrieval's inference writes: `img_emb/*.npy`, `text_emb/*.npy`, `metadata/*.parquet`.
    ClipRetrieval,
}

/// The part of an id that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum IdPart {
    /// The whole id.
    #[default]
    Whole,
    /// The file name of a path, without its extension: `a/b/7.jpg` is `7`.
    FileStem,
}

/// The side of the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Text,
    Image,
}

struct ImportFeatures {
    kind: &'static Kind,
    side: Side,
    params: ImportFeaturesParams,
    /// The format of `path`, from the spec or its name.
    format: FileFormat,
}

fn build_text(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    build(context, &TEXT_KIND, Side::Text)
}

fn build_image(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    build(context, &IMAGE_KIND, Side::Image)
}

fn build(context: BuildContext<'_>, kind: &'static Kind, side: Side) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: ImportFeaturesParams = pipeline_spec::params(node)?;
    let Some(format) = params.format.or_else(|| files::format_of(params.path.path())) else {
        let message = format!("the name of `{}` does not show its format", params.path.written());
        let is_npz = params.path.path().extension().is_some_and(|ending| ending == "npz");
        let help = match is_npz {
            true => "an `.npz` holds several arrays; write the one of the vectors with `np.save`",
            false => "say it with `format: npy`, `jsonl`, `parquet` or `clip-retrieval`",
        };
        return Err(SpecError::at(span_of(node, "path"), message).with_help(help));
    };
    match (format, &params.ids) {
        (FileFormat::Npy, None) => Err(SpecError::at(span_of(node, "path"), "a `.npy` file has no ids of its own")
            .with_help("name a file with one id a line, or a `.npy` of ids, as `ids`")),
        (FileFormat::Jsonl | FileFormat::Parquet | FileFormat::ClipRetrieval, Some(_)) => {
            Err(SpecError::at(span_of(node, "ids"), "`ids` is for `.npy` files; these have ids of their own")
                .with_help("`id_column` says where"))
        }
        _ => Ok(Box::new(ImportFeatures { kind, side, params, format })),
    }
}

impl ImportFeatures {
    fn files(&self) -> Result<Files, StageError> {
        let ids = self.params.ids.as_ref().map(SpecPath::path);
        Files::find(self.params.path.path(), ids, self.format, self.side)
    }

    /// The field or column with the ids.
    fn id_column(&self) -> &str {
        let usual = match (self.format, self.side) {
            (FileFormat::Jsonl, Side::Image) => "image_id",
            (FileFormat::Jsonl, Side::Text) => "text_id",
            (FileFormat::ClipRetrieval, Side::Image) => "image_path",
            (FileFormat::ClipRetrieval, Side::Text) => "caption",
            (FileFormat::Npy | FileFormat::Parquet, _) => "id",
        };
        self.params.id_column.as_deref().unwrap_or(usual)
    }

    /// The field or column with the vectors.
    fn vector_column(&self) -> &str {
        let usual = if self.format == FileFormat::Jsonl { "feature" } else { "vector" };
        self.params.vector_column.as_deref().unwrap_or(usual)
    }
}

impl Stage for ImportFeatures {
    fn kind(&self) -> &'static str {
        self.kind.name
    }

    fn version(&self) -> u32 {
        self.kind.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        // By effective values, not by what was written: a file's extension is not part of its content.
        manifest_params(&ImportFeaturesParams {
            format: Some(self.format),
            id_column: Some(self.id_column().to_owned()),
            vector_column: Some(self.vector_column().to_owned()),
            ..self.params.clone()
        })
    }

    fn reads(&self) -> Vec<PathBuf> {
        let paths = [Some(&self.params.path), self.params.ids.as_ref()];
        paths.into_iter().flatten().map(|path| path.path().to_owned()).collect()
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(self.files()?.sources())
    }

    fn places(&self) -> Vec<PathBuf> {
        files::places(self.params.path.path())
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        self.params.ids.iter().chain([&self.params.path]).map(|path| path.path().to_owned()).collect()
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for ImportFeatures {
    fn cut(&self) -> Cut {
        Cut::Rows(crate::load_queries::SIZES)
    }

    /// A shard is ids and numbers, whatever their origin.
    fn in_rows(&self) -> InRows {
        InRows {
            params: &["format", "id_column", "vector_column", "id_part", "encoder"],
            sources: &["vectors", "ids"],
            inputs: &["queries"],
        }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let start = Instant::now();
        let mut rows = Rows::read(self, context)?;
        let path = self.params.path.path();
        if rows.ids.is_empty() {
            return Err(StageError::new(format!("`{}` has no vectors", path.display())));
        }
        rows.warn_about_ids(context);
        if self.side == Side::Text {
            let queries = artifact::queries(artifact::input(context, "queries"))?;
            let n_unused = rows.take_for(&queries, path)?;
            match n_unused {
                0 => {}
                1 => context.host.warn("1 vector belongs to no query and is left out".into()),
                _ => context.host.warn(format!("{n_unused} vectors belong to no query and are left out")),
            }
        }
        let seconds = Seconds::default();
        seconds.spent(Work::Read, start);
        let digests = (0..rows.ids.len()).map(|row_idx| rows.digest(row_idx)).collect();
        let metadata =
            BTreeMap::from([("dtype".to_owned(), "f32".to_owned()), ("dim".to_owned(), rows.dim.to_string())]);
        Ok(Box::new(ImportedRows { rows, digests, metadata, space: self.params.space(), seconds }))
    }
}

/// The vectors of an import.
struct ImportedRows {
    rows: Rows,
    digests: Vec<Digest>,
    metadata: BTreeMap<String, String>,
    space: FeatureSpace,
    seconds: Seconds,
}

impl OpenRows for ImportedRows {
    fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn read(&self, units: Range<usize>) -> Result<Box<Computation<'_>>, StageError> {
        Ok(Box::new(move |output| {
            let (start, n_rows) = (Instant::now(), units.len() as u64);
            let ids = self.rows.ids[units.clone()].iter().cloned().map(Some).collect();
            let values = units.flat_map(|row_idx| self.rows.vector(row_idx)).copied().collect();
            let shard = VectorShard { ids, dim: self.rows.dim, values };
            let digest = pipeline_data::write_vectors(output.path, &shard, &self.metadata)
                .map_err(|error| StageError::because("a shard cannot be written", error))?;
            self.seconds.spent(Work::Write, start);
            let (dim, digest) = (Some(self.rows.dim), Some(Digest::from_bytes(digest)));
            Ok(ShardReport { n_rows, dim, digest, ..ShardReport::default() })
        }))
    }

    fn finish(&self, _: &[Shard], scratch: &Path) -> Result<StageReport, StageError> {
        let Rows { ids, dim, .. } = &self.rows;
        let space = Some(self.space.clone());
        let info = FeaturesInfo { dim: *dim, dtype: "f32".into(), tokens: None, space };
        artifact::write_json(&scratch.join(artifact::FEATURES), &info)?;
        Ok(StageReport {
            n_rows: Some(ids.len() as u64),
            headline: Some(format!("vectors of {dim} numbers")),
            seconds: self.seconds.all(),
            ..StageReport::default()
        })
    }
}

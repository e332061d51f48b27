//! `import-text-features` and `import-image-features`: vectors that another tool has computed.

mod files;
mod origin;
mod params;
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
use pipeline_spec::SpecError;

use crate::artifact::{self, FeaturesInfo};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::published;
use crate::seconds::Seconds;
use files::Files;
use origin::{FROM, Origin};
pub(crate) use params::declared;
use params::{FileFormat, ImportFeaturesParams};
use rows::Rows;

/// The input of both kinds whose artifact has the vectors.
const FROM_SLOT: Slot =
    Slot::optional(FROM, Format::Files, "the program that makes the vectors; without it `path` names their file");

pub(crate) static TEXT_KIND: Kind = Kind {
    name: "import-text-features",
    version: 2,
    summary: "Takes the queries' vectors from .npy, .jsonl or Parquet of another tool",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the queries whose vectors are wanted, by id"),
        FROM_SLOT,
    ]),
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
    slots: Some(&[FROM_SLOT]),
    produces: Format::ImageFeatures,
    tokens: None,
    files: &[published::SHARDS, artifact::FEATURES],
    params_schema: schema::<ImportFeaturesParams>,
    build: build_image,
};

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
    origin: Origin,
    /// The format of the vectors, from the spec or the name of their file.
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
    let origin = Origin::new(context, &params)?;
    let Some(format) = params.format.or_else(|| origin.format()) else {
        let message = format!("the name of `{}` does not show its format", origin.written());
        let help = match origin.written().ends_with(".npz") {
            true => "an `.npz` holds several arrays; write the one of the vectors with `np.save`",
            false => "say it with `format: npy`, `jsonl`, `parquet` or `clip-retrieval`",
        };
        return Err(SpecError::at(span_of(node, "path"), message).with_help(help));
    };
    match (format, origin.has_ids()) {
        (FileFormat::Npy, false) => Err(SpecError::at(span_of(node, "path"), "a `.npy` file has no ids of its own")
            .with_help("name a file with one id a line, or a `.npy` of ids, as `ids`")),
        (FileFormat::Jsonl | FileFormat::Parquet | FileFormat::ClipRetrieval, true) => {
            Err(SpecError::at(span_of(node, "ids"), "`ids` is for `.npy` files; these have ids of their own")
                .with_help("`id_column` says where"))
        }
        _ => Ok(Box::new(ImportFeatures { kind, side, params, origin, format })),
    }
}

impl ImportFeatures {
    /// Reads the vectors, and of texts keeps those of the queries, in their order.
    fn rows(&self, context: &StageContext<'_>) -> Result<Rows, StageError> {
        self.origin.check_presence(context)?;
        let (path, ids) = self.origin.paths(context)?;
        let files = Files::find(&path, ids.as_deref(), self.format, self.side)?;
        let mut rows = Rows::read(self, &files, context)?;
        if rows.ids.is_empty() {
            return Err(StageError::new(format!("`{}` has no vectors", path.display())));
        }
        rows.warn_about_ids(context);
        if self.side == Side::Text {
            let queries = artifact::queries(artifact::input(context, "queries"))?;
            let n_unused = rows.take_for(&queries, &path)?;
            match n_unused {
                0 => {}
                1 => context.host.warn("1 vector belongs to no query and is left out".into()),
                _ => context.host.warn(format!("{n_unused} vectors belong to no query and are left out")),
            }
        }
        Ok(rows)
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
        let mut params = manifest_params(&ImportFeaturesParams {
            format: Some(self.format),
            id_column: Some(self.id_column().to_owned()),
            vector_column: Some(self.vector_column().to_owned()),
            ..self.params.clone()
        });
        params.extend(self.origin.manifest_params());
        params
    }

    fn reads(&self) -> Vec<PathBuf> {
        let outside = self.origin.outside();
        outside.into_iter().flat_map(|(path, ids)| ids.into_iter().chain([path])).map(Path::to_owned).collect()
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        match self.origin.outside() {
            Some((path, ids)) => Ok(Files::find(path, ids, self.format, self.side)?.sources()),
            None => Ok(Vec::new()),
        }
    }

    fn places(&self) -> Vec<PathBuf> {
        self.origin.outside().map(|(path, _)| files::places(path)).unwrap_or_default()
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        self.reads()
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
            params: &["format", "id_column", "vector_column", "id_part", "encoder", "path", "ids"],
            sources: &["vectors", "ids"],
            inputs: &["queries", FROM],
        }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let start = Instant::now();
        let rows = self.rows(context).map_err(|error| self.origin.explain(error))?;
        let seconds = Seconds::default();
        seconds.spent(Work::Read, start);
        let digests = (0..rows.ids.len()).map(|row_idx| rows.digest(row_idx)).collect();
        Ok(Box::new(ImportedRows { rows, digests, space: self.params.space(), seconds }))
    }
}

/// The vectors of an import.
struct ImportedRows {
    rows: Rows,
    digests: Vec<Digest>,
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
            let digest = Some(crate::model::write_vectors(output.path, &shard, BTreeMap::new())?);
            self.seconds.spent(Work::Write, start);
            Ok(ShardReport { n_rows, dim: Some(self.rows.dim), digest, ..ShardReport::default() })
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

//! The params of the two kinds of imports.

use pipeline_models::checkpoint::FeatureSpace;
use pipeline_spec::{Node, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::feature_spaces::Declared;

/// The params of the two kinds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportFeaturesParams {
    /// The file with the vectors, or a folder of such files, read in the order of the numbers in their names. With the
    /// input `from`, the name of one of its outputs; when absent the `vectors.npy`, `vectors.jsonl` or
    /// `vectors.parquet` among them.
    // Not part of the manifest: the files' content is, as sources. With `from`, `Origin` adds it.
    #[serde(default, skip_serializing)]
    pub(super) path: Option<SpecPath>,
    /// Required with `npy`: the ids of the rows, one per line, as a `.npy` of texts or integers, or as a list in a
    /// `.json`. With the input `from`, the name of one of its outputs; when absent the `ids.txt`, `ids.npy` or
    /// `ids.json` among them.
    // Not part of the manifest: the file's content is, as a source. With `from`, `Origin` adds it.
    #[serde(default, skip_serializing)]
    pub(super) ids: Option<SpecPath>,
    /// The format of the files. When absent, it follows from their extensions, and a folder with `img_emb` or
    /// `text_emb` is clip-retrieval's.
    #[serde(default)]
    pub(super) format: Option<FileFormat>,
    /// The field or column with the ids; when absent `image_id` or `text_id` of lines, `image_path` or `caption` of
    /// clip-retrieval's metadata, and `id` of Parquet.
    #[serde(default)]
    pub(super) id_column: Option<String>,
    /// The field or column with the vectors; when absent `feature` of lines and `vector` of Parquet.
    #[serde(default)]
    pub(super) vector_column: Option<String>,
    /// The part of an id that counts.
    #[serde(default)]
    pub(super) id_part: IdPart,
    /// A name for the encoder of the vectors, such as `chinese-clip-vit-b-16`: heads that were trained on vectors with
    /// one name are refused for those with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) encoder: Option<String>,
}

impl ImportFeaturesParams {
    /// The space of the vectors, as far as the spec declares it.
    pub(super) fn space(&self) -> FeatureSpace {
        FeatureSpace { properties: self.encoder.iter().map(|name| ("encoder".to_owned(), name.clone())).collect() }
    }
}

/// The feature space of a stage with these params according to the spec.
pub(crate) fn declared(params: &Node) -> Option<Declared> {
    let params: ImportFeaturesParams = pipeline_spec::params(params).ok()?;
    Some(Declared {
        properties: params.encoder.map(|name| ("encoder", name)).into_iter().collect(),
        is_known: true,
        model: None,
    })
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FileFormat {
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
pub(super) enum IdPart {
    /// The whole id.
    #[default]
    Whole,
    /// The file name of a path, without its extension: `a/b/7.jpg` is `7`.
    FileStem,
}

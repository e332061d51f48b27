//! The safetensors form of a checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use super::error::write_file;
use super::state_dict::{NamedTensor, state_dicts};
use super::top::{self, Description};
use super::{Checkpoint, CheckpointError, FeatureSpace, TrainedOn, little_endian};
use crate::tower::Top;
use crate::weights::CheckpointFile;
use pipeline_kernels::{RowReader, each_block};

const NORMALIZE: &str = "normalize";
const TEXT_FEATURES: &str = "text_features";
const IMAGE_FEATURES: &str = "image_features";

/// The alignment of numbers that the format requires.
const ALIGNMENT_BYTES: usize = 8;

/// The metadata of a file with heads.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entries {
    /// Whether embeddings are scaled to length one.
    pub(super) normalize: Option<bool>,
    /// The feature spaces of the training.
    pub(super) trained_on: Option<TrainedOn>,
    /// The layers before the heads of texts and of images.
    pub(super) tops: [Option<Result<Description, String>>; 2],
}

impl Checkpoint {
    /// Writes a safetensors file; the same checkpoint always gives the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<(), CheckpointError> {
        let dicts = self.heads.iter().flat_map(state_dicts);
        let tensors = dicts.flat_map(|(side, tensors)| {
            tensors.into_iter().map(move |tensor| (format!("{side}.{}", tensor.name), tensor))
        });
        let tops = self.tops().flat_map(|(side, top)| top::tensors(side, top));
        write_file(path, &serialize(self.metadata(), tensors.chain(tops).collect()))
    }

    fn metadata(&self) -> BTreeMap<&'static str, String> {
        let mut metadata = BTreeMap::from([(NORMALIZE, self.normalize.to_string())]);
        if let Some(TrainedOn { text, images }) = &self.trained_on {
            let json = |space: &FeatureSpace| serde_json::to_string(space).expect("texts become JSON");
            metadata.extend([(TEXT_FEATURES, json(text)), (IMAGE_FEATURES, json(images))]);
        }
        let description = |top| serde_json::to_string(&Description::of(top)).expect("plain data become JSON");
        metadata.extend(self.tops().map(|(side, top)| (side, description(top))));
        metadata
    }

    /// The layers of either side that were trained, with the names of the sides.
    fn tops(&self) -> impl Iterator<Item = (&'static str, &Top)> {
        let heads = [(top::TEXT, self.text()), (top::IMAGE, self.image())];
        heads.into_iter().filter_map(|(side, head)| Some((side, head?.top.as_ref()?)))
    }
}

/// The bytes of a file. The `safetensors` crate writes metadata in random order, which would change the digest.
fn serialize(metadata: BTreeMap<&'static str, String>, tensors: BTreeMap<String, NamedTensor<'_>>) -> Vec<u8> {
    let mut header = serde_json::Map::from_iter([("__metadata__".to_owned(), json!(metadata))]);
    let mut numbers = Vec::new();
    for (name, NamedTensor { shape, values, .. }) in tensors {
        let start = numbers.len();
        numbers.extend(little_endian(values));
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, numbers.len()]}));
    }
    [framed(serde_json::Value::Object(header).to_string()), numbers].concat()
}

/// The bytes before the numbers: the length of the header, and the header, padded.
fn framed(header: String) -> Vec<u8> {
    let mut header = header.into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT_BYTES), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header].concat()
}

/// Writes one tensor `vectors`.
///
/// # Shapes
/// `vectors`: `[n_rows, n_cols]`
///
/// # Errors
/// When a row cannot be read, or the file cannot be written.
pub fn write_vectors(path: &Path, vectors: &dyn RowReader) -> Result<(), CheckpointError> {
    let (n_rows, n_cols) = (vectors.n_rows(), vectors.n_cols());
    let header = format!(
        r#"{{"vectors":{{"dtype":"F32","shape":[{n_rows},{n_cols}],"data_offsets":[0,{}]}}}}"#,
        4 * n_rows * n_cols
    );
    let unwritten = |source| CheckpointError::Write { path: path.to_owned(), source };
    let mut file = File::create(path).map_err(unwritten)?;
    file.write_all(&framed(header)).map_err(unwritten)?;
    each_block(vectors, |_, values| file.write_all(&little_endian(values)).map_err(unwritten))
}

/// The metadata of a file; empty if it has another format.
pub(super) fn entries(file: &CheckpointFile) -> Entries {
    let space = |name: &str| serde_json::from_str::<FeatureSpace>(file.metadata(name)?).ok();
    let trained_on = || Some(TrainedOn { text: space(TEXT_FEATURES)?, images: space(IMAGE_FEATURES)? });
    let normalize = file.metadata(NORMALIZE).and_then(|value| value.parse().ok());
    let top = |name: &str| Some(Description::parse(file.metadata(name)?));
    Entries { normalize, trained_on: trained_on(), tops: [top(top::TEXT), top(top::IMAGE)] }
}

//! `decode-images`: the images of a MUGE split to RGB pixels of one size, shard by shard.

mod images;
mod like;
mod params;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use pipeline_core::{
    Cut, InRows, Needs, OpenRows, ShardedStage, Source, Stage, StageContext, StageError, StageWork, Threads,
};
use pipeline_data::{DecodeError, ImageTsv, Limits, RgbImage, decode_within};
use pipeline_models::image::{self, ModelSearch};
use pipeline_spec::{Node, SpecError, StageSpec};

use crate::artifact;
use crate::kind::{BuildContext, Format, Kind, manifest_params, schema};
use crate::load_queries::must_be_a_file;
use crate::published;
use crate::shard_sizes;
use images::Images;
use like::Resolved;
pub(crate) use params::Geometry;
use params::{AlphaName, DecodeImagesParams, FitName};

pub(crate) static KIND: Kind = Kind {
    name: "decode-images",
    version: 2,
    summary: "Decodes and resizes the images of a MUGE split (.tsv) to RGB pixels in Parquet",
    slots: Some(&[]),
    produces: Format::Images,
    tokens: None,
    files: &[published::SHARDS, artifact::REJECTS],
    params_schema: schema::<DecodeImagesParams>,
    build,
};

struct DecodeImages {
    params: DecodeImagesParams,
    search: ModelSearch,
    /// The geometry of the model that `like` names, once it has been read.
    like: OnceLock<Resolved>,
}

/// The geometry of the pixels of a stage; `None` for a stage of another kind, or if its params or its model are wrong,
/// which is reported elsewhere.
pub(crate) fn geometry(stage: &StageSpec, search: &ModelSearch) -> Option<Geometry> {
    let params = DecodeImagesParams::read(&stage.params).ok()?;
    let is_of_this_kind = stage.kind.value == KIND.name;
    DecodeImages::new(params, search).geometry().ok().filter(|_| is_of_this_kind)
}

/// The file that a stage of this kind reads, and its limit of rows; `None` for a stage of another kind.
pub(crate) fn source_and_limit(stage: &StageSpec) -> Option<(PathBuf, Option<u64>)> {
    let params: DecodeImagesParams = pipeline_spec::params(&stage.params).ok()?;
    (stage.kind.value == KIND.name).then(|| (params.path.path().to_owned(), params.max_samples))
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let params = DecodeImagesParams::read(&context.stage.params)?;
    Ok(Box::new(DecodeImages::new(params, &context.settings.model_search)))
}

/// Decodes single images like a stage of this kind; its text describes the pixels for people.
pub(crate) struct Decoder(Geometry);

/// The decoder of a stage with these params, which were checked when it was built.
pub(crate) fn decoder(params: &Node, search: &ModelSearch) -> Result<Decoder, StageError> {
    let failed = "the images cannot be decoded";
    let params = DecodeImagesParams::read(params).map_err(|error| StageError::because(failed, error))?;
    DecodeImages::new(params, search).geometry().map(Decoder)
}

impl fmt::Display for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.0.size;
        let shape = match self.0.fit {
            FitName::Squash => "squashed to",
            FitName::Crop => "cropped to",
        };
        let alpha = match self.0.alpha {
            AlphaName::Drop => "transparency dropped",
            AlphaName::White => "transparency on white",
            AlphaName::Black => "transparency on black",
        };
        write!(f, "{shape} {width} × {height} pixels, {alpha}")
    }
}

impl Decoder {
    /// The pixels that the stage would make of an image file.
    pub(crate) fn decode(&self, bytes: &[u8], limits: Limits<'_>) -> Result<RgbImage, DecodeError> {
        decode_within(bytes, Some(self.0.target()), self.0.alpha.alpha(), limits).map(|(_, image)| image)
    }
}

/// The original images of a stage with these params, from its file.
pub(crate) fn originals(params: &Node) -> Result<ImageTsv, StageError> {
    let failed = "the images cannot be read";
    let params: DecodeImagesParams =
        pipeline_spec::params(params).map_err(|error| StageError::because(failed, error))?;
    ImageTsv::open(params.path.path(), params.max_samples).map_err(|error| StageError::because(failed, error))
}

impl DecodeImages {
    fn new(params: DecodeImagesParams, search: &ModelSearch) -> Self {
        Self { params, search: search.clone(), like: OnceLock::new() }
    }

    /// The geometry of the model that `like` names; `None` without `like`.
    fn like(&self) -> Result<Option<&Resolved>, StageError> {
        let Some(model) = &self.params.like else { return Ok(None) };
        if let Some(known) = self.like.get() {
            return Ok(Some(known));
        }
        let resolved = like::resolve(model, self.params.alpha, &self.search)?;
        Ok(Some(self.like.get_or_init(|| resolved)))
    }

    fn geometry(&self) -> Result<Geometry, StageError> {
        Ok(self.like()?.map_or_else(|| self.params.written(), |like| like.geometry))
    }

    /// The files of the model that `like` names, as far as they are there.
    fn like_files(&self) -> Vec<PathBuf> {
        self.like().ok().flatten().map(|like| like.files.clone()).unwrap_or_default()
    }
}

impl Stage for DecodeImages {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        match self.geometry() {
            Ok(geometry) => manifest_params(&self.params.with(geometry)),
            // No result is remembered under such a param: without the model the geometry is not known.
            Err(_) => BTreeMap::from([("like".to_owned(), "null".to_owned())]),
        }
    }

    fn check(&self) -> Result<(), StageError> {
        match (self.like(), &self.params.like) {
            (Err(error), Some(model)) => like::check_missing(model, error),
            _ => Ok(()),
        }
    }

    fn reads(&self) -> Vec<PathBuf> {
        std::iter::once(self.params.path.path().to_owned()).chain(self.like_files()).collect()
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let path = self.params.path.path();
        must_be_a_file(path, "path", "the image file", "a MUGE image file such as MR_valid_imgs.tsv")?;
        self.like()?;
        Ok(vec![Source { name: "path".into(), path: path.to_owned() }])
    }

    /// The files of the model that `like` names are no sources: what they say is, as params.
    fn places(&self) -> Vec<PathBuf> {
        let Some(model) = &self.params.like else { return Vec::new() };
        model.places(&self.search, image::image_model_places).into_iter().chain(self.like_files()).collect()
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        let like = self.params.like.as_ref().map(|model| model.path().to_owned());
        std::iter::once(self.params.path.path().to_owned()).chain(like).collect()
    }

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, ..Needs::default() }
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for DecodeImages {
    fn cut(&self) -> Cut {
        let geometry = self.geometry().unwrap_or_else(|_| self.params.written());
        Cut::Rows(shard_sizes::of_pixels(geometry.pixel_bytes(1)))
    }

    fn in_rows(&self) -> InRows {
        InRows { params: &["max_samples"], sources: &["path"], ..InRows::default() }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        Ok(Box::new(Images::open(self.params.path.path(), self.params.max_samples, self.geometry()?, context)?))
    }
}

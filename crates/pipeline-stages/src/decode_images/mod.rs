//! `decode-images`: the images of a data set to RGB pixels of one size, shard by shard.

mod clashes;
mod images;
mod index;
mod like;
mod named;
mod origin;
mod params;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

use pipeline_core::cut::CutSizes;
use pipeline_core::{
    Cut, InRows, Needs, OpenRows, ShardedStage, Source, Stage, StageContext, StageError, StageWork, Threads,
};
use pipeline_data::{DecodeError, Images, Limits, RgbImage, decode_within};
use pipeline_models::image::{self, ModelSearch};
use pipeline_spec::{Node, PipelineSpec, SpecError, StageSpec};

use crate::artifact;
use crate::extract_image;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema};
use crate::published;
use crate::shard_sizes::{self, SHARD_MIB};
use crate::split::Split;
use crate::table_files;
pub(crate) use images::{DecodedImages, rejects};
use like::Resolved;
pub use origin::ListFolder;
use origin::{ImageForm, Origin};
use params::{AlphaName, FitName};
pub(crate) use params::{DecodeImagesParams, Geometry, ImageIdName};

/// The slot of the queries whose images are decoded.
pub(crate) const QUERIES: &str = "queries";

pub(crate) static KIND: Kind = Kind {
    name: "decode-images",
    version: 2,
    summary: "Decodes and resizes images of a TSV, a folder, tars or Parquet to RGB pixels in Parquet",
    slots: Some(&[Slot::optional(QUERIES, Format::Queries, "the queries of which only the named images are decoded")]),
    produces: Format::Images,
    tokens: None,
    files: &[published::SHARDS, artifact::REJECTS],
    params_schema: schema::<DecodeImagesParams>,
    build,
};

pub(crate) struct DecodeImages {
    params: DecodeImagesParams,
    split: Option<Split>,
    search: ModelSearch,
    /// The geometry of the model that `like` names, once it has been read.
    like: OnceLock<Resolved>,
}

/// The geometry of the pixels that a stage makes; `None` for a stage that decodes nothing, or if its params or its
/// model are wrong, which is reported elsewhere.
pub(crate) fn geometry(stage: &StageSpec, search: &ModelSearch) -> Option<Geometry> {
    DecodeImages::read(params_of(stage)?, search).ok()?.geometry().ok()
}

/// The params of the decoding that a stage does: all of a stage of this kind, or those of `extract-image` with
/// `decode`.
pub(crate) fn params_of(stage: &StageSpec) -> Option<&Node> {
    match &stage.kind.value {
        kind if kind == KIND.name => Some(&stage.params),
        kind if kind == extract_image::KIND.name => stage.params.get(extract_image::DECODE),
        _ => None,
    }
}

/// True for a stage that decodes images.
pub fn decodes_images(stage: &StageSpec) -> bool {
    params_of(stage).is_some()
}

/// True for a stage that decodes images and does not store their pixels.
pub fn stores_no_pixels(stage: &StageSpec) -> bool {
    decodes_images(stage) && stage.kind.value != KIND.name
}

/// The stage that decodes the images of features: the features' own, or that of their input.
pub(crate) fn decoding<'a>(spec: &'a PipelineSpec, features: &'a StageSpec) -> Option<&'a StageSpec> {
    let input = crate::search::input(spec, features, "images");
    std::iter::once(features).chain(input).find(|stage| decodes_images(stage))
}

/// The pixels that features are of; `None` where the spec does not say it.
pub(crate) fn geometry_of(spec: &PipelineSpec, features: &StageSpec, search: &ModelSearch) -> Option<Geometry> {
    geometry(decoding(spec, features)?, search)
}

/// The most rows of a shard of the decoded images that features are of, if their stage has shards of a size of its own.
pub(crate) fn most_rows_of(spec: &PipelineSpec, features: &StageSpec, search: &ModelSearch) -> Option<usize> {
    let decoding = DecodeImages::read(params_of(decoding(spec, features)?)?, search).ok()?;
    decoding.params.shard_mib.map(|_| decoding.cut_sizes().max_rows)
}

/// A stage that decodes images, whose params were checked when it was built; `failed` is the message where it cannot.
fn of_stage(stage: &StageSpec, search: &ModelSearch, failed: &'static str) -> Result<DecodeImages, StageError> {
    let params = params_of(stage).ok_or_else(|| StageError::new(format!("`{}` decodes no images", stage.id)))?;
    DecodeImages::read(params, search).map_err(|error| StageError::because(failed, error))
}

/// The files of images that a stage decodes; `None` for a stage that decodes nothing.
///
/// # Errors
/// When they are missing.
pub fn image_sources(stage: &StageSpec) -> Option<Result<Vec<Source>, StageError>> {
    let params: DecodeImagesParams = pipeline_spec::params(params_of(stage)?).ok()?;
    Some(origin::sources(params.path.path()))
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    Ok(Box::new(DecodeImages::read(&context.stage.params, &context.settings.model_search)?))
}

/// Decodes single images like a stage of this kind; its text describes the pixels for people.
pub(crate) struct Decoder(Geometry);

/// The decoder of a stage that decodes images, whose params were checked when it was built.
pub(crate) fn decoder(stage: &StageSpec, search: &ModelSearch) -> Result<Decoder, StageError> {
    of_stage(stage, search, "the images cannot be decoded")?.geometry().map(Decoder)
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

/// The original images of a stage that decodes images, or those with one of some ids.
pub(crate) fn originals(
    stage: &StageSpec,
    wanted: Option<&BTreeSet<String>>,
    list: &ListFolder<'_>,
) -> Result<Images, StageError> {
    let read = of_stage(stage, &ModelSearch::default(), "the images cannot be read")?;
    let mut origin = read.origin();
    // The first images of those that queries name are not the first of all.
    if stage.input(QUERIES).is_some() {
        origin.max_samples = None;
    }
    let is_limited = origin.max_samples.is_some();
    let keep = |id: &str| is_limited || wanted.is_none_or(|wanted| wanted.contains(id));
    origin.open(list, &keep, &|| false, None)
}

impl DecodeImages {
    pub(crate) fn read(node: &Node, search: &ModelSearch) -> Result<Self, SpecError> {
        let params = DecodeImagesParams::read(node)?;
        let split = Split::read(node, params.split.as_ref())?;
        Ok(Self { params, split, search: search.clone(), like: OnceLock::new() })
    }

    fn origin(&self) -> Origin<'_> {
        Origin::new(&self.params, self.split.as_ref())
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

    pub(crate) fn geometry(&self) -> Result<Geometry, StageError> {
        Ok(self.like()?.map_or_else(|| self.params.written(), |like| like.geometry))
    }

    /// The files of the model that `like` names, as far as they are there.
    fn like_files(&self) -> Vec<PathBuf> {
        self.like().ok().flatten().map(|like| like.files.clone()).unwrap_or_default()
    }
}

impl DecodeImages {
    /// Reads the places of all images that are taken.
    pub(crate) fn rows<'a>(&'a self, context: &'a StageContext<'a>) -> Result<DecodedImages<'a>, StageError> {
        DecodedImages::open(self.params.path.path(), &self.origin(), self.geometry()?, context)
    }

    /// The sizes of shards of these images, of which a row of the result has at most `row_bytes` bytes.
    pub(crate) fn sizes(&self, row_bytes: u64) -> CutSizes {
        shard_sizes::of_pixels(self.pixel_bytes().max(row_bytes))
    }

    /// The sizes of shards of these pixels.
    fn cut_sizes(&self) -> CutSizes {
        let pixel_bytes = self.pixel_bytes();
        let of_mib = |shard_mib| shard_sizes::of_mib(shard_mib, pixel_bytes, pixel_bytes);
        self.params.shard_mib.map_or_else(|| self.sizes(0), of_mib)
    }

    /// The bytes of the pixels of an image.
    pub(crate) fn pixel_bytes(&self) -> u64 {
        self.geometry().unwrap_or_else(|_| self.params.written()).pixel_bytes(1)
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
            Ok(geometry) => {
                let mut params = manifest_params(&self.params.with(geometry));
                let form = ImageForm::of(self.params.path.path()).word();
                params.extend(form.map(|form| ("form".to_owned(), format!("\"{form}\""))));
                let is_place = self.params.image_id == Some(ImageIdName::Place);
                params.extend(is_place.then(|| table_files::place_param(self.params.path.path())).flatten());
                params
            }
            // No result is remembered under such a param: without the model the geometry is not known.
            Err(_) => BTreeMap::from([("like".to_owned(), "null".to_owned())]),
        }
    }

    fn check(&self) -> Result<(), StageError> {
        if let (Err(error), Some(model)) = (self.like(), &self.params.like) {
            like::check_missing(model, error)?;
        }
        self.origin().check()
    }

    fn reads(&self) -> Vec<PathBuf> {
        table_files::reads(self.params.path.path()).into_iter().chain(self.like_files()).collect()
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let sources = origin::sources(self.params.path.path())?;
        self.like()?;
        Ok(sources)
    }

    /// The files of the model that `like` names are no sources: what they say is, as params.
    fn places(&self) -> Vec<PathBuf> {
        let mut places = table_files::places(self.params.path.path());
        if let Some(model) = &self.params.like {
            places.extend(model.places(&self.search, image::image_model_places));
            places.extend(self.like_files());
        }
        places
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
        Cut::Rows(self.cut_sizes())
    }

    fn in_rows(&self) -> InRows {
        InRows {
            params: &["columns", "file", "form", "image_id", "max_samples", SHARD_MIB, "split"],
            sources: &["path"],
            inputs: &[QUERIES],
        }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        Ok(Box::new(self.rows(context)?))
    }
}

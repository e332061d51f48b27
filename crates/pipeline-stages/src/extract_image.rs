//! `extract-image`: one vector per image from a ResNet-family encoder, shard by shard.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pipeline_core::{
    Cut, Digest, InRows, InputArtifact, Needs, OpenRows, ShardedStage, Source, Stage, StageContext, StageError,
    StageWork, Threads,
};
use pipeline_data::{DataError, PixelShard, PixelsInfo};
use pipeline_models::image::{self, ImageExpectations};
use pipeline_models::{Encoder, EncoderModel, EncoderRows};
use pipeline_spec::{Node, PipelineSpec, SpecError, StageSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact;
use crate::decode_images::{self, Geometry};
use crate::extraction::{Extraction, Rows, ToEncode};
use crate::feature_spaces::Declared;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::model::{self, Family, ModelName};
use crate::published;
use crate::seconds::Seconds;

const NOT_LOADED: &str = "the image model cannot be loaded";

pub(crate) static KIND: Kind = Kind {
    name: "extract-image",
    version: 5,
    summary: "Encodes decoded images with a ResNet-family model into one vector each",
    slots: Some(&[Slot::required("images", Format::Images, "the decoded images to encode")]),
    produces: Format::ImageFeatures,
    files: &[published::SHARDS, artifact::FEATURES],
    params_schema: schema::<ExtractImageParams>,
    build,
};

/// The property with the filter of the resize; absent where no image was resized.
pub(crate) const RESIZE: &str = "resize";

/// The params of `extract-image`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractImageParams {
    /// A model folder or weights file (timm, torchvision or Hugging Face), or a bare name such as `resnet50` that is
    /// searched in the folders of models.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    model: ModelName,
    /// Images per batch and thread. Changes speed only, so it is not part of the manifest.
    #[serde(default = "default_batch_rows", skip_serializing)]
    #[schemars(range(min = 1, max = 65_536))]
    batch_rows: usize,
}

/// Cancellation is checked between batches.
fn default_batch_rows() -> usize {
    8
}

const FAMILY: Family = Family {
    name: "image",
    supported: "image models are plain ResNets of timm, torchvision or transformers; \
                the vectors of any other can be imported: `import-image-features`",
    near: image::image_models_near,
    of_name: image::image_family_of_name,
};

struct ExtractImage {
    params: ExtractImageParams,
    search: image::ModelSearch,
    /// The decoding of the images, if a stage of this program did it.
    decoded: Option<Geometry>,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: ExtractImageParams = pipeline_spec::params(node)?;
    if !(1..=model::MAX_BATCH_ROWS).contains(&params.batch_rows) {
        let message = format!("`batch_rows` must be from 1 to {}", model::MAX_BATCH_ROWS);
        return Err(SpecError::at(span_of(node, "batch_rows"), message));
    }
    let decoded = crate::search::input(context.spec, context.stage, "images").and_then(decode_images::geometry);
    Ok(Box::new(ExtractImage { params, search: context.settings.model_search.clone(), decoded }))
}

/// The expected width of a stage's vectors; `None` when its params are wrong or its model is missing, which is reported
/// elsewhere.
pub(crate) fn width(params: &Node, search: &image::ModelSearch) -> Option<crate::feature_spaces::Width> {
    let params = pipeline_spec::params(params).ok()?;
    let model = ExtractImage { params, search: search.clone(), decoded: None }.model().ok()?;
    crate::feature_spaces::Width::of(&*model)
}

/// The feature space of a stage according to the spec. Without the filter of the resize: only the artifact records
/// whether an image was resized.
pub(crate) fn declared(spec: &PipelineSpec, stage: &StageSpec, search: &image::ModelSearch) -> Option<Declared> {
    let params: ExtractImageParams = pipeline_spec::params(&stage.params).ok()?;
    let decoded = crate::search::input(spec, stage, "images").and_then(decode_images::geometry);
    let name = params.model.to_find();
    let extract = ExtractImage { params, search: search.clone(), decoded: None };
    Some(Declared {
        properties: decoded.map(|decoded| ("size", format!("{:?}", decoded.size))).into_iter().collect(),
        model: Some((name, extract.sources().unwrap_or_default())),
    })
}

/// The encoder of a stage with these params, on the processor.
pub(crate) fn encoder(params: &Node, search: &image::ModelSearch) -> Result<Box<dyn Encoder>, StageError> {
    let params =
        pipeline_spec::params(params).map_err(|error| StageError::because("there is no image model", error))?;
    let model = ExtractImage { params, search: search.clone(), decoded: None }.model()?;
    model.load(pipeline_models::Device::Cpu).map_err(|error| StageError::because(NOT_LOADED, error))
}

impl ExtractImage {
    /// The model, of which only small files have been read.
    fn model(&self) -> Result<Box<dyn EncoderModel>, StageError> {
        let found = image::find_image_model(&self.params.model.to_find(), &self.search);
        let model = found.and_then(|files| pipeline_models::open_image_model(&files));
        model.map_err(|error| FAMILY.failure(&self.params.model, &self.search, error))
    }
}

/// The differences between the model's own image decoding and the actual one, if there are any.
fn differences(expected: &ImageExpectations, decoded: &Geometry) -> Option<String> {
    let mut differences = Vec::new();
    let [height, width] = decoded.size;
    if let Some([its_height, its_width]) = expected.size.filter(|size| *size != decoded.size.map(u64::from)) {
        differences.push(format!("{its_height}×{its_width} pixels and not {height}×{width}"));
    }
    if let Some(interpolation) = expected.interpolation.as_deref().filter(|name| *name != decoded.resize) {
        differences.push(format!("`{interpolation}` resizing and not `{}`", decoded.resize));
    }
    if let Some(crop) = expected.crop {
        differences.push(format!("the middle {}% of an image and not all of it", (crop * 1000.0).round() / 10.0));
    }
    let list = differences.join(", ");
    (!list.is_empty())
        .then(|| format!("the model's own files expect {list}; its vectors differ from other tools' by that"))
}

impl Stage for ExtractImage {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        manifest_params(&self.params)
    }

    fn check(&self) -> Result<(), StageError> {
        self.model().map(drop).or_else(|error| FAMILY.check_missing(&self.params.model, error))
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(model::sources(self.model()?.files()))
    }

    fn places(&self) -> Vec<PathBuf> {
        self.params.model.places(&self.search, image::image_model_places)
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        vec![self.params.model.path().to_owned()]
    }

    fn needs(&self) -> Needs {
        Needs { device: true, threads: Threads::All }
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Sharded(self)
    }
}

impl ShardedStage for ExtractImage {
    fn cut(&self) -> Cut {
        Cut::Input { slot: "images", shards: artifact::shard_digests }
    }

    fn in_rows(&self) -> InRows {
        InRows::default()
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let model = self.model()?;
        let images = artifact::input(context, "images");
        if let Some(warning) = self.decoded.as_ref().and_then(|decoded| differences(&model.expectations(), decoded)) {
            context.host.warn(warning);
        }
        let shards: Vec<PathBuf> = artifact::shards(images).collect();
        let n_rows: Vec<u64> =
            shards.iter().map(|path| pipeline_data::count_rows(path)).collect::<Result<_, _>>().map_err(unreadable)?;
        let read = move |units: Range<usize>| Ok(Pixels::read(&shards[units.start])?.rows(context.n_threads));
        let input = ToEncode {
            model,
            not_loaded: NOT_LOADED,
            batch_rows: self.params.batch_rows * context.n_threads.max(1),
            properties: properties(images)?,
            digests: artifact::shard_digests(&images.tree),
            n_rows: Some(n_rows),
            read: Box::new(read),
            headline: None,
            nothing: "there are no images to encode",
        };
        Ok(Box::new(Extraction::new(context, input, Seconds::default())))
    }
}

/// The properties of the pixels that change every vector: their size, and the resize if an image had another size.
fn properties(images: &InputArtifact) -> Result<Vec<(&'static str, String)>, StageError> {
    let infos = artifact::shards(images).map(|path| pipeline_data::read_pixels_info(&path).map_err(unreadable));
    let infos: Vec<PixelsInfo> = infos.collect::<Result<_, _>>()?;
    let size = infos.first().map(|info| ("size", format!("[{}, {}]", info.height, info.width)));
    let resize = infos.into_iter().find_map(|info| info.resize).map(|filter| (RESIZE, filter));
    Ok(size.into_iter().chain(resize).collect())
}

/// The images of a shard that have pixels.
struct Pixels {
    ids: Vec<Option<String>>,
    contents: Vec<Digest>,
    pixels: Vec<Vec<u8>>,
    height: u32,
    width: u32,
}

impl Pixels {
    fn read(path: &Path) -> Result<Self, StageError> {
        let PixelShard { height, width, rows } = pipeline_data::read_pixels(path).map_err(unreadable)?;
        let (ids, pixels): (Vec<_>, Vec<_>) =
            rows.into_iter().filter_map(|row| Some((Some(row.id), row.pixels?))).unzip();
        let contents = pixels.iter().map(|pixels| pixels_digest(pixels, height, width)).collect();
        Ok(Self { ids, contents, pixels, height, width })
    }

    /// The pixels, ready to be encoded on `n_threads` threads.
    fn rows<'a>(self, n_threads: usize) -> Rows<'a> {
        let Self { ids, contents, pixels, height, width } = self;
        Rows {
            order: (0..ids.len()).collect(),
            ids,
            contents,
            forward: Box::new(move |encoder, row_idxs| {
                let pixels: Vec<&[u8]> = row_idxs.iter().map(|row_idx| pixels[*row_idx].as_slice()).collect();
                let (height, width) = (height as usize, width as usize);
                encoder
                    .encode(EncoderRows::Images { pixels: &pixels, height, width }, n_threads)
                    .map_err(|error| StageError::because("the images cannot be encoded", error))
            }),
        }
    }
}

/// The digest of everything that an image's vector depends on.
fn pixels_digest(pixels: &[u8], height: u32, width: u32) -> Digest {
    let [height, width] = [height, width].map(u32::to_le_bytes);
    Digest::of(&[Digest::of(pixels).as_bytes().as_slice(), &height, &width].concat())
}

fn unreadable(error: DataError) -> StageError {
    StageError::because("the images cannot be read", error)
}

//! `extract-image`: one vector per image from an image encoder, shard by shard.

mod expected;
mod files;
mod pixels;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use pipeline_core::{
    Cut, Digest, InRows, Needs, OpenRows, ShardedStage, Source, Stage, StageContext, StageError, StageWork, Threads,
    Work,
};
use pipeline_models::image::{self, ImageOptions, ImagePooling, ModelError};
use pipeline_models::{EncoderModel, EncoderSide, TokenLayout};
use pipeline_spec::{Node, PipelineSpec, Spanned, SpecError, StageSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact;
use crate::decode_images::{self, DecodeImages, DecodeImagesParams, Geometry, QUERIES};
use crate::extraction::{Extraction, ReadRows, ToEncode};
use crate::feature_spaces::Declared;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::model::{self, Family, ModelName};
use crate::pooled::QueryEncoder;
use crate::published;
use crate::seconds::Seconds;
use crate::shard_sizes;
use crate::tokens::PrecisionParam;
use expected::must_take;
use files::ImageFiles;
use pixels::PixelShards;

const NOT_LOADED: &str = "the image model cannot be loaded";

pub(crate) static KIND: Kind = Kind {
    name: "extract-image",
    version: 5,
    summary: "Encodes images with an image model into one vector each, or one per token",
    slots: Some(&[
        Slot::optional(IMAGES, Format::Images, "the decoded images to encode, unless `decode` names files of images"),
        Slot::optional(
            QUERIES,
            Format::Queries,
            "with `decode`: the queries of which only the named images are encoded",
        ),
    ]),
    produces: Format::ImageFeatures,
    tokens: Some(Format::ImageTokens),
    files: &[published::SHARDS, artifact::FEATURES, artifact::REJECTS],
    params_schema: schema::<ExtractImageParams>,
    build,
};

/// The slot of decoded images.
const IMAGES: &str = "images";

/// The param with files of images.
pub(crate) const DECODE: &str = "decode";

/// The property with the filter of the resize; absent where no image was resized.
pub(crate) const RESIZE: &str = "resize";

/// The properties that belong to a resize.
pub(crate) const OF_RESIZE: [&str; 4] = [RESIZE, "fit", "edge", "crop_offset"];

/// The property with the treatment of transparency; absent where it was dropped.
pub(crate) const ALPHA: &str = "alpha";

/// The params of `extract-image`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractImageParams {
    /// A model folder (Hugging Face, timm or OpenCLIP), a weights file (torchvision's, timm's, or a Chinese-CLIP
    /// checkpoint), or a bare name such as `resnet50` that is searched in the folders of models.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    model: ModelName,
    /// The pooling of an image's vectors. When absent, `projected` for CLIP and SigLIP, `cls` for ViT and DINOv2, and
    /// `avg` for ResNet and ConvNeXt.
    #[serde(default, skip_serializing_if = "is_avg")]
    pooling: Option<PoolingParam>,
    /// The rounding that products may take, on devices that gain speed by it; `f16` is the storage of
    /// `pooling: tokens`.
    #[serde(default, skip_serializing_if = "PrecisionParam::is_single")]
    precision: PrecisionParam,
    /// The positions for images of another size than the model's own. When absent, `interpolate` for DINOv2, whose own
    /// library does so, and `own` for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positions: Option<Positions>,
    /// Files of images in the place of the input `images`, with all params of `decode-images`: each image is decoded
    /// where it is encoded, and no pixels are stored.
    // Not part of the manifest as a whole: its own lines are, as `decode.size`.
    #[serde(default, skip_serializing)]
    decode: Option<DecodeImagesParams>,
    /// With `decode`: the size of a shard of vectors in MiB, on the average, as far as the pixels of its images fit
    /// into 256 MiB. When absent, shards are cut by rows. With the input `images`, shards are those of the decoded
    /// images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    shard_mib: Option<u32>,
    /// Images per batch and thread; on a GPU 16 times as many. Changes speed only, so it is not part of the manifest.
    #[serde(default = "default_batch_rows", skip_serializing)]
    #[schemars(range(min = 1, max = 65_536))]
    batch_rows: usize,
}

/// The pooling of an image's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum PoolingParam {
    /// The mean over the places of the last map, and the norm after it where there is one.
    Avg,
    /// The class token after the last norm.
    Cls,
    /// The mean over the patches after the last norm.
    Mean,
    /// The vector of the model's own pooler.
    Pooler,
    /// The vector in the space that texts and images of a CLIP or SigLIP share.
    Projected,
    /// None: the vectors of the class token and all patches, or of all cells of the last map, for `image_pool` of
    /// `train-projection`.
    Tokens,
}

/// The positions for images of another size than the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Positions {
    /// Only images of the model's own size are taken.
    Own,
    /// Bicubic interpolation of the model's grid, as `torch.nn.functional.interpolate`.
    Interpolate,
}

impl From<PoolingParam> for ImagePooling {
    fn from(pooling: PoolingParam) -> Self {
        match pooling {
            PoolingParam::Avg => Self::Avg,
            PoolingParam::Cls => Self::Cls,
            PoolingParam::Mean => Self::Mean,
            PoolingParam::Pooler => Self::Pooler,
            PoolingParam::Projected => Self::Projected,
            PoolingParam::Tokens => Self::Tokens,
        }
    }
}

impl PoolingParam {
    /// The pooling that a model names.
    fn of_name(name: &str) -> Option<Self> {
        [Self::Avg, Self::Cls, Self::Mean, Self::Pooler, Self::Projected, Self::Tokens]
            .into_iter()
            .find(|pooling| ImagePooling::from(*pooling).name() == name)
    }
}

/// Whether a pooling stays out of manifests: the only one of ResNets.
fn is_avg(pooling: &Option<PoolingParam>) -> bool {
    pooling.is_none_or(|pooling| pooling == PoolingParam::Avg)
}

/// Cancellation is checked between batches.
fn default_batch_rows() -> usize {
    8
}

/// Height and width of images where the spec does not show them.
const USUAL_SIZE: [u32; 2] = [224, 224];

const FAMILY: Family =
    Family { side: EncoderSide::Image, near: image::image_models_near, of_name: image::image_family_of_name };

struct ExtractImage {
    params: ExtractImageParams,
    search: image::ModelSearch,
    /// The decoding of the images, if a stage of this program does it.
    decoded: Option<Geometry>,
    /// The most rows of a shard of the decoded images, if that is another than ever.
    most_rows: Option<usize>,
    /// The images of `decode`.
    files: Option<DecodeImages>,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: ExtractImageParams = pipeline_spec::params(node)?;
    params.precision.check(node)?;
    if !(1..=model::MAX_BATCH_ROWS).contains(&params.batch_rows) {
        let message = format!("`batch_rows` must be from 1 to {}", model::MAX_BATCH_ROWS);
        return Err(SpecError::at(span_of(node, "batch_rows"), message));
    }
    let decode = node.entry(DECODE).filter(|_| params.decode.is_some());
    must_have_images(context.stage, decode.map(|(param, _)| param))?;
    shard_sizes::check_of_images(node, decode.map(|(_, decode)| decode), params.shard_mib)?;
    let search = &context.settings.model_search;
    let files = decode.map(|(_, decode)| DecodeImages::read(decode, search)).transpose()?;
    let decoded = decode_images::geometry_of(context.spec, context.stage, search);
    let most_rows = decode_images::most_rows_of(context.spec, context.stage, search);
    Ok(Box::new(ExtractImage { params, search: search.clone(), decoded, most_rows, files }))
}

/// Images come either from a stage or from files.
fn must_have_images(stage: &StageSpec, decode: Option<&Spanned<String>>) -> Result<(), SpecError> {
    let slot = |wanted: &str| stage.inputs.iter().find(|(slot, _)| slot.value == wanted);
    match (slot(IMAGES), decode, slot(QUERIES)) {
        (None, None, _) => {
            let message = format!("stage `{}` has no input `{IMAGES}`: the decoded images to encode", stage.id);
            let help = "name a stage of kind `decode-images`, or files of images by the param `decode`";
            Err(SpecError::at(&stage.span, message).with_help(help))
        }
        (Some(_), Some(param), _) => {
            let message = format!("`{DECODE}` cannot stand beside the input `{IMAGES}`: both are images");
            Err(SpecError::at(&param.span, message).with_help("leave one of the two out"))
        }
        (Some(_), None, Some((slot, _))) => {
            let message = format!("`{QUERIES}` choose among the images of `{DECODE}`, which is not there");
            Err(SpecError::at(&slot.span, message).with_help("`decode-images` takes them, too"))
        }
        _ => Ok(()),
    }
}

/// The expected width of a stage's vectors; `None` when its params are wrong or its model is missing, which is reported
/// elsewhere.
pub(crate) fn width(params: &Node, search: &image::ModelSearch) -> Option<crate::feature_spaces::Width> {
    let params = pipeline_spec::params(params).ok()?;
    let model = ExtractImage::of(params, search).model().ok()?;
    crate::feature_spaces::Width::of(&*model)
}

/// The order of a stage's token vectors; `None` as for [`width`], and where it pools them.
pub(crate) fn layout(params: &Node, search: &image::ModelSearch) -> Option<TokenLayout> {
    let params = pipeline_spec::params(params).ok()?;
    ExtractImage::of(params, search).model().ok()?.tokens()
}

/// The feature space of a stage according to the spec. Without filter and fit of the resize: only the artifact records
/// whether an image was resized.
pub(crate) fn declared(spec: &PipelineSpec, stage: &StageSpec, search: &image::ModelSearch) -> Option<Declared> {
    let params: ExtractImageParams = pipeline_spec::params(&stage.params).ok()?;
    let decoded = decode_images::geometry_of(spec, stage, search);
    let properties =
        |decoded: Geometry| [("size", format!("{:?}", decoded.size)), (ALPHA, decoded.alpha.name().to_owned())];
    let (name, precision) = (params.model.to_find(), params.precision.property());
    let extract = ExtractImage::of(params, search);
    let of_model = extract.model().ok().map(|model| {
        let pooling = ("pooling", model.pooling().to_owned());
        std::iter::once(pooling).chain(model.properties()).collect::<Vec<_>>()
    });
    let is_known = of_model.is_some();
    let of_model = of_model.unwrap_or_default();
    Some(Declared {
        is_known,
        properties: decoded.map(properties).into_iter().flatten().chain(of_model).chain(precision).collect(),
        model: Some((name, extract.model_sources().unwrap_or_default())),
    })
}

/// The encoder of a stage with these params, on the processor.
pub(crate) fn encoder(params: &Node, search: &image::ModelSearch) -> Result<QueryEncoder, StageError> {
    let params: ExtractImageParams =
        pipeline_spec::params(params).map_err(|error| StageError::because("there is no image model", error))?;
    let stage = ExtractImage::of(params, search);
    let model = stage.model()?;
    let encoder = model.load(pipeline_models::Device::Cpu, stage.params.precision.of_products());
    let encoder = encoder.map_err(|error| StageError::because(NOT_LOADED, error))?;
    Ok(QueryEncoder::new(&*model, encoder, stage.params.precision))
}

impl ExtractImage {
    /// The model of a stage with these params, whatever its images are.
    fn of(params: ExtractImageParams, search: &image::ModelSearch) -> Self {
        Self { params, search: search.clone(), decoded: None, most_rows: None, files: None }
    }

    fn model_sources(&self) -> Result<Vec<Source>, StageError> {
        Ok(model::sources(self.model()?.files()))
    }

    /// The model, of which only small files have been read.
    fn model(&self) -> Result<Box<dyn EncoderModel>, StageError> {
        let found = image::find_image_model(&self.params.model.to_find(), &self.search);
        let options = ImageOptions {
            pooling: self.params.pooling.map(ImagePooling::from),
            interpolates: self.params.positions.map(|positions| positions == Positions::Interpolate),
        };
        let model = found.and_then(|files| pipeline_models::open_image_model(&files, &options));
        model.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: ModelError) -> StageError {
        FAMILY.failure(&self.params.model, &self.search, error)
    }

    /// The number of shards for the tokens of the images of one pixel shard: a token's vectors may be much larger than
    /// the pixels.
    fn parts(&self, model: &dyn EncoderModel) -> usize {
        let size = self.decoded.map_or(USUAL_SIZE, |decoded| decoded.size);
        shard_sizes::parts_of_images(model, size, self.most_rows)
    }

    /// The params with the model's own pooling, and positions only where they are not the model's own choice: these are
    /// hashed, and shown by `why`.
    fn resolved(&self) -> ExtractImageParams {
        // Where the model cannot be used, nothing is hashed: the sources fail.
        let Ok(model) = self.model() else { return self.params.clone() };
        let differs = model.properties().iter().any(|(name, _)| *name == "positions");
        ExtractImageParams {
            pooling: PoolingParam::of_name(model.pooling()),
            positions: self.params.positions.filter(|_| differs),
            ..self.params.clone()
        }
    }
}

impl Stage for ExtractImage {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn version(&self) -> u32 {
        KIND.version
    }

    fn params(&self) -> BTreeMap<String, String> {
        let mut params = manifest_params(&self.resolved());
        if let Some(files) = &self.files {
            // The code that decodes is as much a part of the result as that which encodes.
            let version = ("version".to_owned(), files.version().to_string());
            let of_files = files.params().into_iter().chain([version]);
            params.extend(of_files.map(|(name, json)| (format!("{DECODE}.{name}"), json)));
        }
        params
    }

    fn check(&self) -> Result<(), StageError> {
        self.files.as_ref().map_or(Ok(()), |files| files.check())?;
        match self.model() {
            Ok(model) => {
                model.check().map_err(|error| self.failure(error))?;
                self.decoded.map_or(Ok(()), |decoded| must_take(decoded.size, &*model))
            }
            Err(error) => FAMILY.check_missing(&self.params.model, error),
        }
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let of_files = self.files.as_ref().map_or(Ok(Vec::new()), |files| files.sources())?;
        Ok(self.model_sources()?.into_iter().chain(of_files).collect())
    }

    fn reads(&self) -> Vec<PathBuf> {
        let of_model = self.model_sources().unwrap_or_default().into_iter().map(|source| source.path);
        of_model.chain(self.files.iter().flat_map(|files| files.reads())).collect()
    }

    fn places(&self) -> Vec<PathBuf> {
        let of_model = self.params.model.places(&self.search, image::image_model_places);
        of_model.into_iter().chain(self.files.iter().flat_map(|files| files.places())).collect()
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        let of_files = self.files.iter().flat_map(|files| files.looked_for());
        std::iter::once(self.params.model.path().to_owned()).chain(of_files).collect()
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
        let model = self.model();
        if let Some(files) = &self.files {
            let Some((model, Geometry { size, .. })) = model.ok().zip(self.decoded) else {
                return Cut::Rows(files.sizes(0));
            };
            let ExtractImageParams { shard_mib, precision, .. } = self.params;
            let asked = shard_sizes::of_vectors(shard_mib, &*model, size, precision, files.pixel_bytes());
            let row_bytes = || shard_sizes::token_row_bytes(&*model, size).unwrap_or(0);
            return Cut::Rows(asked.unwrap_or_else(|| files.sizes(row_bytes())));
        }
        let parts = model.map_or(1, |model| self.parts(&*model));
        Cut::Input { slot: "images", shards: artifact::shard_digests, parts }
    }

    fn in_rows(&self) -> InRows {
        match &self.files {
            None => InRows::default(),
            Some(_) => InRows { params: files::IN_ROWS, sources: &["path"], inputs: &[QUERIES] },
        }
    }

    fn shard_name(&self, shard_idx: usize) -> String {
        artifact::shard_name(shard_idx)
    }

    fn open<'a>(&'a self, context: &'a StageContext<'a>) -> Result<Box<dyn OpenRows + 'a>, StageError> {
        let (model, seconds, start) = (self.model()?, Seconds::default(), Instant::now());
        if let Some(files) = &self.files {
            let images = ImageFiles::new(files.rows(context)?, context);
            seconds.spent(Work::Scan, start);
            let digests = images.digests().to_vec();
            return Ok(Box::new(self.extraction(context, (model, seconds), digests, None, Box::new(images))));
        }
        let parts = self.parts(&*model);
        let pixels = PixelShards::new(context, parts);
        let digests = Cut::input_units(&artifact::shard_digests(&artifact::input(context, IMAGES).tree), parts);
        let n_rows = pixels.n_rows()?;
        Ok(Box::new(self.extraction(context, (model, seconds), digests, Some(n_rows), Box::new(pixels))))
    }
}

impl ExtractImage {
    fn extraction<'a>(
        &self,
        context: &'a StageContext<'a>,
        (model, seconds): (Box<dyn EncoderModel>, Seconds),
        digests: Vec<Digest>,
        n_rows: Option<Vec<u64>>,
        rows: Box<dyn ReadRows<'a> + 'a>,
    ) -> Extraction<'a> {
        let input = ToEncode {
            model,
            not_loaded: NOT_LOADED,
            batch_rows: model::rows_at_once(context, self.params.batch_rows, 16),
            precision: self.params.precision,
            digests,
            n_rows,
            rows,
            reading: if self.files.is_some() { Work::Decode } else { Work::Read },
            headline: None,
            nothing: "there are no images to encode",
        };
        Extraction::new(context, input, seconds)
    }
}

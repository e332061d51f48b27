//! `extract-image`: one vector per image from a ResNet-family encoder, shard by shard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::{Digest, Source, Stage, StageContext, StageError, StageReport};
use pipeline_data::{PixelShard, VectorShard};

use pipeline_nn::image::{self, ImageEncoder, ImageModelFiles};
use pipeline_spec::{Node, SpecError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, FeaturesInfo};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::model::{self, ModelName};

pub(crate) static KIND: Kind = Kind {
    name: "extract-image",
    version: 1,
    summary: "Encodes decoded images with a ResNet-family model into one vector each",
    slots: Some(&[Slot { name: "images", accepts: Format::Images, summary: "the decoded images to encode" }]),
    produces: Format::ImageFeatures,
    params_schema: schema::<ExtractImageParams>,
    build,
};

/// The params of `extract-image`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractImageParams {
    /// A model folder or weights file (timm, torchvision or Hugging Face), or a bare name such as `resnet50` that is
    /// looked for where models are.
    // Not part of the manifest: the content of the model's files is, as sources.
    #[serde(skip_serializing)]
    model: ModelName,
    /// Images per batch. Changes speed only, so it is not part of the manifest.
    #[serde(default = "default_batch_rows", skip_serializing)]
    #[schemars(range(min = 1))]
    batch_rows: usize,
}

/// A stop is noticed between batches.
fn default_batch_rows() -> usize {
    16
}

struct ExtractImage {
    params: ExtractImageParams,
    search: image::ModelSearch,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: ExtractImageParams = pipeline_spec::params(node)?;
    if params.batch_rows == 0 {
        return Err(SpecError::at(span_of(node, "batch_rows"), "`batch_rows` must be at least 1"));
    }
    Ok(Box::new(ExtractImage { params, search: context.settings.model_search.clone() }))
}

/// The width of the vectors that a stage of this kind will give; none when its params are wrong or its model is not
/// there, which is told elsewhere.
pub(crate) fn width(params: &Node, search: &image::ModelSearch) -> Option<usize> {
    let params: ExtractImageParams = pipeline_spec::params(params).ok()?;
    let files = image::find_image_model(&params.model.to_find(), search).ok()?;
    image::image_dim(&files).ok()
}

impl ExtractImage {
    fn files(&self) -> Result<ImageModelFiles, StageError> {
        image::find_image_model(&self.params.model.to_find(), &self.search)
            .map_err(|error| StageError::because("there is no image model", error))
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
        manifest_params(&self.params)
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        let files = self.files()?;
        let config = files.config.map(|path| ("config".to_owned(), path));
        Ok(model::sources(config.into_iter().chain(model::weights(&[files.weights])).collect()))
    }

    fn places(&self) -> Vec<PathBuf> {
        let mut places = image::image_model_places(&self.params.model.to_find(), &self.search);
        places.push(self.params.model.path().to_owned());
        places
    }

    fn uses_device(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext<'_>) -> Result<StageReport, StageError> {
        let mut extraction = Extraction {
            params: &self.params,
            files: self.files()?,
            encoder: None,
            context,
            n_encoded: 0,
            dim: None,
            seconds: BTreeMap::new(),
        };
        extraction.shards()?;
        artifact::write_json(
            &context.scratch.join(artifact::FEATURES),
            &FeaturesInfo { dim: extraction.dim()?, dtype: "f32".into(), model: model::digest(context) },
        )?;
        if extraction.n_encoded == 0 {
            context.host.warn("there are no images to encode".into());
        }
        Ok(StageReport { n_rows: Some(extraction.n_encoded), seconds: extraction.seconds, ..StageReport::default() })
    }
}

struct Extraction<'a> {
    params: &'a ExtractImageParams,
    files: ImageModelFiles,
    /// Loaded when the first shard has to be computed.
    encoder: Option<ImageEncoder>,
    context: &'a StageContext<'a>,
    n_encoded: u64,
    /// Numbers per vector, once a shard or the encoder has told.
    dim: Option<usize>,
    seconds: BTreeMap<String, f64>,
}

/// How far the stage is: rows of the images, those without pixels included.
#[derive(Clone, Copy)]
struct Progress {
    n_done: u64,
    total: u64,
}

impl Extraction<'_> {
    /// Adds a shard of vectors per shard of pixels.
    fn shards(&mut self) -> Result<(), StageError> {
        let images = artifact::input(self.context, "images");
        let model = model::digest(self.context);
        let unreadable = |error| StageError::because("the images cannot be read", error);
        let n_rows: Vec<u64> = artifact::shards(images)
            .map(|(path, _)| pipeline_data::count_rows(&path))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let mut progress = Progress { n_done: 0, total: n_rows.iter().sum() };
        for (shard_idx, (pixels, entry)) in artifact::shards(images).enumerate() {
            if self.context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            // The digest of the whole file of pixels stands for its rows: equal rows give equal files.
            let mut manifest = artifact::shard_manifest(&KIND, &entry.digest);
            manifest.source("model", &model);
            let shard = self.context.host.shard(&artifact::shard_name(shard_idx), &manifest, &mut |path| {
                self.shard(&pixels, path, progress, &model)
            })?;
            self.n_encoded += shard.report.n_rows.unwrap_or(0);
            self.dim = model::told_dim(&shard.report).or(self.dim);
            progress.n_done += n_rows[shard_idx];
            self.context.host.progress(progress.n_done, Some(progress.total));
        }
        Ok(())
    }

    fn shard(
        &mut self,
        pixels: &Path,
        path: &Path,
        progress: Progress,
        model: &Digest,
    ) -> Result<StageReport, StageError> {
        let start = Instant::now();
        let images = pipeline_data::read_pixels(pixels)
            .map_err(|error| StageError::because("the images cannot be read", error))?;
        self.spent("read", start);
        let shard = self.encode(&images, progress)?;
        let start = Instant::now();
        model::write_vectors(path, &shard, model, "avg")?;
        self.spent("write", start);
        Ok(StageReport { n_rows: Some(shard.ids.len() as u64), ..model::tell_dim(shard.dim) })
    }

    fn encode(&mut self, images: &PixelShard, progress: Progress) -> Result<VectorShard, StageError> {
        let (context, batch_rows) = (self.context, self.params.batch_rows);
        let usable: Vec<_> =
            images.rows.iter().filter_map(|row| row.pixels.as_deref().map(|pixels| (&row.id, pixels))).collect();
        let encoder = self.encoder()?;
        let start = Instant::now();
        let mut values = Vec::with_capacity(usable.len() * encoder.dim());
        for batch in usable.chunks(batch_rows) {
            if context.host.is_cancelled() {
                return Err(StageError::cancelled());
            }
            let pixels: Vec<&[u8]> = batch.iter().map(|(_, pixels)| *pixels).collect();
            let vectors = encoder
                .encode(&pixels, images.height as usize, images.width as usize, context.n_threads)
                .map_err(|error| StageError::because("the images cannot be encoded", error))?;
            values.extend_from_slice(&vectors.values);
            let n_encoded = (values.len() / encoder.dim()) as u64;
            context.host.progress(progress.n_done + n_encoded, Some(progress.total));
        }
        let dim = encoder.dim();
        self.spent("forward", start);
        Ok(VectorShard { ids: usable.iter().map(|(id, _)| Some((*id).clone())).collect(), dim, values })
    }

    fn encoder(&mut self) -> Result<&ImageEncoder, StageError> {
        if self.encoder.is_none() {
            let start = Instant::now();
            let encoder = ImageEncoder::load(&self.files, artifact::device(self.context.device))
                .map_err(|error| StageError::because("the image model cannot be loaded", error))?;
            self.encoder = Some(encoder);
            self.spent("load", start);
        }
        Ok(self.encoder.as_ref().expect("the encoder was loaded above"))
    }

    fn dim(&mut self) -> Result<usize, StageError> {
        match self.dim {
            Some(dim) => Ok(dim),
            None => Ok(self.encoder()?.dim()),
        }
    }

    fn spent(&mut self, what: &str, since: Instant) {
        *self.seconds.entry(what.into()).or_default() += since.elapsed().as_secs_f64();
    }
}

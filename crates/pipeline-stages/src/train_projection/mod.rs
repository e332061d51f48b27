//! `train-projection`: two heads into a shared space, trained with InfoNCE on cached features.

mod checks;
mod history;
mod pairs;
mod params;
mod start;
mod tell;

use std::collections::BTreeMap;
use std::time::Instant;

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport};
use pipeline_nn::checkpoint::Checkpoint;
use pipeline_nn::train::{self, TrainOptions, Trained};
use pipeline_spec::SpecError;

use crate::artifact::{self, Features};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema};
use crate::load_queries::must_be_a_file;
pub(crate) use pairs::{must_align, rows_by_id};
pub(crate) use params::Fusion;
use params::TrainProjectionParams;

pub(crate) static KIND: Kind = Kind {
    name: "train-projection",
    version: 3,
    summary: "Trains two heads on cached features with symmetric InfoNCE, or computes them",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the training queries with the ids of their images"),
        Slot::required("text", Format::TextFeatures, "the text features of those queries"),
        Slot::required("images", Format::ImageFeatures, "the image features of the training images"),
    ]),
    produces: Format::Projection,
    params_schema: schema::<TrainProjectionParams>,
    build,
};

struct TrainProjection {
    params: TrainProjectionParams,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    Ok(Box::new(TrainProjection { params: checks::read(&context)? }))
}

impl Stage for TrainProjection {
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
        let Some(path) = &self.params.init_from else { return Ok(Vec::new()) };
        must_be_a_file(path.path(), "the weights to start from", "a projection.safetensors or .pth")?;
        Ok(vec![Source { name: "init_from".into(), path: path.path().to_owned() }])
    }

    fn uses_device(&self) -> bool {
        self.params.fit.closed_form().is_none()
    }

    fn run(&self, context: &StageContext<'_>) -> Result<StageReport, StageError> {
        let start = Instant::now();
        let queries = artifact::queries(artifact::input(context, "queries"))?;
        let text = artifact::features(artifact::input(context, "text"), "text")?;
        let images = artifact::features(artifact::input(context, "images"), "images")?;
        must_align(&queries, &text)?;
        let pairs = pairs::pairs(&queries, &images, self.params.pairs);
        if pairs.is_empty() {
            context.host.warn("no query names an image that is there, so nothing is trained".into());
        }
        let read_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let trained = self.train(context, &text, &images, &pairs)?;
        let train_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.write(context, &trained)?;
        let write_seconds = start.elapsed().as_secs_f64();
        Ok(StageReport {
            metrics: tell::metrics(&self.params, &trained, pairs.len()),
            n_rows: Some(pairs.len() as u64),
            headline: tell::headline(&self.params, &trained, pairs.len()),
            seconds: BTreeMap::from([
                ("read".into(), read_seconds),
                ("train".into(), train_seconds),
                ("write".into(), write_seconds),
            ]),
            ..StageReport::default()
        })
    }
}

impl TrainProjection {
    fn train(
        &self,
        context: &StageContext<'_>,
        text: &Features,
        images: &Features,
        pairs: &[(usize, usize)],
    ) -> Result<Trained, StageError> {
        let (text, images) = (&text.vectors, &images.vectors);
        let failed = |error| StageError::because("the training failed", error);
        if let Some(method) = self.params.fit.closed_form() {
            let TrainProjectionParams { penalty, projection_dim, temperature, .. } = self.params;
            let heads = train::fit(text, images, pairs, method, penalty, projection_dim).map_err(failed)?;
            return Ok(Trained { heads: Some(heads), losses: Vec::new(), temperature: temperature as f32 });
        }
        let start = match self.params.fusion {
            Fusion::Projection => Some(start::heads(&self.params, text.n_cols, images.n_cols)?),
            Fusion::Passthrough => {
                if text.n_cols != images.n_cols {
                    let message = checks::different_widths(text.n_cols, images.n_cols);
                    return Err(StageError::new(message).with_help("use `fusion: projection`"));
                }
                None
            }
        };
        let options = self.params.options(context.n_threads);
        let n_steps = options.n_steps(pairs.len());
        if (1..options.warmup_steps).contains(&n_steps) {
            let TrainOptions { warmup_steps, .. } = options;
            context.host.warn(format!(
                "the learning rate never reaches `lr`: `warmup_steps` is {warmup_steps}, but the steps are {n_steps}"
            ));
        }
        let mut n_done = 0;
        let trained = train::train(text, images, pairs, &options, start, artifact::device(context.device), &mut |_| {
            n_done += 1;
            context.host.progress(n_done, Some(n_steps as u64));
            !context.host.is_cancelled()
        })
        .map_err(failed)?;
        if context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        Ok(trained)
    }

    fn write(&self, context: &StageContext<'_>, trained: &Trained) -> Result<(), StageError> {
        let failed = |error| StageError::because("the weights cannot be written", error);
        let checkpoint = Checkpoint { heads: trained.heads.clone(), normalize: self.params.normalize };
        checkpoint.write_safetensors(&context.scratch.join(artifact::PROJECTION)).map_err(failed)?;
        checkpoint.write_pth(&context.scratch.join("projection.pth")).map_err(failed)?;
        history::write(&context.scratch.join(artifact::HISTORY), &trained.losses)
    }
}

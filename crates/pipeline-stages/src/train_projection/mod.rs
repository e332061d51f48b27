//! `train-projection`: two heads into a shared space, trained with InfoNCE on cached features.

mod checks;
mod held_out;
mod history;
mod inputs;
mod pairs;
mod params;
mod pools;
mod spaces;
mod start;
mod tell;
pub(crate) mod unfrozen;
mod widths;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pipeline_core::{Needs, Source, Stage, StageContext, StageError, StageReport, StageWork, WholeStage, Work};
use pipeline_models::Top;
use pipeline_models::checkpoint::{Checkpoint, WeightsNote};
use pipeline_models::train::{self, ClosedForm, PairedFeatures, TrainError, TrainOptions, Trained, Validation};
use pipeline_spec::SpecError;

use crate::artifact;
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema};
use crate::load_queries::must_be_a_file;
use crate::relevance::ids_that_do_not_meet;
use held_out::HeldOut;
pub(crate) use held_out::QUERIES as HELD_OUT_QUERIES;
pub(crate) use pairs::must_align;
pub(crate) use params::Fusion;
use params::{Pairs, TrainProjectionParams};
use spaces::Spaces;
use unfrozen::Unfrozen;

pub(crate) static KIND: Kind = Kind {
    name: "train-projection",
    version: 5,
    summary: "Trains two heads on cached features with symmetric InfoNCE, or computes them",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the training queries with the ids of their images"),
        Slot::required("text", Format::TextFeatures, "the text features of those queries").or_tokens(),
        Slot::required("images", Format::ImageFeatures, "the image features of the training images").or_tokens(),
        held_out::QUERIES,
        held_out::TEXT,
        held_out::IMAGES,
    ]),
    produces: Format::Projection,
    tokens: None,
    files: &[artifact::PROJECTION, "projection.pth", artifact::HISTORY],
    params_schema: schema::<TrainProjectionParams>,
    build,
};

struct TrainProjection {
    params: TrainProjectionParams,
    /// The layers that are trained with the heads, if there are any.
    unfrozen: Option<Unfrozen>,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    Ok(Box::new(TrainProjection { params: checks::read(&context)?, unfrozen: None }))
}

impl Stage for TrainProjection {
    fn kind(&self) -> &'static str {
        self.own_kind().name
    }

    fn version(&self) -> u32 {
        self.own_kind().version
    }

    fn params(&self) -> BTreeMap<String, String> {
        let mut params = self.unfrozen.as_ref().map_or_else(|| manifest_params(&self.params), Unfrozen::params);
        // Earlier heads of `pairs: all` had a pair again for each time that a query names an image.
        if self.params.pairs == Pairs::All {
            params.insert("pairs_once".to_owned(), true.to_string());
        }
        params
    }

    fn check(&self) -> Result<(), StageError> {
        self.unfrozen.as_ref().map_or(Ok(()), Unfrozen::check)
    }

    fn places(&self) -> Vec<PathBuf> {
        self.unfrozen.as_ref().map_or_else(Vec::new, Unfrozen::places)
    }

    fn looked_for(&self) -> Vec<PathBuf> {
        self.unfrozen.as_ref().map_or_else(Vec::new, Unfrozen::looked_for)
    }

    fn sources(&self) -> Result<Vec<Source>, StageError> {
        if let Some(unfrozen) = &self.unfrozen {
            return unfrozen.sources();
        }
        let Some(path) = &self.params.init_from else { return Ok(Vec::new()) };
        must_be_a_file(path.path(), "init_from", "the weights to start from", "a projection.safetensors or .pth")?;
        Ok(vec![Source { name: "init_from".into(), path: path.path().to_owned() }])
    }

    fn needs(&self) -> Needs {
        Needs { device: self.params.fit.closed_form().is_none(), ..Needs::default() }
    }

    fn work(&self) -> StageWork<'_> {
        StageWork::Whole(self)
    }
}

impl WholeStage for TrainProjection {
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError> {
        let start = Instant::now();
        let queries = artifact::queries(artifact::input(context, "queries"))?;
        let TrainProjectionParams { text_pool, image_pool, .. } = self.params;
        let text = artifact::input(context, "text");
        let text = match &self.unfrozen {
            Some(_) => inputs::unpooled(text, "text", scratch)?,
            None => inputs::read(text, "text", text_pool, scratch, context.n_threads)?,
        };
        let images = artifact::input(context, "images");
        let images = inputs::read(images, "images", image_pool, scratch, context.n_threads)?;
        must_align(&queries, &text)?;
        let pairs = pairs::pairs(&queries, &images, self.params.pairs);
        if pairs.is_empty() && self.params.learns() {
            let ids = ids_that_do_not_meet(&queries, &images);
            return Err(StageError::new(format!(
                "no query with a text names an image that is there, so there is nothing to train on{ids}"
            )));
        }
        if let Some(left_out) = pairs::left_out(&queries, &images) {
            context.host.warn(left_out);
        }
        let spaces = Spaces::read(context, &self.params)?;
        spaces.must_match_held_out(context, self.params.allow_mismatch)?;
        let held_out = HeldOut::read(context, &self.params, self.unfrozen.is_some(), scratch)?;
        let read_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        // Training needs neither texts nor ids.
        drop(queries);
        let (text, images) = (text.vectors, images.vectors);
        let data = PairedFeatures { text: text.features(), images: images.features(), pairs: &pairs };
        let validation = held_out
            .as_ref()
            .map(|held_out| held_out.validation(&self.params, artifact::device(context.device, context.card)));
        let (trained, start_note) = match self.params.fit.closed_form() {
            Some(method) => (self.compute(context, &data, validation.as_ref(), method)?, None),
            None => self.train(context, &data, validation.as_ref(), &spaces)?,
        };
        let train_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.write(scratch, &trained, spaces)?;
        let write_seconds = start.elapsed().as_secs_f64();
        Ok(StageReport {
            metrics: tell::metrics(&self.params, &trained, pairs.len()),
            n_rows: Some(pairs.len() as u64),
            headline: tell::headline(context.device, &self.params, &trained, pairs.len(), start_note),
            seconds: BTreeMap::from([
                (Work::Read, read_seconds),
                (Work::Train, train_seconds),
                (Work::Write, write_seconds),
            ]),
            ..StageReport::default()
        })
    }
}

impl TrainProjection {
    fn own_kind(&self) -> &'static Kind {
        if self.unfrozen.is_some() { &unfrozen::KIND } else { &KIND }
    }

    fn compute(
        &self,
        context: &StageContext<'_>,
        data: &PairedFeatures<'_>,
        validation: Option<&Validation<'_>>,
        method: ClosedForm,
    ) -> Result<Trained, StageError> {
        let TrainProjectionParams { penalty, normalize, temperature, .. } = self.params;
        let PairedFeatures { text, images, pairs } = *data;
        let (Some(text), Some(images)) = (text.vectors(), images.vectors()) else {
            return Err(StageError::new("heads are computed from pooled features, and these are tokens"));
        };
        let heads =
            train::fit(text, images, pairs, method, penalty, self.params.dim(), context.n_threads).map_err(failed)?;
        let recall = |validation: &Validation<'_>| {
            validation.recall(Some(&heads), normalize, context.n_threads).map_err(|error| failed(error.into()))
        };
        let validations = validation.map(recall).transpose()?.into_iter().collect();
        let temperature = temperature as f32;
        let (heads, losses) = (Some(heads), Vec::new());
        Ok(Trained { heads, losses, temperature, validations, measures_start: false, best_epoch: None })
    }

    /// Trains the heads. Returns the remark on the weights that it starts from, too.
    fn train(
        &self,
        context: &StageContext<'_>,
        data: &PairedFeatures<'_>,
        validation: Option<&Validation<'_>>,
        spaces: &Spaces,
    ) -> Result<(Trained, Option<String>), StageError> {
        let top = self.unfrozen.as_ref().map(|unfrozen| unfrozen.top(context, spaces)).transpose()?;
        let (d_text, d_image) = (top.as_ref().map_or(data.text.width(), Top::dim), data.images.width());
        let start = match self.params.fusion {
            Fusion::Projection => Some(start::heads(context, &self.params, spaces, d_text, d_image)?),
            Fusion::Passthrough => {
                spaces.widths(d_text, d_image).one(&self.params)?;
                None
            }
        };
        let (mut start, note) = start.map_or((None, None), |(heads, note)| (Some(heads), Some(note)));
        if let Some(heads) = &mut start {
            heads.text.top = top;
        }
        let WeightsNote { place, warning } = note.unwrap_or_default();
        warning.into_iter().for_each(|warning| context.host.warn(warning));
        let mut options = self.params.options(context.n_threads);
        if let Some(unfrozen) = &self.unfrozen {
            options.text_top = unfrozen.rate();
        }
        let n_steps = options.n_steps(data.pairs.len());
        if (1..options.warmup_steps).contains(&n_steps) {
            let TrainOptions { warmup_steps, .. } = options;
            context.host.warn(format!(
                "the learning rate never reaches `lr`: `warmup_steps` is {warmup_steps}, but the steps are {n_steps}"
            ));
        }
        let mut n_done = 0;
        let trained = train::train(
            data,
            validation,
            &options,
            start,
            artifact::device(context.device, context.card),
            &mut |_| {
                n_done += 1;
                context.host.progress(n_done, Some(n_steps as u64));
                !context.host.is_cancelled()
            },
            &|| context.host.is_cancelled(),
        )
        .map_err(failed)?;
        if context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        if n_done < n_steps as u64 {
            // It has stopped early and is done.
            context.host.progress(n_done, Some(n_done));
        }
        tell::no_better_than_the_start(&trained).into_iter().for_each(|note| context.host.warn(note));
        Ok((trained, place))
    }

    fn write(&self, scratch: &Path, trained: &Trained, spaces: Spaces) -> Result<(), StageError> {
        let failed = |error| StageError::because("the weights cannot be written", error);
        let checkpoint = Checkpoint {
            heads: trained.heads.clone(),
            normalize: self.params.normalize,
            trained_on: spaces.trained_on(),
        };
        checkpoint.write_safetensors(&scratch.join(artifact::PROJECTION)).map_err(failed)?;
        if self.unfrozen.is_none() {
            checkpoint.write_pth(&scratch.join("projection.pth")).map_err(failed)?;
        }
        history::write(&scratch.join(artifact::HISTORY), trained)
    }
}

/// The training, or what it measures, failed.
fn failed(error: TrainError) -> StageError {
    StageError { help: error.help(), ..StageError::because("the training failed", error) }
}

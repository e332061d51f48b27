//! `train-projection`: two linear heads into a shared space, trained with InfoNCE on cached features.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Instant;

use pipeline_core::{Source, Stage, StageContext, StageError, StageReport};
use pipeline_data::QueryRow;
use pipeline_nn::checkpoint::{Checkpoint, Heads};
use pipeline_nn::train::{self, ClosedForm, StepLoss, TrainOptions};
use pipeline_spec::{Span, SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, Features};
use crate::kind::{BuildContext, Format, Kind, Slot, manifest_params, schema, span_of};
use crate::load_queries::must_be_a_file;

pub(crate) static KIND: Kind = Kind {
    name: "train-projection",
    version: 2,
    summary: "Trains two linear heads on cached features with symmetric InfoNCE, or computes them",
    slots: Some(&[
        Slot::required("queries", Format::Queries, "the training queries with the ids of their images"),
        Slot::required("text", Format::TextFeatures, "the text features of those queries"),
        Slot::required("images", Format::ImageFeatures, "the image features of the training images"),
    ]),
    produces: Format::Projection,
    params_schema: schema::<TrainProjectionParams>,
    build,
};

/// The params of `train-projection`; the defaults are the notebook's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TrainProjectionParams {
    /// How features come into the shared space.
    #[serde(default)]
    fusion: Fusion,
    /// Which of a query's images it is paired with.
    #[serde(default)]
    pairs: Pairs,
    /// How the heads come about.
    #[serde(default)]
    fit: Fit,
    /// With `fit: ridge` or `cca`: what is added to the diagonal of covariances, as a share of their mean diagonal.
    #[serde(default = "default_penalty")]
    penalty: f64,
    /// The width of the shared space.
    #[serde(default = "default_projection_dim")]
    #[schemars(range(min = 1))]
    projection_dim: usize,
    /// Divide embeddings by their L2 norm.
    #[serde(default = "default_true")]
    normalize: bool,
    /// What similarities are divided by before the softmax.
    #[serde(default = "default_temperature")]
    temperature: f64,
    /// The learning rate of Adam.
    #[serde(default = "default_lr")]
    lr: f64,
    /// The L2 penalty of Adam, coupled with the gradient.
    #[serde(default = "default_weight_decay")]
    weight_decay: f64,
    /// Passes over the pairs.
    #[serde(default = "default_epochs")]
    epochs: usize,
    /// Pairs per step; the last batch of an epoch may be smaller.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1))]
    batch_size: usize,
    /// Shuffle the pairs anew for each epoch, by `seed`.
    #[serde(default)]
    shuffle: bool,
    /// The seed of the initial weights (those of `torch.manual_seed`) and of the shuffling.
    #[serde(default)]
    seed: u64,
    /// Weights to start from instead: a `projection.safetensors` or the notebook's `.pth`.
    // Not part of the manifest: the file's content is, as a source.
    #[serde(default, skip_serializing)]
    init_from: Option<SpecPath>,
}

/// How features come into the shared space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fusion {
    /// Through a linear head each.
    #[default]
    Projection,
    /// As they are: both kinds of features must have the same width, and nothing is trained.
    Passthrough,
}

/// Which of a query's images it is paired with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Pairs {
    /// The first of its ids that is there, as in the notebook: a pair per query.
    #[default]
    First,
    /// Each of its ids that is there: a pair per query and image.
    All,
}

/// How the heads come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Fit {
    /// Trained by steps of Adam on the symmetric InfoNCE loss.
    #[default]
    Contrastive,
    /// Computed: texts to the features of their images by ridge regression.
    Ridge,
    /// Computed: canonical correlation analysis of both features.
    Cca,
}

impl Fit {
    fn closed_form(self) -> Option<ClosedForm> {
        match self {
            Self::Contrastive => None,
            Self::Ridge => Some(ClosedForm::Ridge),
            Self::Cca => Some(ClosedForm::Cca),
        }
    }
}

/// 0.01.
fn default_penalty() -> f64 {
    0.01
}

/// 512, the notebook's.
fn default_projection_dim() -> usize {
    512
}

fn default_true() -> bool {
    true
}

/// 0.07, the notebook's.
fn default_temperature() -> f64 {
    0.07
}

/// 1e-3, the notebook's.
fn default_lr() -> f64 {
    1e-3
}

/// 1e-4, the notebook's.
fn default_weight_decay() -> f64 {
    1e-4
}

/// 2, the notebook's.
fn default_epochs() -> usize {
    2
}

/// 16, the notebook's.
fn default_batch_size() -> usize {
    16
}

struct TrainProjection {
    params: TrainProjectionParams,
}

fn build(context: BuildContext<'_>) -> Result<Box<dyn Stage>, SpecError> {
    let node = &context.stage.params;
    let params: TrainProjectionParams = pipeline_spec::params(node)?;
    let is_closed = params.fit.closed_form().is_some();
    let checks: [(&str, bool, &str); 9] = [
        ("projection_dim", params.projection_dim >= 1, "must be at least 1"),
        ("batch_size", params.batch_size >= 1, "must be at least 1"),
        ("temperature", params.temperature > 0.0 && params.temperature.is_finite(), "must be a number above 0"),
        ("lr", params.lr >= 0.0 && params.lr.is_finite(), "must be a number of at least 0"),
        (
            "weight_decay",
            params.weight_decay >= 0.0 && params.weight_decay.is_finite(),
            "must be a number of at least 0",
        ),
        (
            "init_from",
            params.init_from.is_none() || params.fusion == Fusion::Projection,
            "needs `fusion: projection`; `passthrough` has no weights",
        ),
        (
            "init_from",
            params.init_from.is_none() || !is_closed,
            "needs `fit: contrastive`; other fits start from nothing",
        ),
        (
            "fit",
            !is_closed || params.fusion == Fusion::Projection,
            "needs `fusion: projection`; `passthrough` has no heads",
        ),
        ("penalty", params.penalty > 0.0 && params.penalty.is_finite(), "must be a number above 0"),
    ];
    for (name, holds, must) in checks {
        if !holds {
            return Err(SpecError::at(span_of(node, name), format!("`{name}` {must}")));
        }
    }
    if params.fusion == Fusion::Passthrough {
        check_widths(&context, span_of(node, "fusion"))?;
    }
    Ok(Box::new(TrainProjection { params }))
}

/// Refuses a passthrough of features of different widths as far as the models tell before anything has run.
fn check_widths(context: &BuildContext<'_>, span: &Span) -> Result<(), SpecError> {
    let search = &context.settings.model_search;
    let width = |slot: &str| {
        let stage = crate::search::input(context.spec, context.stage, slot)?;
        match stage.kind.value.as_str() {
            "extract-text" => crate::extract_text::width(&stage.params, search),
            "extract-image" => crate::extract_image::width(&stage.params, search),
            _ => None,
        }
    };
    match (width("text"), width("images")) {
        (Some(text), Some(images)) if text != images => Err(SpecError::at(span, different_widths(text, images))
            .with_help("use `fusion: projection`, or encoders of one width")),
        _ => Ok(()),
    }
}

fn different_widths(text: usize, images: usize) -> String {
    format!(
        "`fusion: passthrough` needs features of one width, but the text's have {text} numbers and the images' {images}"
    )
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
        let pairs = pairs(&queries, &images, self.params.pairs);
        if pairs.is_empty() {
            context.host.warn("no query names an image that is there, so nothing is trained".into());
        }
        let read_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let (heads, losses) = self.train(context, &text, &images, &pairs)?;
        let train_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        self.write(context, heads, &losses)?;
        let write_seconds = start.elapsed().as_secs_f64();
        Ok(StageReport {
            metrics: metrics(&losses, pairs.len()),
            n_rows: Some(pairs.len() as u64),
            headline: headline(&losses, pairs.len()).or_else(|| self.closed_headline(pairs.len())),
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
    ) -> Result<(Option<Heads>, Vec<StepLoss>), StageError> {
        let (text, images) = (&text.vectors, &images.vectors);
        let failed = |error| StageError::because("the training failed", error);
        if let Some(method) = self.params.fit.closed_form() {
            let TrainProjectionParams { penalty, projection_dim, .. } = self.params;
            let heads = train::fit(text, images, pairs, method, penalty, projection_dim).map_err(failed)?;
            return Ok((Some(heads), Vec::new()));
        }
        let start = match self.params.fusion {
            Fusion::Projection => Some(self.initial_heads(text.n_cols, images.n_cols)?),
            Fusion::Passthrough => {
                if text.n_cols != images.n_cols {
                    let message = different_widths(text.n_cols, images.n_cols);
                    return Err(StageError::new(message).with_help("use `fusion: projection`"));
                }
                None
            }
        };
        let n_steps = (pairs.len().div_ceil(self.params.batch_size) * self.params.epochs) as u64;
        let mut n_done = 0;
        let trained = train::train(
            text,
            images,
            pairs,
            &self.options(context),
            start,
            artifact::device(context.device),
            &mut |_| {
                n_done += 1;
                context.host.progress(n_done, Some(n_steps));
                !context.host.is_cancelled()
            },
        )
        .map_err(failed)?;
        if context.host.is_cancelled() {
            return Err(StageError::cancelled());
        }
        Ok((trained.heads, trained.losses))
    }

    fn closed_headline(&self, n_pairs: usize) -> Option<String> {
        let name = match self.params.fit {
            Fit::Contrastive => return None,
            Fit::Ridge => "ridge regression",
            Fit::Cca => "canonical correlation analysis",
        };
        Some(format!("{n_pairs} pairs, {name}"))
    }

    fn options(&self, context: &StageContext<'_>) -> TrainOptions {
        let params = &self.params;
        TrainOptions {
            normalize: params.normalize,
            temperature: params.temperature,
            lr: params.lr,
            weight_decay: params.weight_decay,
            epochs: params.epochs,
            batch_size: params.batch_size,
            shuffle: params.shuffle,
            seed: params.seed,
            n_threads: context.n_threads,
        }
    }

    fn initial_heads(&self, d_text: usize, d_image: usize) -> Result<Heads, StageError> {
        let dim = self.params.projection_dim;
        let Some(path) = &self.params.init_from else {
            return Ok(train::initial_heads(d_text, d_image, dim, self.params.seed));
        };
        let path = path.path();
        let unusable = format!("the weights `{}` cannot be used", path.display());
        let checkpoint = Checkpoint::read(path).map_err(|error| StageError::because(unusable.clone(), error))?;
        let heads = checkpoint
            .heads
            .ok_or_else(|| StageError::new(format!("{unusable}: they are of `fusion: passthrough` and empty")))?;
        for (side, linear, d_in) in [("text", &heads.text, d_text), ("image", &heads.image, d_image)] {
            let (found, wanted) = ((linear.weight.n_rows, linear.weight.n_cols), (dim, d_in));
            if found != wanted {
                let message = format!(
                    "the {side} head of `{}` has the shape [{}, {}], but [{}, {}] is needed",
                    path.display(),
                    found.0,
                    found.1,
                    wanted.0,
                    wanted.1
                );
                return Err(StageError::new(message)
                    .with_help("`projection_dim` and the encoders must be those that the weights were trained with"));
            }
        }
        Ok(heads)
    }

    fn write(&self, context: &StageContext<'_>, heads: Option<Heads>, losses: &[StepLoss]) -> Result<(), StageError> {
        let failed = |error| StageError::because("the weights cannot be written", error);
        let checkpoint = Checkpoint { heads, normalize: self.params.normalize };
        checkpoint.write_safetensors(&context.scratch.join(artifact::PROJECTION)).map_err(failed)?;
        checkpoint.write_pth(&context.scratch.join("projection.pth")).map_err(failed)?;
        let mut history = String::from("epoch,step,loss\n");
        for step in losses {
            writeln!(history, "{},{},{}", step.epoch, step.step, step.loss).expect("a String takes any text");
        }
        let path = context.scratch.join(artifact::HISTORY);
        std::fs::write(&path, history).map_err(|error| artifact::unwritable(&path, error))
    }
}

/// Fails unless the text features are those of the queries, row by row.
pub(crate) fn must_align(queries: &[QueryRow], text: &Features) -> Result<(), StageError> {
    let same = queries.len() == text.ids.len() && queries.iter().zip(&text.ids).all(|(row, id)| row.id == *id);
    if same {
        return Ok(());
    }
    Err(StageError::new(format!(
        "the text features ({} rows) are not those of the queries ({} rows): their ids differ",
        text.ids.len(),
        queries.len()
    ))
    .with_help("the inputs `queries` and `text` must come from the same queries"))
}

/// The rows of images by id.
pub(crate) fn rows_by_id(images: &Features) -> HashMap<&str, usize> {
    images.ids.iter().enumerate().filter_map(|(row_idx, id)| Some((id.as_deref()?, row_idx))).collect()
}

/// The training pairs of the queries that have a text: (text row, image row) in the order of the queries and their ids.
fn pairs(queries: &[QueryRow], images: &Features, which: Pairs) -> Vec<(usize, usize)> {
    let rows = rows_by_id(images);
    let n_images = if which == Pairs::First { 1 } else { usize::MAX };
    let with_text = queries.iter().enumerate().filter(|(_, query)| !query.text.is_empty());
    with_text
        .flat_map(|(query_idx, query)| {
            let ids = query.image_ids.as_deref().unwrap_or_default();
            let there = ids.iter().filter_map(|id| rows.get(id.as_str()));
            there.take(n_images).map(move |image_idx| (query_idx, *image_idx)).collect::<Vec<_>>()
        })
        .collect()
}

/// The mean loss of each epoch, in order.
fn epoch_losses(losses: &[StepLoss]) -> Vec<f64> {
    losses
        .chunk_by(|a, b| a.epoch == b.epoch)
        .map(|epoch| epoch.iter().map(|step| f64::from(step.loss)).sum::<f64>() / epoch.len() as f64)
        .collect()
}

fn metrics(losses: &[StepLoss], n_pairs: usize) -> pipeline_core::Metrics {
    let mut metrics = BTreeMap::from([("n_pairs".to_owned(), n_pairs as f64)]);
    if let Some(loss) = epoch_losses(losses).last() {
        metrics.insert("loss".into(), *loss);
    }
    metrics
}

fn headline(losses: &[StepLoss], n_pairs: usize) -> Option<String> {
    let epochs = epoch_losses(losses);
    let shown: Vec<_> = epochs.iter().map(|loss| format!("{loss:.4}")).collect();
    let shown = match shown.as_slice() {
        [] => return None,
        [first, .., last] if shown.len() > 4 => format!("{first} … {last}"),
        all => all.join(", "),
    };
    Some(format!("{n_pairs} pairs, average loss by epoch: {shown}"))
}

#[cfg(test)]
mod tests {
    use pipeline_nn::Matrix;

    use super::*;

    fn query(text: &str, ids: &[&str]) -> QueryRow {
        let image_ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
        QueryRow { id: Some("1".into()), text: text.into(), image_ids }
    }

    #[test]
    fn a_query_is_paired_with_its_first_image_that_is_there_or_with_all() {
        let ids = ["a", "b", "c"].map(|id| Some(id.to_owned())).to_vec();
        let images = Features { ids, vectors: Matrix::zeros(3, 1) };
        let queries = [query("红色", &["x", "c", "a"]), query("", &["b"]), query("猫", &["x"]), query("狗", &["b"])];
        assert_eq!(pairs(&queries, &images, Pairs::First), [(0, 2), (3, 1)]);
        assert_eq!(pairs(&queries, &images, Pairs::All), [(0, 2), (0, 0), (3, 1)]);
    }
}

//! CLIP and Chinese-CLIP: two towers whose projections share a space.
//!
//! Three libraries save them under three sets of names: transformers ([`hub`]), OpenAI's code and open_clip, and
//! cn_clip ([`openai`]).

pub(super) mod chinese;
pub(super) mod hub;
pub(super) mod openai;
pub(crate) mod resnet;

use std::path::Path;

use super::pooling::{ImagePooling, Pooling};
use super::reader::{ImageReader, TextReader, image_pooling, pool_with_class, text_pooling};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, image_tower, layers, norm};
use crate::tower::{Activation, DenseWeights, HeadStep, LayerShape, NormPlace, TextPool, TextTower, TokenPositions};
use crate::weights::{Checklist, Family, ModelError};

/// Takes the projection of a tower of this width into a space of so many numbers.
type Project = fn(&mut Checklist, width: usize, dim: usize) -> DenseWeights;

/// The names under which a library saves an image tower and its projection.
struct ImageDialect {
    names: ImageNames,
    family: Family,
    project: Project,
}

/// The names under which a library saves a text tower and its projection. SigLIP's tower is one of them.
pub(super) struct TextDialect {
    /// Precedes the names of layers.
    pub(super) prefix: &'static str,
    pub(super) words: &'static str,
    pub(super) positions: &'static str,
    pub(super) layers: LayerNames,
    pub(super) final_norm: &'static str,
    pub(super) family: Family,
    pub(super) project: Project,
    /// The poolings that the tower has.
    pub(super) poolings: &'static [Pooling],
}

/// The poolings of a causal tower, whose first token has seen nothing.
const CAUSAL: &[Pooling] = &[Pooling::Mean, Pooling::Pooler, Pooling::Projected];

/// The sizes of a text tower.
#[derive(Clone, Copy)]
pub(super) struct TextSizes {
    pub(super) shape: LayerShape,
    pub(super) layers: LayerSizes,
    /// Tokens that the embedding knows.
    pub(super) n_words: usize,
    /// Rows of the embedding of positions.
    pub(super) n_positions: usize,
    /// The place of the token whose vector is the text's.
    pub(super) end: TextPool,
    /// Whether every text is padded to all positions, padding attended to.
    pub(super) is_padded: bool,
}

/// The properties of the layers of a vision tower.
fn image_shape(width: usize, n_heads: usize, activation: Activation, epsilon: f64) -> LayerShape {
    LayerShape { width, n_heads, activation, epsilon, norms: NormPlace::Before, is_causal: false }
}

/// The reader of an image tower whose projection gives `dim` numbers.
///
/// # Errors
/// When the tower has no such pooling.
fn image_reader(
    dialect: &'static ImageDialect,
    (shape, sizes, dim): (LayerShape, ImageSizes, usize),
    pooling: Option<ImagePooling>,
    path: &Path,
) -> Result<ImageReader, ModelError> {
    // transformers calls the class token after the last norm the pooler's output.
    use ImagePooling::{Cls, Mean, Pooler, Projected, Tokens};
    let pooling = image_pooling(pooling, Projected, &[Cls, Mean, Pooler, Projected], path)?;
    let width = shape.width;
    Ok(ImageReader {
        pooling,
        dim: if pooling == Projected { dim } else { width },
        has_class: true,
        image: sizes.image,
        patch: sizes.patch,
        interpolates: false,
        can_interpolate: true,
        family: &dialect.family,
        read: Box::new(move |list| {
            let pool = pool_with_class(pooling);
            let mut tower = image_tower(list, &dialect.names, shape, &sizes, (pool, Vec::new()));
            let projection = (dialect.project)(list, width, dim);
            match pooling {
                Projected => tower.head.push(HeadStep::Dense(projection)),
                // The last norm is the class token's alone.
                Tokens => tower.final_norm = None,
                _ => {}
            }
            tower
        }),
    })
}

/// The reader of a text tower whose projection gives `dim` numbers.
///
/// # Errors
/// When the tower has no such pooling.
pub(super) fn text_reader(
    dialect: &'static TextDialect,
    (sizes, dim): (TextSizes, usize),
    pooling: Option<Pooling>,
    path: &Path,
) -> Result<TextReader, ModelError> {
    use Pooling::{Mean, Projected, Tokens};
    let pooling = text_pooling(pooling, Projected, dialect.poolings, path)?;
    let TextSizes { shape, layers: layer_sizes, n_words, n_positions, end, is_padded } = sizes;
    let width = shape.width;
    Ok(TextReader {
        pooling,
        dim: if pooling == Projected { dim } else { width },
        has_class: false,
        n_words,
        max_length: n_positions,
        padding: is_padded.then_some(n_positions),
        family: &dialect.family,
        read: Box::new(move |list| {
            let projection = (dialect.project)(list, width, dim);
            TextTower {
                shape,
                words: list.take(dialect.words, &[n_words, width]),
                positions: list.take(dialect.positions, &[n_positions, width]),
                counting: TokenPositions::FromZero,
                embedding_norm: None,
                layers: layers(list, dialect.prefix, &dialect.layers, &shape, &layer_sizes),
                final_norm: Some(norm(list, dialect.final_norm, width)),
                pool: match pooling {
                    Mean => TextPool::Mean,
                    Tokens => TextPool::Tokens,
                    _ => end,
                },
                head: if pooling == Projected { vec![HeadStep::Dense(projection)] } else { Vec::new() },
            }
        }),
    })
}

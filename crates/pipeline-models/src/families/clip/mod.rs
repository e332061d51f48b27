//! CLIP and Chinese-CLIP: two towers whose projections share a space.
//!
//! Three libraries save them under three sets of names: transformers ([`hub`]), OpenAI's code and open_clip, and cn_clip
//! ([`openai`]).

pub(super) mod chinese;
pub(super) mod hub;
pub(super) mod openai;
pub(crate) mod resnet;

use std::path::Path;

use super::pooling::{ImagePooling, Pooling};
use super::reader::{ImageReader, TextReader, image_pooling, text_pooling};
use crate::tower::read::{ImageNames, ImageSizes, LayerNames, LayerSizes, image_tower, layers, norm};
use crate::tower::{
    Activation, DenseWeights, HeadStep, ImagePool, LayerShape, NormPlace, TextPool, TextTower, TokenPositions,
};
use crate::weights::{Checklist, Family, ModelError};

/// Takes the projection of a tower of this width into a space of so many numbers.
type Project = fn(&mut Checklist, width: usize, dim: usize) -> DenseWeights;

/// The names under which a library saves an image tower and its projection.
struct ImageDialect {
    names: ImageNames,
    family: Family,
    project: Project,
}

/// The names under which a library saves a text tower and its projection.
struct TextDialect {
    /// Precedes the names of layers.
    prefix: &'static str,
    words: &'static str,
    positions: &'static str,
    layers: LayerNames,
    final_norm: &'static str,
    family: Family,
    project: Project,
}

/// The sizes of a text tower.
#[derive(Clone, Copy)]
struct TextSizes {
    shape: LayerShape,
    layers: LayerSizes,
    /// Tokens that the embedding knows.
    n_words: usize,
    /// Rows of the embedding of positions.
    n_positions: usize,
    /// The place of the token at the end of a text.
    end: TextPool,
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
    use ImagePooling::{Cls, Mean, Pooler, Projected};
    let pooling = image_pooling(pooling, Projected, &[Cls, Mean, Pooler, Projected], path)?;
    let width = shape.width;
    Ok(ImageReader {
        pooling,
        dim: if pooling == Projected { dim } else { width },
        image: sizes.image,
        patch: sizes.patch,
        interpolates: false,
        can_interpolate: true,
        family: &dialect.family,
        read: Box::new(move |list| {
            let pool = if pooling == Mean { ImagePool::Mean } else { ImagePool::Class };
            let mut tower = image_tower(list, &dialect.names, shape, &sizes, (pool, Vec::new()));
            let projection = (dialect.project)(list, width, dim);
            if pooling == Projected {
                tower.head.push(HeadStep::Dense(projection));
            }
            tower
        }),
    })
}

/// The reader of a causal text tower whose projection gives `dim` numbers.
///
/// # Errors
/// When the tower has no such pooling.
fn text_reader(
    dialect: &'static TextDialect,
    (sizes, dim): (TextSizes, usize),
    pooling: Option<Pooling>,
    path: &Path,
) -> Result<TextReader, ModelError> {
    use Pooling::{Mean, Pooler, Projected};
    let pooling = text_pooling(pooling, Projected, &[Mean, Pooler, Projected], path)?;
    let TextSizes { shape, layers: layer_sizes, n_words, n_positions, end } = sizes;
    let width = shape.width;
    Ok(TextReader {
        pooling,
        dim: if pooling == Projected { dim } else { width },
        n_words,
        max_length: n_positions,
        padding: None,
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
                pool: if pooling == Mean { TextPool::Mean } else { end },
                head: if pooling == Projected { vec![HeadStep::Dense(projection)] } else { Vec::new() },
            }
        }),
    })
}

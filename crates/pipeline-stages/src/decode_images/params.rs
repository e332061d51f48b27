//! The params of `decode-images`, and the geometry that they come to.

use pipeline_data::{Alpha, CropOffset, Filter, Fit, ImageColumns, ImageIdPart, PixelsInfo, Resized, Target};
use pipeline_spec::{Node, SpecError, SpecPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::span_of;
use crate::model::ModelName;
use crate::shard_sizes;
use crate::split::SplitParams;

/// The longest side of pixels.
pub(super) const MAX_SIDE: u32 = 4096;

/// The longest shorter edge before a crop.
pub(super) const MAX_EDGE: u32 = 16_384;

/// The params that `like` stands for.
const OF_A_MODEL: [&str; 5] = ["size", "resize", "fit", "edge", "crop_offset"];

/// The params of `decode-images`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecodeImagesParams {
    /// The images: a TSV of one `id <tab> base64` per line; a folder, whose image files count however deep they lie;
    /// tars as of WebDataset, or Parquet as of Hugging Face. Of the latter two, `*`, `{a,b}` and `{000..009}` name
    /// several.
    // Not part of the manifest: the content is, as sources.
    #[serde(skip_serializing)]
    pub(super) path: SpecPath,
    /// The part of an image's path that is its id: by default `path` in folders and `key` in tars. Parquet takes
    /// `place` only, instead of ids in columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_id: Option<ImageIdName>,
    /// The columns of Parquet; by default `image`, and `image_id`, `item_id`, `img_id` or `id`, else the image's own
    /// path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) columns: Option<ImageColumnsParams>,
    /// The rows to take; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) split: Option<SplitParams>,
    /// The number of images to read, from the first on, decodable or not; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(super) max_samples: Option<u64>,
    /// Height and width of the pixels.
    #[serde(default = "default_size")]
    #[schemars(inner(range(min = 1, max = 4096)))]
    pub(super) size: [u32; 2],
    /// The filter of the antialiased resize; an image that already has the size stays unchanged.
    #[serde(default)]
    pub(super) resize: Resize,
    /// The size of a shard in MiB, on the average. When absent, shards are cut by rows: some 160 images of 224 × 224
    /// pixels. In `extract-image` it stands beside `decode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub(super) shard_mib: Option<u32>,
    // The params below are absent from manifests while they mean what was done before they were there.
    /// The treatment of images of another shape; `squash` when absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) fit: FitName,
    /// With `fit: crop`, the length of the shorter edge after the resize; the side of a square `size` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16_384))]
    pub(super) edge: Option<u32>,
    /// With `fit: crop`, the rounding of the place of the middle; `down` when absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) crop_offset: CropOffsetName,
    /// The treatment of transparency; `drop` when absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) alpha: AlphaName,
    /// A model whose own files say `size`, `resize`, `fit`, `edge` and `crop_offset`, none of which may stand beside
    /// it. It is named as in `extract-image`.
    // Not part of the manifest: what the model's files say is, so that models that say the same share shards.
    #[serde(default, skip_serializing)]
    pub(super) like: Option<ModelName>,
}

/// The part of an image's path that is its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ImageIdName {
    /// The path below the folder or in the tar: `dogs/7.small.jpg`.
    Path,
    /// The name of the file: `7.small.jpg`.
    Name,
    /// The name without its extension: `7.small`.
    Stem,
    /// The path up to the first dot of the name, as WebDataset has it: `dogs/7`.
    Key,
    /// The place: the tar's name before the key, as `shard-0.tar/dogs/7`; in Parquet the file and the row, as
    /// `train.parquet#17`. For keys, paths or ids that come again in another file.
    Place,
}

impl ImageIdName {
    pub(crate) const fn part(self) -> ImageIdPart {
        match self {
            Self::Path => ImageIdPart::Path,
            Self::Name => ImageIdPart::Name,
            Self::Stem => ImageIdPart::Stem,
            Self::Key => ImageIdPart::Key,
            Self::Place => ImageIdPart::Place,
        }
    }
}

/// The columns of a table of images.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageColumnsParams {
    /// The images: structs of `bytes` and `path`, bytes, or base64. In tars the extension, such as `rgb.jpg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// The ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl ImageColumnsParams {
    pub(super) fn columns(&self) -> ImageColumns {
        ImageColumns { image: self.image.clone(), id: self.id.clone(), has_place_ids: false }
    }
}

/// The filter of a resize, like Pillow's filter with the same name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Resize {
    /// As the notebook's transform.
    #[default]
    Bilinear,
    /// As the notebook's data loader.
    Bicubic,
    /// Equal weights.
    Box,
    /// A sinc of radius 1 under Hamming's window.
    Hamming,
    /// A sinc of radius 3.
    Lanczos,
}

/// The treatment of images of another shape than `size`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FitName {
    /// Height and width are resized independently.
    #[default]
    Squash,
    /// The shorter edge becomes `edge`, and the middle is taken.
    Crop,
}

/// The rounding of half the pixels that a crop takes off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CropOffsetName {
    /// As transformers.
    #[default]
    Down,
    /// As torchvision, and so timm and OpenCLIP.
    HalfEven,
}

/// The treatment of transparency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlphaName {
    /// Pixels keep their hidden colour, as with Pillow's `convert("RGB")`.
    #[default]
    Drop,
    /// Colours are laid on white, as by newer processors of transformers.
    White,
    /// Colours are laid on black.
    Black,
}

/// 224 × 224, as in the notebook.
fn default_size() -> [u32; 2] {
    [224, 224]
}

/// Whether a param has the meaning that it has when it is absent.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The way from any image to pixels of one size. Equal ones give equal pixels, and others may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Height and width of the pixels.
    pub(crate) size: [u32; 2],
    pub(crate) resize: Resize,
    pub(crate) fit: FitName,
    /// `None` where it is the side of the crop, or there is no crop.
    pub(crate) edge: Option<u32>,
    pub(crate) crop_offset: CropOffsetName,
    pub(crate) alpha: AlphaName,
}

impl DecodeImagesParams {
    /// Reads and checks the params.
    pub(super) fn read(node: &Node) -> Result<Self, SpecError> {
        let params: Self = pipeline_spec::params(node)?;
        let wrong = |name: &str, message: &str| Err(SpecError::at(span_of(node, name), message));
        if params.max_samples == Some(0) {
            return wrong("max_samples", "`max_samples` must be at least 1")
                .map_err(|error| error.with_help("leave it out to use every row"));
        }
        shard_sizes::check(node, params.shard_mib)?;
        if params.size.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            return wrong("size", &format!("`size` must be [height, width], each from 1 to {MAX_SIDE}"));
        }
        if params.edge.is_some_and(|edge| !(1..=MAX_EDGE).contains(&edge)) {
            return wrong("edge", &format!("`edge` must be from 1 to {MAX_EDGE}"));
        }
        if params.like.is_some() {
            return match OF_A_MODEL.into_iter().find(|name| node.get(name).is_some()) {
                Some(name) => wrong(name, &format!("`{name}` cannot stand beside `like`, which says it already"))
                    .map_err(|error| error.with_help("leave one of the two out")),
                None => Ok(params),
            };
        }
        if params.fit == FitName::Squash {
            return match ["edge", "crop_offset"].into_iter().find(|name| node.get(name).is_some()) {
                Some(name) => wrong(name, &format!("`{name}` has a meaning only with `fit: crop`")),
                None => Ok(params),
            };
        }
        match (params.edge, params.size) {
            (None, [height, width]) if height != width => {
                wrong("fit", "`fit: crop` needs `edge` where `size` is no square")
            }
            _ => Ok(params),
        }
    }

    /// The geometry as it is written, which is nothing where `like` stands.
    pub(super) fn written(&self) -> Geometry {
        let Self { size, resize, fit, edge, crop_offset, alpha, .. } = *self;
        Geometry { size, resize, fit, edge, crop_offset, alpha }.plain()
    }

    /// The same params with this geometry, for the manifest.
    pub(super) fn with(&self, geometry: Geometry) -> Self {
        let Geometry { size, resize, fit, edge, crop_offset, alpha } = geometry;
        Self { size, resize, fit, edge, crop_offset, alpha, ..self.clone() }
    }
}

impl Geometry {
    /// The same in one way of writing it.
    pub(super) fn plain(self) -> Self {
        let [height, width] = self.size;
        match self.fit {
            FitName::Squash => Self { edge: None, crop_offset: CropOffsetName::Down, ..self },
            FitName::Crop => Self { edge: self.edge.filter(|edge| [*edge; 2] != [height, width]), ..self },
        }
    }

    /// The length of the shorter edge before a crop.
    pub(crate) fn edge(&self) -> u32 {
        self.edge.unwrap_or(self.size[0])
    }

    /// The size to which images are brought.
    pub(crate) fn target(&self) -> Target {
        let [height, width] = self.size;
        let fit = match self.fit {
            FitName::Squash => Fit::Squash,
            FitName::Crop => Fit::Crop { edge: self.edge(), offset: self.crop_offset.offset() },
        };
        Target { width, height, filter: self.resize.filter(), fit }
    }

    /// The description of pixels, of which some were changed or none.
    pub(crate) fn pixels_info(&self, are_some_resized: bool) -> PixelsInfo {
        let [height, width] = self.size;
        let resized = are_some_resized.then(|| Resized {
            filter: self.resize.name().to_owned(),
            fit: (self.fit == FitName::Crop).then(|| "crop".to_owned()),
            edge: self.edge,
            crop_offset: (self.crop_offset == CropOffsetName::HalfEven).then(|| "half-even".to_owned()),
        });
        let alpha = (self.alpha != AlphaName::Drop).then(|| self.alpha.name().to_owned());
        PixelsInfo { height, width, resized, alpha }
    }

    /// Bytes of the pixels of so many rows.
    pub(super) fn pixel_bytes(&self, n_rows: usize) -> u64 {
        let [height, width] = self.size.map(u64::from);
        3 * height * width * n_rows as u64
    }
}

impl Resize {
    const ALL: [Self; 5] = [Self::Bilinear, Self::Bicubic, Self::Box, Self::Hamming, Self::Lanczos];

    /// The filter of that name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }

    /// Its name in specs and in Pillow.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Box => "box",
            Self::Hamming => "hamming",
            Self::Lanczos => "lanczos",
        }
    }

    const fn filter(self) -> Filter {
        match self {
            Self::Bilinear => Filter::Bilinear,
            Self::Bicubic => Filter::Bicubic,
            Self::Box => Filter::Box,
            Self::Hamming => Filter::Hamming,
            Self::Lanczos => Filter::Lanczos,
        }
    }
}

impl CropOffsetName {
    const fn offset(self) -> CropOffset {
        match self {
            Self::Down => CropOffset::Down,
            Self::HalfEven => CropOffset::HalfEven,
        }
    }
}

impl AlphaName {
    /// Its name in specs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::White => "white",
            Self::Black => "black",
        }
    }

    pub(super) const fn alpha(self) -> Alpha {
        match self {
            Self::Drop => Alpha::Drop,
            Self::White => Alpha::White,
            Self::Black => Alpha::Black,
        }
    }
}

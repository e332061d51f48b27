//! Opens the models of each family but BERT and ResNet: reads the small files, and no numbers of weights.

use std::path::Path;

use super::clip::openai;
use super::clip::resnet::{CLIP_RESNET, ClipResNetReader};
use super::convnext::ConvNeXtReader;
use super::image::{ImageModel, ImageOptions, Network};
use super::reader::{ImageReader, TextReader};
use super::text::{TextModel, TextOptions};
use super::{Opened, clip, siglip, vit};
use crate::preprocessing::{self, Preprocessing};
use crate::tokenizer::TokenizerFamily;
use crate::weights::{ImageModelFiles, ModelError, TextModelFiles, open, read_config};

/// `model_type: chinese_clip`: BERT's tokens and layers with a projection.
pub(super) fn chinese_clip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let path = files.required_config()?;
    let reader = clip::chinese::text(&read_config(path)?, path, options.pooling)?;
    text(files, options, reader, TokenizerFamily::Bert)
}

/// `model_type: clip`.
pub(super) fn clip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let path = files.required_config()?;
    let reader = clip::hub::text(&read_config(path)?, path, options.pooling)?;
    text(files, options, reader, TokenizerFamily::Clip)
}

/// `model_type: metaclip_2`: CLIP's layers on the tokens of XLM-R.
pub(super) fn metaclip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let path = files.required_config()?;
    let reader = clip::hub::text(&read_config(path)?, path, options.pooling)?;
    text(files, options, reader, TokenizerFamily::Roberta)
}

/// `model_type: siglip`.
pub(super) fn siglip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let path = files.required_config()?;
    let reader = siglip::text(&read_config(path)?, path, options.pooling)?;
    text(files, options, reader, TokenizerFamily::Siglip)
}

/// A folder of open_clip.
pub(super) fn open_clip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let path = open_clip_config(files.open_clip.as_deref(), &files.folder)?;
    let reader = openai::open_clip_text(&read_config(path)?, path, options.pooling)?;
    text(files, options, reader, TokenizerFamily::Clip)
}

/// A checkpoint of cn_clip.
pub(super) fn cn_clip_text(files: &TextModelFiles, options: &TextOptions) -> Opened {
    let list = open(&files.weights, openai::cn_text_family())?;
    let reader = openai::cn_clip_text(&list, &files.weights[0], options.pooling)?;
    text(files, options, reader, TokenizerFamily::Bert)
}

fn text(files: &TextModelFiles, options: &TextOptions, reader: TextReader, tokenizer: TokenizerFamily) -> Opened {
    Ok(Box::new(TextModel::new(files, options, reader, tokenizer)?))
}

/// `model_type: clip`, `chinese_clip` or `metaclip_2`.
pub(super) fn clip_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = required_config(files)?;
    let reader = clip::hub::image(&read_config(path)?, path, options.pooling)?;
    tower(files, options, reader, &Preprocessing::CLIP)
}

/// `model_type: siglip`.
pub(super) fn siglip_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = required_config(files)?;
    let reader = siglip::image(&read_config(path)?, path, options.pooling)?;
    tower(files, options, reader, &Preprocessing::HALF)
}

/// `model_type: vit`, or a ViT of timm.
pub(super) fn vit_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = required_config(files)?;
    let config = read_config(path)?;
    let reader = match config.contains_key("architecture") {
        true => {
            let list = open(&files.weights, &vit::timm::TIMM_VIT)?;
            // timm resizes positions with antialiasing, which is not computed here.
            if options.interpolates == Some(true) {
                let what = "positions of a ViT of timm are not interpolated: decode with `like`".to_owned();
                return Err(ModelError::Choice { param: "positions", path: path.to_owned(), what });
            }
            vit::timm::vit(&config, path, &list, options.pooling)?
        }
        false => vit::hub::vit(&config, path, options.pooling)?,
    };
    tower(files, options, reader, &Preprocessing::HALF)
}

/// `model_type: dinov2`.
pub(super) fn dinov2_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = required_config(files)?;
    let reader = vit::hub::dinov2(&read_config(path)?, path, options.pooling)?;
    tower(files, options, reader, &Preprocessing::IMAGENET)
}

/// The vision transformer of an open_clip folder or of a checkpoint of cn_clip.
pub(super) fn openai_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let reader = match &files.open_clip {
        Some(path) => openai::open_clip_image(&read_config(path)?, path, options.pooling)?,
        None => {
            let list = open(&files.weights, openai::image_family())?;
            openai::cn_clip_image(&list, &files.weights[0], options.pooling)?
        }
    };
    tower(files, options, reader, &Preprocessing::CLIP)
}

/// CLIP's ResNet in an open_clip folder or in a checkpoint of cn_clip.
pub(super) fn clip_resnet(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let list = open(&files.weights, &CLIP_RESNET)?;
    let reader = ClipResNetReader::new(&list, &files.weights[0], options.pooling)?;
    no_positions(options, &files.weights[0])?;
    image(files, Network::ClipResNet(reader), false, &Preprocessing::CLIP)
}

/// `model_type: convnext`, or a ConvNeXt of timm.
pub(super) fn convnext_image(files: &ImageModelFiles, options: &ImageOptions) -> Opened {
    let path = required_config(files)?;
    let config = read_config(path)?;
    let reader = match config.contains_key("architecture") {
        true => ConvNeXtReader::timm(&config, path, options.pooling)?,
        false => ConvNeXtReader::hub(&config, path, options.pooling)?,
    };
    no_positions(options, path)?;
    image(files, Network::ConvNeXt(reader), false, &Preprocessing::IMAGENET)
}

fn tower(files: &ImageModelFiles, options: &ImageOptions, reader: ImageReader, default: &Preprocessing) -> Opened {
    let interpolates = options.interpolates.unwrap_or(reader.interpolates);
    image(files, Network::Tower(reader), interpolates, default)
}

fn image(files: &ImageModelFiles, network: Network, interpolates: bool, default: &Preprocessing) -> Opened {
    let (preprocessing, _) = Preprocessing::read(files, default)?;
    let expectations = preprocessing::image_expectations(files)?;
    Ok(Box::new(ImageModel { files: files.clone(), preprocessing, expectations, network, interpolates }))
}

/// Refuses `positions` for a model that has none.
pub(super) fn no_positions(options: &ImageOptions, path: &Path) -> Result<(), ModelError> {
    match options.interpolates {
        Some(true) => {
            let what = "it has no positions of patches to interpolate".to_owned();
            Err(ModelError::Choice { param: "positions", path: path.to_owned(), what })
        }
        _ => Ok(()),
    }
}

fn required_config(files: &ImageModelFiles) -> Result<&Path, ModelError> {
    let lacks =
        || ModelError::Unsupported { path: files.weights[0].clone(), what: "it has no `config.json`".to_owned() };
    files.config.as_deref().ok_or_else(lacks)
}

fn open_clip_config<'a>(config: Option<&'a Path>, folder: &Path) -> Result<&'a Path, ModelError> {
    let lacks =
        || ModelError::Unsupported { path: folder.to_owned(), what: "it has no `open_clip_config.json`".to_owned() };
    config.ok_or_else(lacks)
}

//! The forms in which a model lies in a folder: transformers' or timm's, OpenCLIP's, cn_clip's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::description::is_cn_clip_file;
use super::super::{hub, read_config, read_json};
use super::Fault;
use crate::encoder::EncoderSide;

/// The weights of a model and the file that describes them.
pub(super) struct Form {
    /// `config.json`.
    pub(super) config: Option<PathBuf>,
    /// `open_clip_config.json`.
    pub(super) open_clip: Option<PathBuf>,
    /// The weights, or their shards in the order of their names.
    pub(super) weights: Vec<PathBuf>,
}

impl Form {
    /// A checkpoint that describes itself.
    fn of_itself(weights: PathBuf) -> Self {
        Self { config: None, open_clip: None, weights: vec![weights] }
    }

    /// Whether nothing but the checkpoint describes the model.
    pub(super) fn is_of_itself(&self) -> bool {
        self.config.is_none() && self.open_clip.is_none()
    }

    /// The form of the model whose only weights are this file: a checkpoint of cn_clip, or the weights of a folder.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        if is_cn_clip_file(path) {
            return Some(Self::of_itself(path.to_owned()));
        }
        let folder = path.parent()?;
        let forms = [open_clip(folder), described(folder)].into_iter().filter_map(|form| form.ok()?);
        forms.into_iter().find(|form| form.weights == [path])
    }

    /// The form of the model in a folder, if all of one is there.
    ///
    /// A `config.json` goes before the others, unless it is timm's and does not describe the tower of that side.
    pub(super) fn in_folder(
        folder: &Path,
        side: EncoderSide,
        several: &dyn Fn(Vec<PathBuf>) -> Fault,
    ) -> Result<Option<Self>, Fault> {
        let of_open_clip = open_clip(folder)?;
        let is_beside_timm = of_open_clip.is_some() && is_of_timm(&folder.join("config.json"), side);
        if let Some(form) = described(folder)?.filter(|_| !is_beside_timm) {
            return Ok(Some(form));
        }
        if of_open_clip.is_some() {
            return Ok(of_open_clip);
        }
        let mut own: Vec<_> = hub::checkpoints_in(folder).into_iter().filter(|path| is_cn_clip_file(path)).collect();
        match own.len() {
            0 => Ok(None),
            1 => Ok(Some(Self::of_itself(own.remove(0)))),
            _ => Err(several(own)),
        }
    }
}

/// The form of transformers or timm in a folder, if all of it is there.
fn described(folder: &Path) -> Result<Option<Form>, String> {
    let Some(config) = there(folder, "config.json") else { return Ok(None) };
    let weights = weights(folder, &hub::WEIGHT_FILES)?;
    Ok(weights.map(|weights| Form { config: Some(config), open_clip: None, weights }))
}

/// OpenCLIP's form in a folder, if all of it is there.
fn open_clip(folder: &Path) -> Result<Option<Form>, String> {
    let Some(open_clip) = there(folder, hub::OPEN_CLIP_CONFIG) else { return Ok(None) };
    let weights = weights(folder, &hub::OPEN_CLIP_FILES)?;
    Ok(weights.map(|weights| Form { config: None, open_clip: Some(open_clip), weights }))
}

/// Whether a configuration is timm's and of another tower than that side's, or of a CLIP's image tower alone.
fn is_of_timm(config: &Path, side: EncoderSide) -> bool {
    let is_clip = |architecture: &Value| architecture.as_str().is_some_and(|name| name.contains("clip"));
    let architecture = read_config(config).ok().and_then(|mut config| config.remove("architecture"));
    architecture.is_some_and(|architecture| side == EncoderSide::Text || is_clip(&architecture))
}

/// A file in a folder, if it is there.
pub(super) fn there(folder: &Path, name: &str) -> Option<PathBuf> {
    Some(folder.join(name)).filter(|path| path.is_file())
}

/// The weights in a folder under one of these names, the preferred one first: the whole file before its shards.
pub(super) fn weights(folder: &Path, names: &[&str]) -> Result<Option<Vec<PathBuf>>, String> {
    for name in names {
        if let Some(whole) = there(folder, name) {
            return Ok(Some(vec![whole]));
        }
        if let Some(index) = there(folder, &format!("{name}.index.json")) {
            return shards(folder, &index).map(Some);
        }
    }
    Ok(None)
}

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: std::collections::BTreeMap<String, String>,
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, String> {
    let index: ShardIndex = read_json(index).map_err(|error| error.to_string())?;
    let names: BTreeSet<_> = index.weight_map.into_values().collect();
    let missing = |name: &str| format!("no `{name}`, which the index of its weights names");
    names.into_iter().map(|name| there(folder, &name).ok_or_else(|| missing(&name))).collect()
}

#[cfg(test)]
mod tests;

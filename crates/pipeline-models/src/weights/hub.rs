//! The layouts of Hugging Face, timm and torch on disk, and the possible places of a model name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The names of one kind of model in the layouts.
pub(super) struct Family {
    /// `text` or `image`.
    pub(super) name: &'static str,
    /// The owners under whom the hub keeps models with bare names; models of the first owner once had none.
    owners: &'static [&'static str],
    /// Bare names and the tag of their default weights.
    default_tags: &'static [(&'static str, &'static str)],
    /// Whether a checkpoint that timm or torchvision names after a recipe or a hash is a model, beside one of a plain
    /// name.
    has_recipes: bool,
}

/// Text encoders of transformers.
pub(super) const TEXT: Family = Family { name: "text", owners: &TEXT_OWNERS, default_tags: &[], has_recipes: false };

/// The owners of text encoders, those of models with both towers last.
const TEXT_OWNERS: [&str; 11] = [
    "google-bert",
    "hfl",
    "FacebookAI",
    "BAAI",
    "IDEA-CCNL",
    "OFA-Sys",
    "TencentARC",
    "openai",
    "google",
    "facebook",
    "timm",
];
/// The owners of image encoders, those of models with both towers last.
const IMAGE_OWNERS: [&str; 9] =
    ["timm", "facebook", "google", "openai", "OFA-Sys", "TencentARC", "IDEA-CCNL", "BAAI", "FacebookAI"];

/// Image encoders of timm; the tags are the defaults of its registry.
pub(super) const IMAGE: Family = Family {
    name: "image",
    owners: &IMAGE_OWNERS,
    default_tags: &[
        ("resnet18", "a1_in1k"),
        ("resnet26", "bt_in1k"),
        ("resnet34", "a1_in1k"),
        ("resnet50", "a1_in1k"),
        ("resnet101", "a1h_in1k"),
        ("resnet152", "a1h_in1k"),
        ("wide_resnet50_2", "racm_in1k"),
        ("wide_resnet101_2", "tv_in1k"),
        ("vit_tiny_patch16_224", "augreg_in21k_ft_in1k"),
        ("vit_small_patch16_224", "augreg_in21k_ft_in1k"),
        ("vit_small_patch32_224", "augreg_in21k_ft_in1k"),
        ("vit_base_patch8_224", "augreg2_in21k_ft_in1k"),
        ("vit_base_patch16_224", "augreg2_in21k_ft_in1k"),
        ("vit_base_patch32_224", "augreg_in21k_ft_in1k"),
        ("vit_large_patch16_224", "augreg_in21k_ft_in1k"),
        ("convnext_atto", "d2_in1k"),
        ("convnext_femto", "d1_in1k"),
        ("convnext_pico", "d1_in1k"),
        ("convnext_nano", "in12k_ft_in1k"),
        ("convnext_tiny", "in12k_ft_in1k"),
        ("convnext_small", "in12k_ft_in1k"),
        ("convnext_base", "fb_in22k_ft_in1k"),
        ("convnext_large", "fb_in22k_ft_in1k"),
        ("convnext_xlarge", "fb_in22k_ft_in1k"),
    ],
    has_recipes: true,
};

/// The names of whole weights, by preference; an index file beside them names shards.
pub(super) const WEIGHT_FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// The names of OpenCLIP's configuration and of its whole weights, the preferred one first.
pub(super) const OPEN_CLIP_CONFIG: &str = "open_clip_config.json";
pub(super) const OPEN_CLIP_FILES: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// The beginning of the names of cn_clip's published checkpoints.
const CN_CLIP: &str = "clip_cn";

const CHECKPOINT_EXTENSIONS: &[&str] = &["safetensors", "pth", "pt", "bin"];

/// The subfolders of a folder of models that also hold models.
const BELOW: [&str; 3] = ["hub", "checkpoints", "hub/checkpoints"];

/// A possible place of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A folder or a file, present or missing.
    Path(PathBuf),
    /// Several checkpoints that are equally likely.
    Several(Vec<PathBuf>),
}

/// Every possible place of `model`, by preference, without duplicates.
///
/// Includes folders that do not exist and the plain path in those that do, so that an error can name them.
pub(super) fn places(model: &str, folders: &[PathBuf], family: &Family) -> Vec<Place> {
    let path = Path::new(model);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return vec![Place::Path(path.to_owned())];
    };
    let mut places = Vec::new();
    if path.is_absolute() {
        places = places_in(parent, &name.to_string_lossy(), family);
    }
    for folder in folders.iter().filter(|_| !path.is_absolute()) {
        if !folder.is_dir() {
            places.push(Place::Path(folder.clone()));
            continue;
        }
        places.extend(places_in(folder, model, family));
        let below = BELOW.map(|below| folder.join(below));
        places.extend(below.iter().filter(|root| root.is_dir()).flat_map(|root| places_in(root, model, family)));
    }
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The names of the models in a folder, whatever they contain: candidates for a misspelt name.
pub(super) fn names_in(root: &Path, family: &Family) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let name = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        if let Some(cached) = name.strip_prefix("models--") {
            return Some(cached.replacen("--", "/", 1));
        }
        if path.is_dir() {
            return Some(name.to_owned()).filter(|name| !name.starts_with('.') && !BELOW.contains(&name.as_str()));
        }
        let stem = path.file_stem().filter(|_| is_checkpoint(&path))?.to_str()?;
        if !family.has_recipes && !stem.starts_with(CN_CLIP) {
            return None;
        }
        Some(stem.rsplit_once('-').filter(|(_, hash)| is_hash(hash)).map_or(stem, |(name, _)| name).to_owned())
    };
    entries.filter_map(|entry| name(entry.path())).collect()
}

/// All folders of models: those to search and the libraries' subfolders.
pub(super) fn roots(folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    folders.iter().flat_map(|folder| std::iter::once(folder.clone()).chain(BELOW.map(|below| folder.join(below))))
}

/// The folders whose listings determine the places, and for each place what determines its files.
pub(super) fn looked_at(model: &str, folders: &[PathBuf], family: &Family) -> Vec<PathBuf> {
    let path = Path::new(model);
    let mut looked_at: Vec<PathBuf> = match path.parent() {
        Some(parent) if path.is_absolute() => vec![parent.to_owned()],
        _ => roots(folders).collect(),
    };
    let paths = places(model, folders, family).into_iter().flat_map(|place| match place {
        Place::Path(path) => vec![path],
        Place::Several(paths) => paths,
    });
    for place in paths {
        looked_at.extend([place.join("snapshots"), place.join("refs/main")]);
        if let Ok(folder) = model_folder(&place) {
            let indexes = WEIGHT_FILES.iter().chain(&OPEN_CLIP_FILES);
            looked_at.extend(indexes.map(|name| folder.join(format!("{name}.index.json"))));
            // It says whether it is the one that describes the weights.
            looked_at.push(folder.join("config.json"));
            looked_at.push(folder);
        }
        looked_at.push(place);
    }
    looked_at
}

/// The plain path, then every existing cached or single-file form.
fn places_in(root: &Path, name: &str, family: &Family) -> Vec<Place> {
    let mut places = vec![Place::Path(root.join(name))];
    let names = other_names(name, family).into_iter().chain(cache_names(name, family));
    places.extend(names.map(|name| root.join(name)).filter(|path| path.is_dir()).map(Place::Path));
    places.extend(single_files(root, name, family));
    places
}

/// The plain folders of the same model, with and without the owner that the hub has since added.
fn other_names(name: &str, family: &Family) -> Vec<String> {
    match name.split_once('/') {
        Some((owner, bare)) if owner == family.owners[0] => vec![bare.to_owned()],
        Some(_) => Vec::new(),
        None => family.owners.iter().map(|owner| format!("{owner}/{name}")).collect(),
    }
}

/// The folder names `models--owner--name` under which the hub's cache may keep `name`.
fn cache_names(name: &str, family: &Family) -> Vec<String> {
    let (owners, bare) = match name.split_once('/') {
        Some((owner, bare)) => (family.owners.iter().filter(|known| **known == owner).collect::<Vec<_>>(), bare),
        None => (family.owners.iter().collect(), name),
    };
    let tagged = default_tag(bare, family).map_or_else(|| bare.to_owned(), |tag| format!("{bare}.{tag}"));
    let mut names = vec![format!("models--{}", name.replace('/', "--"))];
    names.extend(owners.iter().map(|owner| format!("models--{owner}--{tagged}")));
    if owners.first() == Some(&&family.owners[0]) {
        names.push(format!("models--{bare}"));
    }
    names
}

fn default_tag(name: &str, family: &Family) -> Option<&'static str> {
    family.default_tags.iter().find(|(bare, _)| *bare == name).map(|(_, tag)| *tag)
}

/// The checkpoint file of `name`: of this very name, else for images timm's default weights (`NAME_a1…`), else
/// torchvision's (`NAME-<8 digits>`).
///
/// Several files of one class are equally good.
fn single_files(root: &Path, name: &str, family: &Family) -> Option<Place> {
    let rest = |path: &PathBuf| Some(path.file_stem()?.to_str()?.strip_prefix(name)?.to_owned());
    let checkpoints = checkpoints_in(root);
    let class = |wanted: &dyn Fn(&str) -> bool| {
        let mut found: Vec<_> =
            checkpoints.iter().filter(|path| rest(path).is_some_and(|rest| wanted(&rest))).cloned().collect();
        match found.len() {
            0 => None,
            1 => Some(Place::Path(found.remove(0))),
            _ => Some(Place::Several(found)),
        }
    };
    if !family.has_recipes {
        return class(&str::is_empty);
    }
    // `a1_in1k` is the recipe `a1`, whose weights were called `NAME_a1_0-…` before they moved to the hub.
    let recipe = default_tag(name, family).and_then(|tag| tag.split('_').next()).unwrap_or("a1");
    class(&str::is_empty)
        .or_else(|| class(&|rest| rest.strip_prefix('_').and_then(|rest| rest.strip_prefix(recipe)).is_some_and(ends)))
        .or_else(|| class(&|rest| rest.starts_with("_a1")))
        .or_else(|| class(&|rest| rest.strip_prefix('-').is_some_and(is_hash)))
}

/// True for a valid continuation after a whole word.
fn ends(rest: &str) -> bool {
    !rest.starts_with(|next: char| next.is_ascii_alphanumeric())
}

fn is_hash(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Files that lie beside models and look like checkpoints of them.
const NO_MODELS: &[&str] =
    &["training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "openvino_model.bin"];

/// The checkpoint files directly in a folder, sorted.
pub(super) fn checkpoints_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_checkpoint(path)).collect();
    paths.sort();
    paths
}

fn is_checkpoint(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_other = path.file_name().is_some_and(|name| NO_MODELS.iter().any(|other| name == *other));
    !is_other && extension.is_some_and(|extension| CHECKPOINT_EXTENSIONS.contains(&extension)) && path.is_file()
}

/// The folder with a model's files: `place` itself, or the current snapshot in a cache of the hub.
pub(super) fn model_folder(place: &Path) -> Result<PathBuf, String> {
    if place.is_file() {
        return Err("a file and not a folder".into());
    }
    if !place.is_dir() {
        return Err("no such folder".into());
    }
    let snapshots = place.join("snapshots");
    if !snapshots.is_dir() {
        return Ok(place.to_owned());
    }
    if let Ok(revision) = pipeline_files::read_to_string(&place.join("refs/main")) {
        let snapshot = snapshots.join(revision.trim());
        return if snapshot.is_dir() { Ok(snapshot) } else { Err(format!("no snapshot `{}`", revision.trim())) };
    }
    let entries = std::fs::read_dir(&snapshots).map_err(|error| error.to_string())?;
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    match found.as_slice() {
        [] => Err("no snapshot".into()),
        [only] => Ok(only.clone()),
        several => {
            let names = several.iter().filter_map(|path| Some(format!("`{}`", path.file_name()?.to_str()?)));
            let names = names.collect::<Vec<_>>().join(", ");
            Err(format!("{} snapshots and no `refs/main`, so name one of them: {names}", several.len()))
        }
    }
}

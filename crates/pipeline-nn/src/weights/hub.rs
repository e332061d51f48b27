//! How Hugging Face, timm and torch lay out models on disk, and where a name may therefore be.

use std::path::{Path, PathBuf};

/// What the layouts call the models of a kind.
pub(super) struct Family {
    /// `text` or `image`.
    pub(super) name: &'static str,
    /// The owners under whom the hub keeps models that are known by a bare name.
    owners: &'static [&'static str],
    /// Bare names and the tag of the weights that they stand for.
    default_tags: &'static [(&'static str, &'static str)],
    /// Whether a bare checkpoint file is a model.
    single_files: bool,
}

/// Text encoders of transformers.
pub(super) const TEXT: Family =
    Family { name: "text", owners: &["google-bert", "hfl"], default_tags: &[], single_files: false };

/// Image encoders of timm; the tags are the defaults of its registry.
pub(super) const IMAGE: Family = Family {
    name: "image",
    owners: &["timm"],
    default_tags: &[
        ("resnet18", "a1_in1k"),
        ("resnet26", "bt_in1k"),
        ("resnet34", "a1_in1k"),
        ("resnet50", "a1_in1k"),
        ("resnet101", "a1h_in1k"),
        ("resnet152", "a1h_in1k"),
        ("wide_resnet50_2", "racm_in1k"),
        ("wide_resnet101_2", "tv_in1k"),
    ],
    single_files: true,
};

/// The names of whole weights, the preferred one first; their shards are named by an index beside.
pub(super) const WEIGHT_FILES: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

const CHECKPOINT_EXTENSIONS: &[&str] = &["safetensors", "pth", "pt", "bin"];

/// Every place where `model` may be, the preferred one first.
///
/// A folder that does not exist is a place too, and so is the plain path in one that does: an error is to name them.
pub(super) fn places(model: &str, folders: &[PathBuf], family: &Family) -> Vec<PathBuf> {
    let path = Path::new(model);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return vec![path.to_owned()] };
    if path.is_absolute() {
        return places_in(parent, &name.to_string_lossy(), family);
    }
    let mut places = Vec::new();
    for folder in folders {
        if !folder.is_dir() {
            places.push(folder.clone());
            continue;
        }
        places.extend(places_in(folder, model, family));
        let below = ["hub", "checkpoints", "hub/checkpoints"].map(|below| folder.join(below));
        places.extend(below.iter().filter(|root| root.is_dir()).flat_map(|root| places_in(root, model, family)));
    }
    places
}

/// The folders whose listing decides which places there are, and of each place what decides where its files lie.
pub(super) fn looked_at(model: &str, folders: &[PathBuf], family: &Family) -> Vec<PathBuf> {
    let path = Path::new(model);
    let mut looked_at: Vec<PathBuf> = match path.parent() {
        Some(parent) if path.is_absolute() => vec![parent.to_owned()],
        _ => {
            let below = ["", "hub", "checkpoints", "hub/checkpoints"];
            folders.iter().flat_map(|folder| below.map(|below| folder.join(below))).collect()
        }
    };
    for place in places(model, folders, family) {
        looked_at.extend([place.join("snapshots"), place.join("refs/main")]);
        if let Ok(folder) = model_folder(&place) {
            looked_at.extend(WEIGHT_FILES.map(|name| folder.join(format!("{name}.index.json"))));
            looked_at.push(folder);
        }
        looked_at.push(place);
    }
    looked_at
}

/// The plain path, then whatever cached or single-file form exists.
fn places_in(root: &Path, name: &str, family: &Family) -> Vec<PathBuf> {
    let mut places = vec![root.join(name)];
    places.extend(cache_names(name, family).map(|name| root.join(name)).filter(|path| path.is_dir()));
    if family.single_files {
        places.extend(single_files(root, name));
    }
    places
}

/// The folder names `models--owner--name` under which the hub's cache may keep `name`.
fn cache_names(name: &str, family: &Family) -> impl Iterator<Item = String> {
    let tag = family.default_tags.iter().find(|(bare, _)| *bare == name).map(|(_, tag)| *tag);
    let tagged = tag.map_or_else(|| name.to_owned(), |tag| format!("{name}.{tag}"));
    let owned: Vec<_> = family.owners.iter().map(|owner| format!("models--{owner}--{tagged}")).collect();
    let bare = format!("models--{}", name.replace('/', "--"));
    std::iter::once(bare).chain(owned)
}

/// The checkpoint file of `name`: of this very name, else timm's `NAME_a1…`, else torchvision's `NAME-<8 digits>`.
///
/// Of several in one class none is preferred: they are all left out.
fn single_files(root: &Path, name: &str) -> Option<PathBuf> {
    let is_hash = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = |path: &PathBuf| Some(path.file_stem()?.to_str()?.strip_prefix(name)?.to_owned());
    let checkpoints = checkpoints_in(root);
    let class = |wanted: &dyn Fn(&str) -> bool| {
        let found = checkpoints.iter().filter(|path| rest(path).is_some_and(|rest| wanted(&rest)));
        only(found.cloned().collect(), "checkpoint").ok()
    };
    class(&str::is_empty)
        .or_else(|| class(&|rest| rest.starts_with("_a1")))
        .or_else(|| class(&|rest| rest.strip_prefix('-').is_some_and(is_hash)))
}

/// The checkpoint files directly in a folder, sorted.
pub(super) fn checkpoints_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_checkpoint = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| CHECKPOINT_EXTENSIONS.contains(&extension)) && path.is_file()
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(is_checkpoint).collect();
    paths.sort();
    paths
}

/// The one path there is, or what is wrong.
pub(super) fn only(mut paths: Vec<PathBuf>, what: &str) -> Result<PathBuf, String> {
    match paths.len() {
        0 => Err(format!("no {what}")),
        1 => Ok(paths.remove(0)),
        n => Err(format!("{n} {what}s, so name one of them")),
    }
}

/// The folder with a model's files: `place` itself, or the current snapshot when it is a cache of the hub.
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
    only(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(), "snapshot")
}

//! Finds a model in its checkpoint: the dict that holds it, and the prefixes of wrappers before its tensor names.

use std::collections::{BTreeMap, BTreeSet};

use super::ModelError;
use super::checklist::{Checklist, WeightsNote};
use super::contents::Entry;
use super::file::CheckpointFile;
use super::shown::{listed, shown};
use super::trouble::Trouble;

/// The parts that PyTorch's wrappers insert into names of modules: for several devices, compiled and sharded modules.
const WRAPPERS: &[&str] = &["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The most places of a model: more than any checkpoint has.
const MAX_CANDIDATES: usize = 16;

/// A family of models: the names of its tensors.
pub(crate) struct Family {
    /// The words for its models in messages, such as `a BERT`.
    pub(crate) what: &'static str,
    /// Names that identify these models. A model is where a name of the first of these groups occurs.
    pub(crate) anchors: &'static [&'static [&'static str]],
    /// The canonical name of a tensor in any dialect; `None` if it is not needed.
    pub(crate) canonical: fn(&str) -> Option<String>,
    /// Prefixes that ordinary files also have, and that need no remark.
    pub(crate) usual_prefixes: &'static [&'static str],
}

/// The tensors of one dict by their names without wrappers.
type Dict<'a> = BTreeMap<String, Tensor<'a>>;

#[derive(Clone, Copy)]
struct Tensor<'a> {
    file_idx: usize,
    entry: &'a Entry,
}

/// A possible place of the model.
struct Candidate<'a> {
    /// The dicts' names; empty for the outermost one.
    dict: &'a str,
    /// The prefix of the names of the model's tensors.
    prefix: String,
    /// The tensors by canonical name.
    tensors: BTreeMap<String, Tensor<'a>>,
    /// Wrappers that were removed from names.
    wrappers: BTreeSet<&'static str>,
}

/// The tensors of the one model of `family` in the files, and the remark on its place.
///
/// # Errors
/// When there is no such model, or there are several; the error lists the names that were found.
pub(crate) fn choose(files: Vec<CheckpointFile>, family: &Family) -> Result<Checklist, ModelError> {
    let (tensors, note) = find(&files, family).map_err(|trouble| trouble.at(files[0].path()))?;
    Ok(Checklist::new(files, tensors, note))
}

/// A model's tensors by name, each with the index of its file.
type Found = BTreeMap<String, (usize, Entry)>;

fn find(files: &[CheckpointFile], family: &Family) -> Result<(Found, WeightsNote), Trouble> {
    let by_dict = dicts(files, false)?;
    // A state dict may also be split into dicts of its modules.
    let flat = dicts(files, true)?;
    let mut candidates = candidates(&by_dict, family)?;
    if candidates.is_empty() {
        candidates = self::candidates(&flat, family)?;
    }
    if candidates.is_empty() {
        return Err(none_found(files, family));
    }
    let others = keep_one(&mut candidates, family)?;
    let [chosen] = candidates.as_slice() else { unreachable!("BUG: one candidate is kept") };
    let note = note(chosen, &others, family);
    let tensors = chosen.tensors.iter();
    let found = tensors.map(|(name, tensor)| (name.clone(), (tensor.file_idx, tensor.entry.clone()))).collect();
    Ok((found, note))
}

/// The shape of a tensor of a file, in whatever dict and behind whatever wrappers; `None` if there is no such tensor.
pub(crate) fn shape_of(file: &CheckpointFile, name: &str) -> Option<Vec<usize>> {
    let entry = file.contents.entries.iter().find(|entry| unwrapped(&entry.key) == name)?;
    entry.place.as_ref().ok().map(|view| view.shape.clone())
}

/// The tensors of all files by dict, or all in one.
fn dicts(files: &[CheckpointFile], is_flat: bool) -> Result<BTreeMap<&str, Dict<'_>>, Trouble> {
    let mut dicts: BTreeMap<&str, Dict<'_>> = BTreeMap::new();
    for (file_idx, file) in files.iter().enumerate() {
        for entry in &file.contents.entries {
            let (dict, name) = if is_flat { ("", entry.full_name()) } else { (entry.dict.as_str(), entry.key.clone()) };
            let tensor = Tensor { file_idx, entry };
            if dicts.entry(dict).or_default().insert(unwrapped(&name), tensor).is_some() {
                return Err(twice(entry));
            }
        }
    }
    Ok(dicts)
}

fn twice(entry: &Entry) -> Trouble {
    Trouble::new(format!("holds {} more than once under different names", shown(&entry.full_name())))
}

/// The name without the parts that wrappers add.
pub(super) fn unwrapped(name: &str) -> String {
    if !WRAPPERS.iter().any(|wrapper| name.contains(wrapper)) {
        return name.to_owned();
    }
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

fn candidates<'a>(dicts: &'a BTreeMap<&'a str, Dict<'a>>, family: &Family) -> Result<Vec<Candidate<'a>>, Trouble> {
    for anchors in family.anchors {
        let mut places = BTreeSet::new();
        for (dict, tensors) in dicts {
            let prefix = |name: &'a String| anchors.iter().find_map(|anchor| prefix_before(name, anchor));
            places.extend(tensors.keys().filter_map(prefix).map(|prefix| (*dict, prefix)));
            if places.len() > MAX_CANDIDATES {
                let some = places.iter().map(|(dict, prefix)| place(dict, prefix)).collect::<Vec<_>>();
                return Err(ambiguous(&some, family));
            }
        }
        if !places.is_empty() {
            return places.into_iter().map(|(dict, prefix)| candidate(dict, prefix, &dicts[dict], family)).collect();
        }
    }
    Ok(Vec::new())
}

/// The prefix before `anchor` in a name that ends with it, with the dot; empty if there is none.
fn prefix_before<'a>(name: &'a str, anchor: &str) -> Option<&'a str> {
    name.strip_suffix(anchor).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

fn candidate<'a>(dict: &'a str, prefix: &str, all: &'a Dict<'a>, family: &Family) -> Result<Candidate<'a>, Trouble> {
    let (mut tensors, mut wrappers) = (BTreeMap::new(), BTreeSet::new());
    let below = all.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    for (name, tensor) in below {
        let Some(canonical) = (family.canonical)(&name[prefix.len()..]) else { continue };
        // In a dict that was not flattened, its own name is not part of its tensors' names.
        let name = if dict.is_empty() { tensor.entry.full_name() } else { tensor.entry.key.clone() };
        wrappers.extend(WRAPPERS.iter().filter(|wrapper| name.split('.').any(|part| part == **wrapper)));
        if tensors.insert(canonical, *tensor).is_some() {
            return Err(twice(tensor.entry));
        }
    }
    Ok(Candidate { dict, prefix: prefix.to_owned(), tensors, wrappers })
}

/// Keeps the intended candidate, and returns the places of the averages that were dropped.
fn keep_one(candidates: &mut Vec<Candidate<'_>>, family: &Family) -> Result<Vec<String>, Trouble> {
    // The same tensors under two names are one model.
    let mut unlike: Vec<Candidate<'_>> = Vec::new();
    for candidate in candidates.drain(..) {
        if !unlike.iter().any(|other| is_same(other, &candidate)) {
            unlike.push(candidate);
        }
    }
    let is_average = |candidate: &Candidate<'_>| place(candidate.dict, &candidate.prefix).split('.').any(is_average);
    let n_plain = unlike.iter().filter(|candidate| !is_average(candidate)).count();
    let places = |candidates: &[Candidate<'_>]| -> Vec<String> {
        candidates.iter().map(|candidate| place(candidate.dict, &candidate.prefix)).collect()
    };
    if unlike.len() > 1 && n_plain != 1 {
        return Err(ambiguous(&places(&unlike), family));
    }
    let (plain, averages): (Vec<_>, Vec<_>) =
        unlike.into_iter().partition(|candidate| n_plain == 0 || !is_average(candidate));
    *candidates = plain;
    Ok(places(&averages))
}

fn is_same(left: &Candidate<'_>, right: &Candidate<'_>) -> bool {
    let same = |left: &Tensor<'_>, right: &Tensor<'_>| {
        left.file_idx == right.file_idx && left.entry.place.is_ok() && left.entry.place == right.entry.place
    };
    left.tensors.len() == right.tensors.len()
        && left.tensors.iter().zip(&right.tensors).all(|(left, right)| left.0 == right.0 && same(left.1, right.1))
}

/// Whether a name is that of a model's running average, which training programs save beside it.
fn is_average(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split('_').any(|part| part == "ema" || part == "momentum") || name.ends_with("_m") || name == "encoder_k"
}

/// A dict and a prefix as one name, without a trailing dot.
fn place(dict: &str, prefix: &str) -> String {
    let dot = if dict.is_empty() || prefix.is_empty() { "" } else { "." };
    format!("{dict}{dot}{}", prefix.trim_end_matches('.'))
}

fn ambiguous(places: &[String], family: &Family) -> Trouble {
    let named = places.iter().map(|place| if place.is_empty() { "(no prefix)" } else { place.as_str() });
    Trouble::new(format!(
        "holds {} in several places, and nothing says which one is meant: {}; save that one in a file of its own",
        family.what,
        listed(named)
    ))
}

fn none_found(files: &[CheckpointFile], family: &Family) -> Trouble {
    let names: BTreeSet<String> = files.iter().flat_map(|file| &file.contents.entries).map(Entry::full_name).collect();
    let found = match names.len() {
        0 => "it has no tensors that are reached by names".to_owned(),
        _ => format!("it has {}", listed(names.iter().map(String::as_str))),
    };
    let classes: BTreeSet<&str> = files.iter().flat_map(|file| &file.contents.classes).map(String::as_str).collect();
    let objects = match classes.len() {
        0 => String::new(),
        _ => format!("; objects are not read ({}): save the model's `state_dict()`", listed(classes.into_iter())),
    };
    let expected = shown(family.anchors[0][0]);
    Trouble::new(format!("does not hold {} (nothing ends with {expected}); {found}{objects}", family.what))
}

/// The remark on the place of the model.
fn note(chosen: &Candidate<'_>, others: &[String], family: &Family) -> WeightsNote {
    let mut taken_off: Vec<String> = chosen.wrappers.iter().map(|wrapper| format!("`{wrapper}.`")).collect();
    if !chosen.prefix.is_empty() && !family.usual_prefixes.contains(&chosen.prefix.as_str()) {
        taken_off.push(shown(&chosen.prefix));
    }
    let dict = (!chosen.dict.is_empty()).then(|| format!("weights from {}", shown(chosen.dict)));
    let names = (!taken_off.is_empty()).then(|| format!("{} taken off the names of weights", taken_off.join(" and ")));
    let parts: Vec<String> = dict.into_iter().chain(names).collect();
    let averaged = listed(others.iter().map(String::as_str));
    let taken = match place(chosen.dict, &chosen.prefix) {
        place if place.is_empty() => "the others".to_owned(),
        place => format!("those in {}", shown(&place)),
    };
    WeightsNote {
        place: (!parts.is_empty()).then(|| parts.join(", ")),
        warning: (!others.is_empty())
            .then(|| format!("the averaged weights in {averaged} are left aside, and {taken} are taken")),
    }
}

#[cfg(test)]
mod tests;

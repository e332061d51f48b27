//! Finds the known name that a misspelt one most likely means.

/// The known name nearest to `name`, or `None` when all differ too much.
///
/// ```
/// assert_eq!(pipeline_spec::nearest("parms", ["kind", "params"]), Some("params"));
/// assert_eq!(pipeline_spec::nearest("colour", ["kind", "params"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance(&lower, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The most names that a question suggests.
const MAX_MEANT: usize = 3;

/// The fewest letters of a name that is looked for in others.
const MIN_LETTERS: usize = 3;

/// Names that other tools give to a thing, and those that this program gives to it.
const OTHER_NAMES: &[(&[&str], &[&str])] = &[
    (&["learning_rate", "eta", "step_size", "base_lr"], &["lr"]),
    (&["n_epochs", "num_epochs", "max_epochs", "num_train_epochs", "iterations"], &["epochs"]),
    (&["tau", "temp", "logit_scale"], &["temperature"]),
    (&["bs", "batch", "train_batch_size", "per_device_train_batch_size"], &["batch_size", "batch_rows"]),
    (&["dim", "embed_dim", "embedding_dim", "embedding_size", "out_dim"], &["projection_dim"]),
    (&["random_state", "random_seed", "manual_seed"], &["seed"]),
    (&["decay", "wd", "l2"], &["weight_decay", "penalty"]),
    (&["scheduler", "lr_scheduler", "schedule"], &["lr_schedule"]),
    (&["file", "filename", "data", "data_path", "root", "src", "source"], &["path", "sources"]),
    (&["model_name", "model_path", "model_name_or_path", "checkpoint", "encoder", "backbone"], &["model"]),
    (&["limit", "n", "num_samples", "max_rows", "n_samples", "subset"], &["max_samples"]),
    (&["image_size", "resolution", "img_size", "input_size"], &["size"]),
    (&["interpolation", "resample", "filter"], &["resize"]),
    (&["max_len", "max_seq_length", "max_tokens", "seq_len"], &["max_length"]),
    (&["top_k", "topk", "ks"], &["k"]),
    (&["cmd", "command", "script", "args", "argv", "program"], &["run"]),
    (&["outs", "out", "output"], &["outputs"]),
    (&["deps", "dependencies", "needs", "depends_on"], &["sources", "inputs"]),
    (&["environment", "environ"], &["env"]),
    (&["type", "op", "uses", "step"], &["kind"]),
    (&["with", "config", "settings", "options", "args"], &["params"]),
    (&["input", "from", "in"], &["inputs"]),
    (&["shell", "bash", "python", "exec", "run"], &["command"]),
    (&["tasks", "steps", "jobs", "nodes"], &["stages"]),
    (&["variables", "env"], &["vars"]),
    (&["inherits", "base", "include", "defaults"], &["extends"]),
    (&["grid", "search", "parameters", "matrix"], &["sweep"]),
    (&["min", "minimum", "threshold", "floor"], &["min_value"]),
    (&["max", "maximum", "ceiling"], &["max_value"]),
];

/// The known names that `name` may mean, the likeliest first: the nearest, else that of a thing with other names, else
/// those that contain it.
///
/// ```
/// assert_eq!(pipeline_spec::meant("parms", ["kind", "params"]), ["params"]);
/// assert_eq!(pipeline_spec::meant("learning_rate", ["lr", "epochs"]), ["lr"]);
/// assert_eq!(pipeline_spec::meant("drop", ["max_drop", "min_value"]), ["max_drop"]);
/// ```
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str, IntoIter: Clone>) -> Vec<&'a str> {
    let known = known.into_iter();
    if let Some(near) = nearest(name, known.clone()) {
        return vec![near];
    }
    let lower = name.to_lowercase().replace('-', "_");
    let others = OTHER_NAMES.iter().filter(|(others, _)| others.contains(&lower.as_str())).flat_map(|(_, own)| *own);
    let own: Vec<&str> = others.filter_map(|own| known.clone().find(|known| known == own)).collect();
    if !own.is_empty() {
        return own;
    }
    let contains = |one: &str| one.to_lowercase().replace('-', "_").contains(&lower);
    let is_long = lower.chars().count() >= MIN_LETTERS;
    known.filter(|known| is_long && contains(known)).take(MAX_MEANT).collect()
}

/// The question whether one of these names is meant; `None` without names.
pub fn did_you_mean(names: &[impl AsRef<str>]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.as_slice() {
        [] => None,
        [only] => Some(format!("did you mean {only}?")),
        [first @ .., last] => Some(format!("did you mean {} or {last}?", first.join(", "))),
    }
}

/// A third of the longer name may differ: enough for typing errors, too little for another word.
fn tolerance(name: &str, candidate: &str) -> usize {
    name.chars().count().max(candidate.chars().count()) / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name_and_other_words_do_not() {
        let known = ["temperature", "lr", "batch_size", "train-images", "valid-images"];
        for (name, expected) in [
            ("temprature", Some("temperature")),
            ("Temperature", Some("temperature")),
            ("batchsize", Some("batch_size")),
            ("train_images", Some("train-images")),
            ("epochs", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}

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

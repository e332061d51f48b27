//! Titles of the specs of runs: their names, and where several files share one, as much of their paths as they need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pipeline_core::RunId;
use pipeline_store::RunInfo;

/// The title of the spec of each run.
pub fn spec_titles(runs: &[RunInfo]) -> BTreeMap<RunId, String> {
    let mut files: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for run in runs {
        files.entry(&run.spec).or_default().extend(run.origin.file.as_deref());
    }
    let title = |run: &RunInfo| match (&run.origin.file, &files[run.spec.as_str()]) {
        (Some(file), files) if files.len() > 1 => distinct(file, files),
        _ => run.spec.clone(),
    };
    runs.iter().map(|run| (run.id.clone(), title(run))).collect()
}

/// The shortest end of a path that no other of the files has.
fn distinct(file: &Path, files: &BTreeSet<&Path>) -> String {
    let parts: Vec<_> = file.components().collect();
    let end = |n_parts: usize| parts[parts.len() - n_parts..].iter().collect::<PathBuf>();
    let is_alone = |end: &PathBuf| files.iter().filter(|other| other.ends_with(end)).count() == 1;
    let ends = (1..=parts.len()).map(end);
    let shortest = ends.into_iter().find(is_alone).unwrap_or_else(|| file.to_owned());
    shortest.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_where_no_other_ends_so() {
        let files = ["/p/pipelines/shop.yaml", "/p/pipelines/more/shop.yaml", "/p/pipelines/other.yaml"].map(Path::new);
        let titles = files.map(|file| distinct(file, &BTreeSet::from(files)));
        assert_eq!(titles, ["pipelines/shop.yaml", "more/shop.yaml", "other.yaml"]);
    }
}

//! Checks that a stage makes the files that its spec publishes.

use pipeline_spec::{SpecError, StageSpec, nearest};

/// Stands for the names of all shards.
pub(crate) const SHARDS: &str = "part-*.parquet";

/// Refuses to publish a path that is not among the files and folders of a stage.
///
/// # Errors
/// Names the stage's files.
pub(crate) fn check(stage: &StageSpec, makes: &[&str]) -> Result<(), SpecError> {
    for publish in &stage.publish {
        let name = publish.file.value.as_str();
        if makes.iter().any(|made| is_part(made, name)) {
            continue;
        }
        let message = format!("stage `{}` makes no `{name}` that could be published", stage.id);
        let names: Vec<String> = makes.iter().map(|made| format!("`{made}`")).collect();
        let help = match nearest(name, makes.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it makes {}", names.join(", ")),
        };
        return Err(SpecError::at(&publish.file.span, message).with_help(help));
    }
    Ok(())
}

/// True if `name` is `made`, lies in it, or is a folder that contains it.
pub(crate) fn is_part(made: &str, name: &str) -> bool {
    let is_below = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    let is_shard = made == SHARDS && name.starts_with("part-") && name.ends_with(".parquet");
    made == name || is_below(name, made) || is_below(made, name) || is_shard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_a_folder_and_what_lies_in_one_can_be_published() {
        for (made, name, expect) in [
            ("out.txt", "out.txt", true),
            ("out.txt", "out.text", false),
            ("site", "site/index.html", true),
            ("site", "sites", false),
            ("d/a", "d", true),
            (SHARDS, "part-00003.parquet", true),
            (SHARDS, "party.csv", false),
        ] {
            assert_eq!(is_part(made, name), expect, "{made} {name}");
        }
    }
}

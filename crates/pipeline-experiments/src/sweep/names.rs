//! Names of the copies of a stage: `STAGE.NAME-VALUE`, with the axes on which the copies differ.

use std::collections::HashSet;

use pipeline_core::StageId;

/// The longest name of a stage.
const MAX_LEN: usize = 64;

/// Assigns unused stage names.
#[derive(Debug)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// Reserves the names of these stages.
    pub fn beside<'a>(stages: impl Iterator<Item = &'a StageId>) -> Self {
        Self { taken: stages.map(|id| id.as_str().to_owned()).collect() }
    }

    /// The name of the copy of `stage` whose axes have these values; `number` is that of the first point that has it.
    ///
    /// It is `STAGE.point-NUMBER`, with the value of the resource if it depends on one, where the values give no name,
    /// or one that is too long or taken.
    pub fn copy(
        &mut self,
        stage: &StageId,
        values: &[(String, String)],
        number: usize,
        resource: Option<&(String, String)>,
    ) -> StageId {
        let part = |(name, value): &(String, String)| format!(".{}-{}", plain(name), plain(value));
        let parts: Vec<_> = values.iter().map(part).collect();
        let by_values = (!parts.is_empty()).then(|| format!("{stage}{}", parts.concat()));
        let on_rung = resource.map(part).filter(|part| part.len() < MAX_LEN / 2).unwrap_or_default();
        let by_number = (0..).map(|attempt| {
            let again = if attempt == 0 { String::new() } else { format!(".{attempt}") };
            let suffix = format!(".point-{number}{on_rung}{again}");
            let stem: String = stage.as_str().chars().take(MAX_LEN - suffix.len()).collect();
            stem + &suffix
        });
        let name =
            by_values.into_iter().chain(by_number).find(|name| name.len() <= MAX_LEN && !self.taken.contains(name));
        let name = name.expect("there are more numbers than names are taken");
        self.taken.insert(name.clone());
        name.parse().expect("a stage's name followed by letters, digits, `.`, `_` and `-` is one")
    }
}

/// The text with `_` for every character that a stage's name cannot have.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_named_by_their_values_else_by_their_point() {
        let ids: Vec<StageId> = ["head", "head.lr-1"].iter().map(|id| id.parse().unwrap()).collect();
        let mut names = Names::beside(ids.iter());
        let mut check = |values: &[(&str, &str)], number: usize, expect: &str| {
            let values: Vec<_> = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            assert_eq!(names.copy(&ids[0], &values, number, None).as_str(), expect);
        };
        check(&[("lr", "0.01"), ("seed", "2")], 1, "head.lr-0.01.seed-2");
        check(&[("model", "../a b/猫")], 1, "head.model-.._a_b__");
        check(&[("lr", "1")], 3, "head.point-3");
        check(&[("lr", "1")], 3, "head.point-3.1");
        check(&[("x", &"y".repeat(64))], 5, "head.point-5");
        check(&[], 6, "head.point-6");
        let long: StageId = "x".repeat(64).parse().unwrap();
        assert_eq!(names.copy(&long, &[], 12, None).as_str(), format!("{}.point-12", "x".repeat(55)));
        let epochs = ("epochs".to_owned(), "6".to_owned());
        assert_eq!(names.copy(&ids[0], &[], 12, Some(&epochs)).as_str(), "head.point-12.epochs-6");
    }
}

//! The columns of a table of queries: those that the caller names, or those with usual names.

use std::path::Path;

use crate::json_line::shortened;
use crate::vectors::malformed;
use crate::{DataError, RowFilter};

/// The usual names of captions. Where several are there, the caller has to choose.
const TEXT: [&str; 8] = ["query_text", "text", "caption", "captions", "sentence", "sentences", "raw", "description"];

/// The usual names of ids of queries.
const ID: [&str; 5] = ["query_id", "text_id", "caption_id", "sentid", "sentids"];

/// The usual names of ids or files of images; the first that is there counts.
const IMAGES: [&str; 9] =
    ["item_ids", "image_ids", "item_id", "image_id", "file_name", "filename", "image", "image_path", "img_id"];

/// The most column names in a message.
const MAX_NAMES: usize = 20;

/// The form of a table of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    /// Comma-separated values with a header; semicolons, tabs and bars separate, too.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// Parquet.
    Parquet,
    /// The samples of tars, as WebDataset has them.
    Tar,
}

/// The columns of a table of queries, where the caller names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryColumns {
    /// The captions.
    pub text: Option<String>,
    /// The ids of the queries.
    pub id: Option<String>,
    /// The ids of the relevant images.
    pub image_ids: Option<String>,
}

/// The columns that are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub text: String,
    pub id: Option<String>,
    pub images: Option<String>,
    pub filter: Option<String>,
}

impl Resolved {
    /// Finds the columns among those of a table.
    ///
    /// # Errors
    /// When a named column is absent, or that of the captions is not clear.
    pub fn find(
        path: &Path,
        names: &[String],
        wanted: &QueryColumns,
        filter: Option<&RowFilter>,
    ) -> Result<Self, DataError> {
        let is_there = |name: &str| names.iter().any(|known| known == name);
        let must_be_there =
            |name: &String| if is_there(name) { Ok(name.clone()) } else { Err(no_column(path, name, names)) };
        let usual = |known: &[&str]| known.iter().find(|name| is_there(name)).map(|name| (*name).to_owned());
        let text = match &wanted.text {
            Some(name) => must_be_there(name)?,
            None => text_column(path, names)?,
        };
        let id = wanted.id.as_ref().map(must_be_there).transpose()?.or_else(|| usual(&ID));
        let images = wanted.image_ids.as_ref().map(must_be_there).transpose()?;
        let images = images.or_else(|| usual(&IMAGES)).filter(|images| *images != text);
        let filter = filter.map(|filter| must_be_there(&filter.column)).transpose()?;
        Ok(Self { text, id, images, filter })
    }
}

/// The only column with a usual name for captions.
fn text_column(path: &Path, names: &[String]) -> Result<String, DataError> {
    let found: Vec<&String> = names.iter().filter(|name| TEXT.contains(&name.as_str())).collect();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let problem = format!(
                "has no column with a usual name for texts, but {}: name it with `columns: {{ text: … }}`",
                listed(names)
            );
            Err(malformed(path, problem))
        }
        [one, other, ..] => {
            let problem = format!(
                "has both `{one}` and `{other}`, and either may be the texts: name it with `columns: {{ text: {one} }}`"
            );
            Err(malformed(path, problem))
        }
    }
}

/// The error for a column that is not there.
pub(crate) fn no_column(path: &Path, name: &str, names: &[String]) -> DataError {
    let lower = name.to_lowercase();
    let near = names
        .iter()
        .filter(|known| is_near(&lower, &known.to_lowercase()))
        .min_by_key(|known| known.len().abs_diff(name.len()));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    malformed(path, format!("has no column `{name}`, but {}{near}", listed(names)))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no columns at all".to_owned();
    }
    let mut listed: Vec<String> = names.iter().take(MAX_NAMES).map(|name| format!("`{}`", shortened(name))).collect();
    if names.len() > MAX_NAMES {
        listed.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    listed.join(", ")
}

/// Whether two names differ by a letter or two, or one begins or ends with the other.
fn is_near(one: &str, other: &str) -> bool {
    if one.len().min(other.len()) >= 3 && (one.contains(other) || other.contains(one)) {
        return true;
    }
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), other.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for idx in 0..other.len() {
            let substituted = diagonal + usize::from(*letter != other[idx]);
            diagonal = row[idx + 1];
            row[idx + 1] = substituted.min(diagonal + 1).min(row[idx] + 1);
        }
    }
    row[other.len()] <= 2 && row[other.len()] < one.len().min(other.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn found(columns: &[&str], wanted: &QueryColumns) -> Result<[Option<String>; 3], String> {
        let found = Resolved::find(Path::new("x.csv"), &names(columns), wanted, None);
        found.map(|found| [Some(found.text), found.id, found.images]).map_err(|error| error.to_string())
    }

    #[test]
    fn usual_names_are_found_and_others_are_named() {
        let some = |names: [&str; 3]| Ok(names.map(|name| (!name.is_empty()).then(|| name.to_owned())));
        let usual = QueryColumns::default();
        assert_eq!(found(&["file_name", "text"], &usual), some(["text", "", "file_name"]));
        assert_eq!(
            found(&["raw", "sentids", "split", "filename", "img_id"], &usual),
            some(["raw", "sentids", "filename"])
        );
        let wanted = QueryColumns { text: Some("title".into()), id: Some("n".into()), image_ids: Some("photo".into()) };
        assert_eq!(found(&["text", "title", "photo", "n"], &wanted), some(["title", "n", "photo"]));
        let refused = found(&["text", "caption"], &usual).unwrap_err();
        assert_eq!(
            refused,
            "`x.csv` has both `text` and `caption`, and either may be the texts: name it with `columns: { text: text }`"
        );
        let refused = found(&["a", "b"], &usual).unwrap_err();
        assert!(refused.contains("no column with a usual name for texts, but `a`, `b`"), "{refused}");
        let wanted = QueryColumns { text: Some("captoin".into()), ..QueryColumns::default() };
        let refused = found(&["image", "caption"], &wanted).unwrap_err();
        assert!(refused.ends_with("no column `captoin`, but `image`, `caption`; did you mean `caption`?"), "{refused}");
    }
}

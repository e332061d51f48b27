//! Vectors as one JSON object per line, as Chinese-CLIP's `extract_features.py` writes them.

use std::path::Path;

use super::wrong_row;
use crate::content::open_text;
use crate::json_line::{Fields, IdValue, short};
use crate::lines::Lines;
use crate::{DataError, VectorShard};

/// Reads lines such as `{"image_id": 7, "feature": [0.1, …]}`; skips blank lines.
///
/// # Errors
/// When the file cannot be read or is not text, or a line is not a valid object or has another width than the first.
pub fn read_jsonl_vectors(path: &Path, id_field: &str, vector_field: &str) -> Result<VectorShard, DataError> {
    let mut lines = Lines::new(open_text(path)?);
    let mut vectors = VectorShard { ids: Vec::new(), dim: 0, values: Vec::new() };
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { return Ok(vectors) };
        let parsed =
            line.bytes.map_or(Err("is longer than 256 MiB".to_owned()), |line| parse(line, id_field, vector_field));
        let Some((id, vector)) = parsed.map_err(|problem| wrong_row(path, line.number, problem))? else { continue };
        if vectors.ids.is_empty() {
            vectors.dim = vector.len();
        } else if vector.len() != vectors.dim {
            let problem = format!("has {} numbers, and the lines before have {}", vector.len(), vectors.dim);
            return Err(wrong_row(path, line.number, problem));
        }
        vectors.ids.push(Some(id));
        vectors.values.extend_from_slice(&vector);
    }
}

/// The id and the vector of a line; `None` if it is blank.
fn parse(line: &[u8], id_field: &str, vector_field: &str) -> Result<Option<(String, Vec<f32>)>, String> {
    let Some(fields) = Fields::of_line(line).map_err(|reason| format!("is {reason}"))? else { return Ok(None) };
    let field = |name: &str| {
        if fields.is_repeated(name) {
            return Err(format!("has `{name}` more than once"));
        }
        fields.get(name).ok_or_else(|| {
            let names: Vec<_> = fields.names().map(|name| format!("`{name}`")).collect();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            format!("has no `{name}`, but {names}")
        })
    };
    let (id, vector) = (field(id_field)?, field(vector_field)?);
    let id = match IdValue::of(id) {
        IdValue::Id(id) => id,
        IdValue::Absent => return Err(format!("has no id: its `{id_field}` is `{}`", short(id))),
        IdValue::Other => return Err(format!("has the `{id_field}` `{}`, which is no id", short(id))),
    };
    let vector =
        serde_json::from_str(vector.get()).map_err(|_| format!("has a `{vector_field}` that is no list of numbers"))?;
    Ok(Some((id, vector)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &str) -> Result<VectorShard, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().display().to_string();
        read_jsonl_vectors(file.path(), "image_id", "feature").map_err(|error| error.to_string().replace(&path, "x"))
    }

    #[test]
    fn the_lines_of_chinese_clip_are_read() {
        let text = "{\"image_id\": 7, \"feature\": [0.5, -1e-3]}\n\n\
            {\"feature\": [1, 2], \"image_id\": \"a\", \"more\": {}}\n";
        let vectors = read(text).unwrap();
        assert_eq!(vectors.ids, [Some("7".to_owned()), Some("a".to_owned())]);
        assert_eq!((vectors.dim, vectors.values), (2, vec![0.5, -0.001, 1.0, 2.0]));
        assert_eq!(read("").unwrap().ids.len(), 0);
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number() {
        let refused = |line: &str| read(&format!("{{\"image_id\": 7, \"feature\": [0.5]}}\n{line}\n")).unwrap_err();
        assert_eq!(refused("[7, [0.5]]"), "row 2 of `x` is not a JSON object");
        assert_eq!(
            refused("{\"text_id\": 7, \"feature\": [0.5]}"),
            "row 2 of `x` has no `image_id`, but `text_id`, `feature`"
        );
        assert_eq!(refused("{\"image_id\": 7}"), "row 2 of `x` has no `feature`, but `image_id`");
        assert_eq!(refused("{}"), "row 2 of `x` has no `image_id`, but nothing");
        let with_id = |id: &str| refused(&format!("{{\"image_id\": {id}, \"feature\": [0.5]}}"));
        assert_eq!(with_id("null"), "row 2 of `x` has no id: its `image_id` is `null`");
        assert_eq!(with_id("\"\""), "row 2 of `x` has no id: its `image_id` is `\"\"`");
        assert_eq!(with_id("[7]"), "row 2 of `x` has the `image_id` `[7]`, which is no id");
        assert_eq!(with_id("7, \"image_id\": 8"), "row 2 of `x` has `image_id` more than once");
        assert_eq!(
            refused("{\"image_id\": 7, \"feature\": [0.5, 1]}"),
            "row 2 of `x` has 2 numbers, and the lines before have 1"
        );
        assert!(refused("{\"image_id\": 7, \"feature\": [NaN]}").starts_with("row 2 of `x` is not JSON from column"));
        assert_eq!(
            refused("{\"image_id\": 7, \"feature\": [null]}"),
            "row 2 of `x` has a `feature` that is no list of numbers"
        );
    }
}

//! The captions of tars: members whose names agree up to the first dot are one sample, as WebDataset has it.

use super::columns::Resolved;
use super::{Cell, IDS_AND_PLACES, QueryColumns, Record, Take, json};
use crate::image_names::{ImageIdPart, NameKind, kind_of};
use crate::json_line::{Fields, shortened};
use crate::tar::{Member, Members};
use crate::vectors::malformed;
use crate::{DataError, ImagesFile, RowFilter};

/// The longest text or JSON of a sample, in bytes.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// A tar of samples.
pub(super) struct Samples {
    tar: ImagesFile,
    part: ImageIdPart,
}

/// A sample while its members are read.
#[derive(Default)]
struct Sample {
    key: Vec<u8>,
    number: u64,
    /// The name of its image.
    image: Option<Vec<u8>>,
    /// Its texts by extension, as far as they are wanted.
    texts: Vec<(String, Result<Vec<u8>, String>)>,
}

impl Samples {
    pub fn new(tar: &ImagesFile, part: ImageIdPart) -> Self {
        Self { tar: tar.clone(), part }
    }

    /// Finds the columns in the first sample with a text: extensions such as `txt`, and fields such as `json.caption`.
    pub fn resolve(&self, wanted: &QueryColumns, filter: Option<&RowFilter>) -> Result<Resolved, DataError> {
        if self.part == ImageIdPart::Place && wanted.image_ids.is_some() {
            return Err(malformed(&self.tar.path, IDS_AND_PLACES));
        }
        let mut names = Vec::new();
        self.each(&|_| true, &mut |sample| {
            names = names_of(&sample);
            Ok(names.is_empty())
        })?;
        // The captions of samples are texts of their own.
        if wanted.text.is_none() && names.iter().any(|name| name == "txt") {
            let wanted = QueryColumns { text: Some("txt".to_owned()), ..wanted.clone() };
            return Resolved::find(&self.tar.path, &names, &wanted, filter);
        }
        let text = wanted.text.clone().or_else(|| self.usual_field(&names));
        Resolved::find(&self.tar.path, &names, &QueryColumns { text, ..wanted.clone() }, filter)
    }

    /// The only field of a sample's JSON with a usual name for captions.
    fn usual_field(&self, names: &[String]) -> Option<String> {
        let fields: Vec<String> =
            names.iter().filter_map(|name| name.strip_prefix("json.")).map(str::to_owned).collect();
        let found = Resolved::find(&self.tar.path, &fields, &QueryColumns::default(), None).ok()?;
        Some(format!("json.{}", found.text))
    }

    pub fn read(&self, columns: &Resolved, take: &mut Take<'_>) -> Result<(), DataError> {
        let names: Vec<&String> =
            [Some(&columns.text), columns.id.as_ref(), columns.images.as_ref(), columns.filter.as_ref()]
                .into_iter()
                .flatten()
                .collect();
        let is_wanted = |extension: &str| {
            names
                .iter()
                .any(|name| name.strip_prefix(extension).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.each(&is_wanted, &mut |sample| {
            take((sample.number, self.record(&sample, columns)))?;
            Ok(true)
        })
    }

    /// Passes every sample with an image or a text to `each`, until it returns false.
    fn each(
        &self,
        is_wanted: &dyn Fn(&str) -> bool,
        each: &mut dyn FnMut(Sample) -> Result<bool, DataError>,
    ) -> Result<(), DataError> {
        let mut members = Members::open(&self.tar.path)?;
        let mut sample = Sample::default();
        while let Some(member) = members.next()? {
            let Some((key, extension)) = parts_of(&member.name) else { continue };
            if key != sample.key || sample.has(&member.name, &extension) {
                let whole = std::mem::replace(
                    &mut sample,
                    Sample { key: key.to_vec(), number: member.number, ..Sample::default() },
                );
                if whole.is_any() && !each(whole)? {
                    return Ok(());
                }
            }
            if kind_of(&member.name) == NameKind::Image {
                sample.image.get_or_insert_with(|| member.name.clone());
            } else if is_wanted(&extension) && is_text(&extension) {
                sample.texts.push((extension, content(&members, &member)?));
            }
        }
        if sample.is_any() {
            each(sample)?;
        }
        Ok(())
    }

    fn record(&self, sample: &Sample, columns: &Resolved) -> Result<Record, String> {
        let extension = columns.text.split('.').next().unwrap_or_default();
        if !sample.texts.iter().any(|(known, _)| *known == columns.text || known == extension) {
            let key = String::from_utf8_lossy(&sample.key);
            return Err(format!(
                "no text: the sample `{}` has no `.{extension}`; the members of a sample must follow one another",
                shortened(&key)
            ));
        }
        let cell = |name: Option<&String>| name.map_or(Ok(Cell::Absent), |name| sample.cell(name));
        let images = match (&columns.images, &sample.image) {
            (Some(name), _) => sample.cell(name)?,
            (None, Some(image)) => {
                let name = str::from_utf8(image).map_err(|_| "the name of its image is not UTF-8")?;
                Cell::One(self.part.in_tar(&self.tar, name))
            }
            (None, None) => Cell::Absent,
        };
        let (text, id, filter) =
            (cell(Some(&columns.text))?, cell(columns.id.as_ref())?, cell(columns.filter.as_ref())?);
        Ok(Record { text, id, images, filter })
    }
}

impl Sample {
    /// Whether this member would be there twice: another sample with the same key begins.
    fn has(&self, name: &[u8], extension: &str) -> bool {
        self.image.as_deref() == Some(name) || self.texts.iter().any(|(known, _)| known == extension)
    }

    fn is_any(&self) -> bool {
        self.image.is_some() || !self.texts.is_empty()
    }

    /// The text with an extension, or a field of its JSON.
    fn cell(&self, name: &str) -> Result<Cell, String> {
        let of = |extension: &str| self.texts.iter().find(|(known, _)| known == extension);
        if let Some((extension, content)) = of(name) {
            let text = str::from_utf8(content.as_ref().map_err(Clone::clone)?);
            let text = text.map_err(|_| format!("its `.{extension}` is not UTF-8"))?;
            return Ok(Cell::One(text.trim_end_matches(['\n', '\r']).to_owned()));
        }
        let Some((extension, field)) = name.split_once('.') else { return Ok(Cell::Absent) };
        let Some((_, content)) = of(extension) else { return Ok(Cell::Absent) };
        let fields = Fields::of_line(content.as_ref().map_err(Clone::clone)?);
        let fields = fields.map_err(|reason| format!("its `.{extension}` is {reason}"))?;
        Ok(fields.map_or(Cell::Absent, |fields| json::cell(&fields, field)))
    }
}

/// The columns that a sample offers.
fn names_of(sample: &Sample) -> Vec<String> {
    let mut names = Vec::new();
    for (extension, content) in &sample.texts {
        names.push(extension.clone());
        let fields = content.as_ref().ok().filter(|_| extension == "json").map(|content| Fields::of_line(content));
        if let Some(Ok(Some(fields))) = fields {
            names.extend(json::names_of(&fields).into_iter().map(|field| format!("{extension}.{field}")));
        }
    }
    names
}

/// The key of a member and the extensions of its name, in lower case; `None` for hidden files and those without.
fn parts_of(name: &[u8]) -> Option<(&[u8], String)> {
    let name_at = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let dot = name[name_at..].iter().position(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
    let extension = str::from_utf8(&name[name_at + dot + 1..]).ok()?;
    Some((&name[..name_at + dot], extension.to_lowercase()))
}

/// Whether the content of files with these extensions is text; arrays and videos of samples are never read.
fn is_text(extension: &str) -> bool {
    let last = extension.rsplit('.').next().unwrap_or_default();
    matches!(last, "txt" | "text" | "caption" | "json" | "jsn" | "id" | "url" | "cls" | "cap" | "transcript")
}

fn content(members: &Members, member: &Member) -> Result<Result<Vec<u8>, String>, DataError> {
    if !member.is_plain || member.len > MAX_TEXT_BYTES {
        return Ok(Err("its text is a link, or longer than 16 MiB".to_owned()));
    }
    let mut content = Vec::new();
    members.read(member, &mut content)?;
    Ok(Ok(content))
}

//! Names of image files: which files are images, and which part of a path is the id of an image.

use crate::ImagesFile;
use crate::json_line::shortened;

/// The extensions of image files. Those of kinds that are not read are here, too, so that they are rejected by name.
const EXTENSIONS: [&str; 22] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "ico", "jp2",
    "jxl", "pbm", "pgm", "ppm", "psd", "qoi", "svg",
];

/// The extensions of files that lie beside images and describe them.
const COMPANIONS: [&str; 12] =
    ["csv", "json", "jsonl", "license", "md", "npy", "parquet", "toml", "tsv", "txt", "yaml", "yml"];

/// The part of an image's path, or of its place, that is its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageIdPart {
    /// The path below the folder or in the tar: `dogs/7.small.jpg`.
    Path,
    /// The name of the file: `7.small.jpg`.
    Name,
    /// The name without its last extension: `7.small`.
    Stem,
    /// The path up to the first dot of the name, as WebDataset has it: `dogs/7`.
    Key,
    /// The place: in a tar its name before the key, as `shard-0.tar/dogs/7`; in Parquet the file and the row, as
    /// `train.parquet#17`.
    Place,
}

impl ImageIdPart {
    /// The part of a path with slashes. Of a place that is the key: the name of the file is no part of the path.
    ///
    /// ```
    /// use pipeline_data::ImageIdPart;
    ///
    /// let parts = [ImageIdPart::Path, ImageIdPart::Name, ImageIdPart::Stem, ImageIdPart::Key];
    /// let found = parts.map(|part| part.of("dogs/7.small.jpg"));
    /// assert_eq!(found, ["dogs/7.small.jpg", "7.small.jpg", "7.small", "dogs/7"]);
    /// ```
    pub fn of(self, path: &str) -> &str {
        let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
        let name = &path[name_at..];
        match self {
            Self::Path => path,
            Self::Name => name,
            Self::Stem => name.rfind('.').filter(|dot| *dot > 0).map_or(name, |dot| &name[..dot]),
            Self::Key | Self::Place => name.find('.').filter(|dot| *dot > 0).map_or(path, |dot| &path[..name_at + dot]),
        }
    }

    /// The id of a member of a tar.
    pub(crate) fn in_tar(self, tar: &ImagesFile, name: &str) -> String {
        match self {
            Self::Place => format!("{}/{}", tar.own_name(), self.of(name)),
            _ => self.of(name).to_owned(),
        }
    }
}

/// The kind of a file by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// An image.
    Image,
    /// A text or table beside images.
    Companion,
    /// A hidden file, or one below a hidden folder.
    Hidden,
    /// Another file.
    Other,
}

/// The kind of the file at a path with slashes.
pub(crate) fn kind_of(path: &[u8]) -> NameKind {
    if path.split(|byte| *byte == b'/').any(|part| part.starts_with(b".")) {
        return NameKind::Hidden;
    }
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let extension = name.rsplit(|byte| *byte == b'.').next().filter(|extension| extension.len() < name.len());
    let is_in = |known: &[&str]| {
        extension.is_some_and(|extension| known.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes())))
    };
    match (is_in(&EXTENSIONS), is_in(&COMPANIONS)) {
        (true, _) => NameKind::Image,
        (_, true) => NameKind::Companion,
        _ => NameKind::Other,
    }
}

/// True for a file that is an image by its name, such as `dogs/7.JPG`, and is not hidden.
pub fn is_image_name(path: &str) -> bool {
    kind_of(path.as_bytes()) == NameKind::Image
}

/// A path as text, or the reason why it names no image: an id is one line of text.
pub(crate) fn text_of(path: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(path).map_err(|_| "its name is not UTF-8, and ids are text".to_owned())?;
    must_be_a_line(text).map(|()| text)
}

/// Refuses an id that is empty or has control characters, such as line breaks.
pub(crate) fn must_be_a_line(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("its id is empty".to_owned());
    }
    match id.contains(char::is_control) {
        true => Err(format!("its id {} has a line break or another control character", shortened(&format!("{id:?}")))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parts_of_paths() {
        for (path, expect) in [
            ("7.jpg", ["7.jpg", "7.jpg", "7", "7"]),
            ("a.b/7.rgb.jpg", ["a.b/7.rgb.jpg", "7.rgb.jpg", "7.rgb", "a.b/7"]),
            ("a/7", ["a/7", "7", "7", "a/7"]),
            ("a/.7", ["a/.7", ".7", ".7", "a/.7"]),
        ] {
            let parts = [ImageIdPart::Path, ImageIdPart::Name, ImageIdPart::Stem, ImageIdPart::Key];
            assert_eq!(parts.map(|part| part.of(path)), expect, "{path}");
        }
    }

    #[test]
    fn files_are_known_by_their_extension() {
        for (path, kind) in [
            ("a/7.JPG", NameKind::Image),
            ("7.heic", NameKind::Image),
            ("jpg", NameKind::Other),
            ("a/metadata.csv", NameKind::Companion),
            ("a.jpg/7", NameKind::Other),
            (".thumbs/7.jpg", NameKind::Hidden),
            ("a/.7.jpg", NameKind::Hidden),
            ("7.mp4", NameKind::Other),
        ] {
            assert_eq!(kind_of(path.as_bytes()), kind, "{path}");
        }
        assert!(text_of(b"\xff.jpg").unwrap_err().contains("not UTF-8"));
        assert!(text_of(b"a\nb.jpg").unwrap_err().contains("line break"));
    }
}

//! Paths in a spec: relative to the folder of the file that contains them.

use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// The marker by which [`SpecPath`] requests the folder from the deserializer of `params`.
pub(crate) const PATH_MARKER: &str = "$pipeline_spec::SpecPath";

/// A param that is a path: read through [`params`](crate::params) it is absolute and without `.` and `..`.
///
/// Read from any other format it is the text itself. Serializes as the path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpecPath {
    path: PathBuf,
    written: String,
}

impl SpecPath {
    /// The path: absolute when read through [`params`](crate::params).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text in the spec after `${var}` was replaced, for params that may also be bare names.
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl AsRef<Path> for SpecPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl From<SpecPath> for PathBuf {
    fn from(path: SpecPath) -> Self {
        path.path
    }
}

impl fmt::Debug for SpecPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Serialize for SpecPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.path.to_string_lossy())
    }
}

impl<'de> Deserialize<'de> for SpecPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(PATH_MARKER, PathVisitor)
    }
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = SpecPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<SpecPath, D::Error> {
        let written = String::deserialize(deserializer)?;
        Ok(SpecPath { path: PathBuf::from(&written), written })
    }

    /// The deserializer's answer to the marker: the absolute path, then the text.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<SpecPath, A::Error> {
        let missing = || de::Error::custom("BUG: a path comes in two parts");
        let path = parts.next_element()?.ok_or_else(missing)?;
        let written = parts.next_element()?.ok_or_else(missing)?;
        Ok(SpecPath { path, written })
    }
}

impl JsonSchema for SpecPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SpecPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// The absolute path of `written` in a file whose relative paths start in the absolute `folder`.
pub fn absolute(folder: &Path, written: &str) -> PathBuf {
    clean(&folder.join(written))
}

/// The path without `.` and `..`, as the operating system walks it: `..` after a link leads above the link's target.
///
/// Where nothing exists yet, `..` removes the name before it. Links that no `..` follows stay.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match cleaned.components().next_back() {
                Some(Component::Normal(_)) => {
                    if cleaned.is_symlink()
                        && let Ok(target) = cleaned.canonicalize()
                    {
                        cleaned = target;
                    }
                    cleaned.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => cleaned.push(".."),
            },
            other => cleaned.push(other),
        }
    }
    if cleaned.as_os_str().is_empty() { ".".into() } else { cleaned }
}

/// Whether a path ends as specs do, in `.yaml` or `.yml`.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_a_linked_folder_is_what_is_above_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/specs/inner")).unwrap();
        std::os::unix::fs::symlink("real/specs", root.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
        for (path, expected) in [
            ("link/../data", "real/data"),
            ("link/inner/../../data", "real/data"),
            ("link/data", "link/data"),
            ("real/specs/../data", "real/data"),
            ("dangling/../data", "data"),
        ] {
            assert_eq!(clean(&root.join(path)), root.join(expected), "{path}");
        }
    }

    #[test]
    fn where_nothing_is_paths_are_cleaned_by_their_text() {
        for (path, expected) in [
            ("/a/./b/../c", "/a/c"),
            ("/../a", "/a"),
            ("a/../../b", "../b"),
            ("./a/", "a"),
            ("a/..", "."),
            ("../../a", "../../a"),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn outside_a_spec_a_path_is_its_text() {
        let path: SpecPath = serde_json::from_str("\"a/../b\"").unwrap();
        assert_eq!(path.path(), Path::new("a/../b"));
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"a/../b\"");
    }
}

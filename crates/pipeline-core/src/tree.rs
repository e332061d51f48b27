//! The contents of an artifact, by name: files, empty folders and links.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, SubTree};

/// The digest of a whole artifact: of its [`Tree`]'s canonical text.
pub type ArtifactDigest = Digest;

/// The longest chain of links, as in the operating system.
const MAX_FOLLOWED: usize = 40;

/// One file of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The file's length.
    pub bytes: u64,
    /// True for a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl FileEntry {
    /// A file that is not a program.
    pub const fn new(digest: Digest, bytes: u64) -> Self {
        Self { digest, bytes, executable: false }
    }
}

/// The contents of an artifact by name; names are relative, with `/` between parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The files, sorted by name.
    pub files: BTreeMap<String, FileEntry>,
    /// The empty folders; the others follow from the names of their contents.
    pub folders: BTreeSet<String>,
    /// The targets of symbolic links, each relative to the folder of its link. All lead to something in the tree.
    pub links: BTreeMap<String, String>,
    /// The folders of very many shards, whose contents are trees of their own. Only where the tree is whole are their
    /// files in `files`, too.
    pub trees: BTreeMap<String, SubTree>,
}

/// An entry of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A file.
    File(FileEntry),
    /// A folder; names start below it.
    Folder(Tree),
}

impl Tree {
    /// The content digest of the artifact: of one `<digest> <json name>` per line, sorted by name.
    ///
    /// The line of a program ends with ` executable`. Lines `folder <json name>` and `link <json name> <json target>`
    /// follow, so that no two trees have the same text. `tree <digest> <json name>` stands for all files in the folder
    /// of a divided tree.
    pub fn digest(&self) -> ArtifactDigest {
        Digest::of(self.text().as_bytes())
    }

    fn text(&self) -> String {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = String::new();
        let mut line = |parts: std::fmt::Arguments<'_>| {
            text.write_fmt(parts).expect("writing to a string does not fail");
            text.push('\n');
        };
        for (name, FileEntry { digest, executable, .. }) in self.own_files() {
            line(format_args!("{digest} {}{}", json(name), if *executable { " executable" } else { "" }));
        }
        self.folders.iter().for_each(|name| line(format_args!("folder {}", json(name))));
        self.links.iter().for_each(|(name, target)| line(format_args!("link {} {}", json(name), json(target))));
        self.trees.iter().for_each(|(name, sub)| line(format_args!("tree {} {}", sub.tree, json(name))));
        text
    }

    /// The sum of the files' lengths.
    pub fn bytes(&self) -> u64 {
        self.own_files().map(|(_, entry)| entry.bytes).chain(self.trees.values().map(|sub| sub.bytes)).sum()
    }

    /// A tree of one file.
    pub fn of_file(name: &str, entry: FileEntry) -> Self {
        Self { files: BTreeMap::from([(name.to_owned(), entry)]), ..Self::default() }
    }

    /// The file or folder with this name, through links if necessary; `None` if there is none.
    pub fn part(&self, name: &str) -> Option<Part> {
        let name = self.resolve(name)?;
        match self.files.get(&name) {
            Some(entry) => Some(Part::File(*entry)),
            None => Some(Part::Folder(self.below(&name))),
        }
    }

    /// The name of the file or folder to which a name leads through links; `None` if it leads nowhere or out of the
    /// tree.
    pub fn resolve(&self, name: &str) -> Option<String> {
        let mut at = String::new();
        let mut left: Vec<String> = parts_in_reverse(name);
        let mut n_followed = 0;
        while let Some(part) = left.pop() {
            if !self.is_folder(&at) {
                return None;
            }
            let len = at.rfind('/').unwrap_or(0);
            if part == ".." {
                if at.is_empty() {
                    return None;
                }
                at.truncate(len);
                continue;
            }
            let folder = at.len();
            if folder > 0 {
                at.push('/');
            }
            at.push_str(&part);
            if let Some(target) = self.links.get(&at) {
                n_followed += 1;
                if n_followed > MAX_FOLLOWED || target.starts_with('/') {
                    return None;
                }
                at.truncate(folder);
                left.extend(parts_in_reverse(target));
            }
        }
        (self.files.contains_key(&at) || self.is_folder(&at)).then_some(at)
    }

    /// True for the tree itself, for an empty folder and for a folder with contents.
    fn is_folder(&self, name: &str) -> bool {
        let inner = format!("{name}/");
        let first = |next: Option<&String>| next.is_some_and(|next| next.starts_with(&inner));
        name.is_empty()
            || self.folders.contains(name)
            || first(self.files.range(inner.clone()..).next().map(|(name, _)| name))
            || first(self.folders.range(inner.clone()..).next())
            || first(self.links.range(inner.clone()..).next().map(|(name, _)| name))
    }

    /// The entries below a folder.
    fn below(&self, folder: &str) -> Self {
        let inner = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let strip = |name: &String| name.strip_prefix(&inner).map(str::to_owned);
        Self {
            files: self.files.iter().filter_map(|(name, entry)| Some((strip(name)?, *entry))).collect(),
            folders: self.folders.iter().filter_map(strip).collect(),
            links: self.links.iter().filter_map(|(name, target)| Some((strip(name)?, target.clone()))).collect(),
            trees: BTreeMap::new(),
        }
    }
}

/// The parts of a path, the last first, without empty ones and `.`.
fn parts_in_reverse(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

/// An entry in JSON: a file has `digest` and `bytes`, a link `link`, an empty folder `folder`, a sub-tree what
/// [`SubTree`] has.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct AnyEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    folder: bool,
    #[serde(skip_serializing)]
    tree: Option<Digest>,
    #[serde(skip_serializing)]
    tree_bytes: u64,
    #[serde(skip_serializing)]
    n_files: u64,
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A whole tree is written file by file: for people, and as the content of a sub-tree.
        let is_divided = !self.is_whole();
        let n_trees = if is_divided { self.trees.len() } else { 0 };
        let n_entries = self.files.len() + self.folders.len() + self.links.len() + n_trees;
        let mut map = serializer.serialize_map(Some(n_entries))?;
        for (name, entry) in &self.files {
            map.serialize_entry(name, entry)?;
        }
        for name in &self.folders {
            map.serialize_entry(name, &AnyEntry { folder: true, ..AnyEntry::default() })?;
        }
        for (name, target) in &self.links {
            map.serialize_entry(name, &AnyEntry { link: Some(target.clone()), ..AnyEntry::default() })?;
        }
        for (name, tree) in self.trees.iter().take(n_trees) {
            map.serialize_entry(name, tree)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tree = Self::default();
        for (name, entry) in BTreeMap::<String, AnyEntry>::deserialize(deserializer)? {
            match entry {
                AnyEntry { digest: Some(digest), bytes: Some(bytes), executable, .. } => {
                    tree.files.insert(name, FileEntry { digest, bytes, executable });
                }
                AnyEntry { link: Some(target), .. } => _ = tree.links.insert(name, target),
                AnyEntry { folder: true, .. } => _ = tree.folders.insert(name),
                AnyEntry { tree: Some(digest), tree_bytes, n_files, bytes: Some(bytes), .. } => {
                    tree.trees.insert(name, SubTree { tree: digest, tree_bytes, n_files, bytes });
                }
                _ => return Err(D::Error::custom(format!("`{name}` is neither a file nor a folder nor a link"))),
            }
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: &str) -> FileEntry {
        FileEntry::new(Digest::of(content.as_bytes()), content.len() as u64)
    }

    fn linked(links: &[(&str, &str)]) -> Tree {
        let files = ["d/f.1", "d/e/g", "top"].map(|name| (name.to_owned(), entry(name)));
        let links = links.iter().map(|(name, target)| ((*name).to_owned(), (*target).to_owned()));
        Tree {
            files: files.into(),
            folders: ["empty/inner".to_owned()].into(),
            links: links.collect(),
            ..Tree::default()
        }
    }

    #[test]
    fn a_tree_of_plain_files_has_the_digest_that_it_always_had() {
        let tree = Tree::of_file("a \"b\"", entry("alpha"));
        let text = format!("{} \"a \\\"b\\\"\"\n", Digest::of(b"alpha"));
        assert_eq!(tree.digest(), Digest::of(text.as_bytes()));
        let json = format!(r#"{{"a \"b\"":{{"digest":"{}","bytes":5}}}}"#, Digest::of(b"alpha"));
        assert_eq!(serde_json::to_string(&tree).unwrap(), json);
    }

    #[test]
    fn what_a_tree_holds_beside_plain_files_shows_in_its_digest_and_comes_back_from_json() {
        let mut trees = vec![linked(&[]), linked(&[("l", "top")]), linked(&[("l", "d")]), linked(&[("m", "top")])];
        trees.push(Tree { folders: BTreeSet::new(), ..linked(&[]) });
        let mut program = linked(&[]);
        program.files.get_mut("top").unwrap().executable = true;
        trees.push(program);
        trees.push(Tree { folders: ["a\nlink \"l\" \"top\"".to_owned()].into(), ..Tree::default() });
        let digests: BTreeSet<Digest> = trees.iter().map(Tree::digest).collect();
        assert_eq!(digests.len(), trees.len());
        for tree in trees {
            let json = serde_json::to_string(&tree).unwrap();
            assert_eq!(serde_json::from_str::<Tree>(&json).unwrap(), tree, "{json}");
        }
        assert!(serde_json::from_str::<Tree>(r#"{"a":{"bytes":5}}"#).is_err());
    }

    #[test]
    fn links_lead_to_what_is_in_the_tree_or_nowhere() {
        for (name, target, expect) in [
            ("d/f", "f.1", Some("d/f.1")),
            ("d/f", "./f.1", Some("d/f.1")),
            ("d/e/up", "../../top", Some("top")),
            ("l", "d/e", Some("d/e")),
            ("l", "empty", Some("empty")),
            ("d/all", "..", Some("")),
            ("l", "nowhere", None),
            ("l", "top/..", None),
            ("l", "/top", None),
            ("l", "../top", None),
            ("d/l", "../../top", None),
            ("l", "l", None),
        ] {
            assert_eq!(linked(&[(name, target)]).resolve(name).as_deref(), expect, "{name} -> {target}");
        }
        // The folder above a link's target is not the one above the link.
        let tree = linked(&[("d/e/out", "../.."), ("l", "d/e/out/../top"), ("m", "d/e/../f.1")]);
        assert_eq!(tree.resolve("l"), None);
        assert_eq!(tree.resolve("m").as_deref(), Some("d/f.1"));
        assert_eq!(linked(&[("l", "d")]).part("l/f.1"), Some(Part::File(entry("d/f.1"))));
        let Some(Part::Folder(part)) = linked(&[("d/f", "f.1")]).part("d") else { panic!("`d` is a folder") };
        assert_eq!(part.files.keys().collect::<Vec<_>>(), ["e/g", "f.1"]);
        assert_eq!(part.links["f"], "f.1");
    }
}

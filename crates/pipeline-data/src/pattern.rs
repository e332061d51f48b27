//! Paths that stand for several files: `shard-{000..009}.tar`, `{train,extra}-*.parquet`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::ImagesFile;

/// The most files that one path stands for.
const MAX_FILES: usize = 100_000;

/// A path with `*`, `?` or `{…}` that is not the path of a file.
///
/// `*` stands for any part of a name, `?` for one character, `{a,b}` for each of several texts and `{000..009}` for
/// each number. `*` and `?` match no hidden names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The folder before the first name with a wildcard.
    base: PathBuf,
    /// The paths below it that braces stand for.
    names: Vec<String>,
}

/// The reason why a path does not stand for files.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// No file has such a name.
    #[error("no file matches `{}`", path.display())]
    NoMatch {
        /// The path.
        path: PathBuf,
    },
    /// A file that braces stand for is missing.
    #[error("`{}` is missing, one of {n_files} files that braces stand for", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The number of all.
        n_files: usize,
    },
    /// Too many files.
    #[error("`{}` stands for more than {MAX_FILES} files", path.display())]
    TooMany {
        /// The path.
        path: PathBuf,
    },
    /// A file with a name that cannot be written in a spec.
    #[error("the name of `{}` is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A folder that cannot be listed.
    #[error("cannot list `{}`", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Pattern {
    /// The pattern in a path; `None` for a path without wildcards, and for one of a file or folder that is there.
    ///
    /// # Errors
    /// When it stands for too many files.
    pub fn of(path: &Path) -> Option<Result<Self, PatternError>> {
        let has_wildcard =
            |part: &Component<'_>| part.as_os_str().to_str().is_some_and(|text| text.contains(['*', '?', '{']));
        path.to_str()?;
        // A folder that is there may have such signs in its name.
        let mut base = PathBuf::new();
        for part in path.components() {
            if has_wildcard(&part) && !base.join(part).exists() {
                break;
            }
            base.push(part);
        }
        if base == path || path.exists() {
            return None;
        }
        let rest = path.strip_prefix(&base).ok()?.to_str()?;
        let mut names = Vec::new();
        Some(match expand(rest, &mut names) {
            true => Ok(Self { base, names }),
            false => Err(PatternError::TooMany { path: path.to_owned() }),
        })
    }

    /// The files, in the order of their names, and the folders that were listed to find them.
    ///
    /// # Errors
    /// When none matches, one of those in braces is missing, or a folder cannot be listed.
    pub fn files(&self) -> Result<(Vec<ImagesFile>, Vec<PathBuf>), PatternError> {
        let mut found = Found::default();
        for name in &self.names {
            self.find(name, &mut found)?;
            if !name.contains(['*', '?']) && self.names.len() > 1 && !self.base.join(name).exists() {
                return Err(PatternError::Missing { path: self.base.join(name), n_files: self.names.len() });
            }
        }
        if found.files.is_empty() {
            return Err(PatternError::NoMatch { path: self.base.join(self.names.first().map_or("", String::as_str)) });
        }
        // Not in the order of braces: the names of sources, which enter the key, have none.
        found.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((found.files, found.folders.into_iter().collect()))
    }

    fn find(&self, name: &str, found: &mut Found) -> Result<(), PatternError> {
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        let mut paths = vec![PathBuf::new()];
        for (idx, part) in parts.iter().enumerate() {
            if !part.contains(['*', '?']) {
                paths.iter_mut().for_each(|path| path.push(part));
                continue;
            }
            let mut next = Vec::new();
            for path in paths {
                let folder = self.base.join(&path);
                let is_last = idx + 1 == parts.len();
                next.extend(matching(&folder, part, is_last)?.into_iter().map(|name| path.join(name)));
                found.folders.insert(folder);
                if next.len() > MAX_FILES {
                    return Err(PatternError::TooMany { path: self.base.join(name) });
                }
            }
            paths = next;
        }
        for name in paths {
            let path = self.base.join(&name);
            let Some(text) = name.to_str() else { return Err(PatternError::Name { path }) };
            if path.exists() && found.names.insert(text.to_owned()) {
                found.files.push(ImagesFile { name: Some(text.to_owned()), path });
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Found {
    files: Vec<ImagesFile>,
    names: BTreeSet<String>,
    folders: BTreeSet<PathBuf>,
}

/// The names in a folder that match, sorted: those of folders, or of anything else where it is the last of a path.
fn matching(folder: &Path, part: &str, is_last: bool) -> Result<Vec<OsString>, PatternError> {
    let failed = |source| PatternError::List { path: folder.to_owned(), source };
    let mut names = Vec::new();
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let text = name.to_string_lossy();
        let is_hidden = text.starts_with('.') && !part.starts_with('.');
        if !is_hidden && is_match(part, &text) && folder.join(&name).is_dir() != is_last {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a name matches a part with `*` and `?`.
fn is_match(part: &str, name: &str) -> bool {
    let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
    let (mut at, mut of_name) = (0, 0);
    // The last star, and the place in the name up to which it stands.
    let mut star: Option<(usize, usize)> = None;
    while of_name < name.len() {
        match part.get(at) {
            Some('*') => {
                star = Some((at, of_name));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[of_name] => (at, of_name) = (at + 1, of_name + 1),
            _ => match star {
                Some((star_at, up_to)) => {
                    star = Some((star_at, up_to + 1));
                    (at, of_name) = (star_at + 1, up_to + 1);
                }
                None => return false,
            },
        }
    }
    part[at..].iter().all(|letter| *letter == '*')
}

/// Adds the texts that the braces of a text stand for; false where they are too many.
fn expand(text: &str, out: &mut Vec<String>) -> bool {
    let Some((begin, inner, end)) = first_braces(text) else {
        out.push(text.to_owned());
        return out.len() <= MAX_FILES;
    };
    let Some(choices) = choices(inner) else { return false };
    choices.iter().all(|choice| expand(&format!("{begin}{choice}{end}"), out))
}

/// The text before the first braces that stand for something, within them and after them.
fn first_braces(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let mut depth = 0;
    for (at, letter) in text[open..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..open], &text[open + 1..open + at], &text[open + at + 1..]));
        }
    }
    None
}

/// The texts within braces; `None` where they are too many.
fn choices(inner: &str) -> Option<Vec<String>> {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten();
    if let Some((first, last)) = inner.split_once("..")
        && let (Some(begin), Some(end)) = (number(first), number(last))
    {
        let width = if first.starts_with('0') { first.len() } else { 1 };
        if begin.abs_diff(end) >= MAX_FILES {
            return None;
        }
        let write = |number: usize| format!("{number:0width$}");
        return Some(if begin <= end {
            (begin..=end).map(write).collect()
        } else {
            (end..=begin).rev().map(write).collect()
        });
    }
    let mut choices = vec![String::new()];
    let mut depth = 0;
    for letter in inner.chars() {
        match letter {
            ',' if depth == 0 => {
                choices.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        choices.last_mut().expect("there is always one").push(letter);
    }
    Some(choices)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn braces_stand_for_texts_and_numbers() {
        let expanded = |text: &str| {
            let mut all = Vec::new();
            assert!(expand(text, &mut all));
            all
        };
        assert_eq!(expanded("a-{008..011}.tar"), ["a-008.tar", "a-009.tar", "a-010.tar", "a-011.tar"]);
        assert_eq!(expanded("{a,b}{1..2}"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(expanded("{a,b{1,2}}"), ["a", "b1", "b2"]);
        assert_eq!(expanded("{2..0}"), ["2", "1", "0"]);
        assert_eq!(expanded("a{b"), ["a{b"]);
        assert!(!expand("{0..99999999}", &mut Vec::new()));
        assert!(!expand(&"{0..9999}".repeat(3), &mut Vec::new()));
    }

    #[test]
    fn stars_match_any_part_of_a_name() {
        for (part, name, expect) in [
            ("*.tar", "a.tar", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?.tar", "红.tar", true),
            ("*", "", true),
            ("a?", "a", false),
        ] {
            assert_eq!(is_match(part, name), expect, "{part} {name}");
        }
    }

    #[test]
    fn files_come_in_order_and_what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/x-1.tar", "a/x-2.tar", "a/x-1.tar", "a/.x-3.tar", "a/x-4.tar/inner", "a/y{1}.tar"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |text: &str| {
            let pattern = Pattern::of(&folder.path().join(text)).unwrap().unwrap();
            let files =
                pattern.files().map(|(files, _)| files.into_iter().map(|file| file.name.unwrap()).collect::<Vec<_>>());
            files.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
        };
        assert_eq!(found("*/x-*.tar").unwrap(), ["a/x-1.tar", "a/x-2.tar", "b/x-1.tar"]);
        assert_eq!(found("{b,a}/x-{1..1}.tar").unwrap(), ["a/x-1.tar", "b/x-1.tar"]);
        assert_eq!(
            found("a/x-{1..3}.tar").unwrap_err(),
            "`a/x-3.tar` is missing, one of 3 files that braces stand for"
        );
        assert_eq!(found("a/*.parquet").unwrap_err(), "no file matches `a/*.parquet`");
        assert!(Pattern::of(&folder.path().join("a/y{1}.tar")).is_none(), "a file of that name is meant");
        assert!(Pattern::of(&folder.path().join("a/x-1.tar")).is_none());
    }
}

//! The files of a folder that are not sources: caches, version control, editors' files, and those that a
//! `.pipelineignore` names.
//!
//! Patterns are those of `.gitignore`: the last match decides, and patterns of a folder override those of its parents.

/// The name of files whose lines are patterns for their folder and all below it.
pub(crate) const IGNORE_FILE: &str = ".pipelineignore";

/// Files that tools write beside those that a program reads: not sources by default. A `.pipelineignore` may revert
/// each of these lines with a `!`.
const DEFAULTS: &str = "\
__pycache__/
*.py[co]
.ipynb_checkpoints/
.pytest_cache/
.mypy_cache/
.ruff_cache/
.git
.hg
.svn
.jj
.DS_Store
Thumbs.db
.idea/
.vscode/
.*.sw[a-p]
*~
.#*
\\#*#
.~lock.*#
.nfs*
.fuse_hidden*
";

/// The patterns that apply in a folder: the defaults, then those of every folder from the source down to it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    files: Vec<IgnoreFile>,
}

/// The patterns of one file.
#[derive(Debug, Clone)]
struct IgnoreFile {
    /// The length of the name of the file's folder, with the `/` behind it.
    n_above: usize,
    patterns: Vec<Pattern>,
}

/// One line of a file.
#[derive(Debug, Clone)]
struct Pattern {
    /// Reverts what an earlier line ignores.
    is_negated: bool,
    /// Applies to folders only.
    is_of_folders: bool,
    /// The parts between slashes; one part alone may stand anywhere below.
    parts: Vec<Vec<u8>>,
    is_anchored: bool,
}

impl Rules {
    /// The defaults.
    pub(crate) fn defaults() -> Self {
        Self { files: vec![IgnoreFile { n_above: 0, patterns: patterns(DEFAULTS.as_bytes()) }] }
    }

    /// These rules and those in the text of an ignore file, in the folder whose names begin with `prefix`.
    pub(crate) fn with_file(&self, prefix: &[u8], text: &[u8]) -> Self {
        let mut files = self.files.clone();
        files.push(IgnoreFile { n_above: prefix.len(), patterns: patterns(text) });
        Self { files }
    }

    /// True if the file or folder with this name, relative to the source, is not part of it.
    pub(crate) fn ignore(&self, name: &[u8], is_folder: bool) -> bool {
        let fits = |file: &IgnoreFile| {
            let name = &name[file.n_above..];
            let last = file.patterns.iter().rev().find(|pattern| pattern.fits(name, is_folder))?;
            Some(!last.is_negated)
        };
        self.files.iter().rev().find_map(fits).unwrap_or(false)
    }
}

impl Pattern {
    fn fits(&self, name: &[u8], is_folder: bool) -> bool {
        if self.is_of_folders && !is_folder {
            return false;
        }
        let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
        match self.is_anchored {
            true => parts_fit(&self.parts, &parts),
            false => parts.last().is_some_and(|last| part_fits(&self.parts[0], last)),
        }
    }
}

fn patterns(text: &[u8]) -> Vec<Pattern> {
    text.split(|byte| *byte == b'\n').filter_map(pattern).collect()
}

/// The pattern of a line; `None` for an empty line or a comment.
fn pattern(line: &[u8]) -> Option<Pattern> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = without_trailing_spaces(line);
    let (is_negated, line) = match line {
        [] | [b'#', ..] => return None,
        [b'!', rest @ ..] => (true, rest),
        _ => (false, line),
    };
    let (is_of_folders, line) = match line {
        [rest @ .., b'/'] => (true, rest),
        _ => (false, line),
    };
    let is_anchored = line.contains(&b'/');
    let line = line.strip_prefix(b"/").unwrap_or(line);
    let parts: Vec<Vec<u8>> = line.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    (!line.is_empty()).then_some(Pattern { is_negated, is_of_folders, parts, is_anchored })
}

fn without_trailing_spaces(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = line {
        if rest.ends_with(b"\\") {
            break;
        }
        line = rest;
    }
    line
}

/// True if all parts of a name match those of a pattern. `**` stands for any number of parts, at its end for at least
/// one.
fn parts_fit(pattern: &[Vec<u8>], parts: &[&[u8]]) -> bool {
    let (mut pattern, mut parts) = (pattern, parts);
    // Where to resume when a part does not match: behind the last `**`, with one more part for it.
    let mut retry = None;
    loop {
        match (pattern, parts) {
            ([stars], _) if stars == b"**" => return !parts.is_empty(),
            ([stars, rest @ ..], _) if stars == b"**" => {
                retry = Some((rest, parts));
                pattern = rest;
            }
            ([], []) => return true,
            ([first, pattern_rest @ ..], [part, parts_rest @ ..]) if part_fits(first, part) => {
                (pattern, parts) = (pattern_rest, parts_rest);
            }
            _ => match retry {
                Some((behind_stars, [_, rest @ ..])) => {
                    (pattern, parts) = (behind_stars, rest);
                    retry = Some((behind_stars, rest));
                }
                _ => return false,
            },
        }
    }
}

/// True if a name without slashes matches a pattern of `*`, `?`, `[…]` and characters, each perhaps escaped by a
/// backslash.
fn part_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to resume when a character does not match: behind the last star, with one more byte of the name for it.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            retry = Some((rest, name));
            pattern = rest;
            continue;
        }
        if let ([], []) = (pattern, name) {
            return true;
        }
        if let ([_, ..], [byte, name_rest @ ..]) = (pattern, name)
            && let Some(rest) = character_fits(pattern, *byte)
        {
            (pattern, name) = (rest, name_rest);
            continue;
        }
        match retry {
            Some((behind_star, [_, rest @ ..])) => {
                (pattern, name) = (behind_star, rest);
                retry = Some((behind_star, rest));
            }
            _ => return false,
        }
    }
}

/// The rest of a pattern whose first character matches `byte`; `None` if it does not.
fn character_fits(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'\\', literal, rest @ ..] => (*literal == byte).then_some(rest),
        [b'[', class @ ..] => match class_fits(class, byte) {
            Some((fits, rest)) => fits.then_some(rest),
            // An unclosed bracket is a literal one.
            None => (byte == b'[').then_some(class),
        },
        [literal, rest @ ..] => (*literal == byte).then_some(rest),
        [] => None,
    }
}

/// True if `byte` is in the class behind a `[`, and the text behind its `]`; `None` if there is no `]`.
fn class_fits(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (is_negated, members) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    // A `]` right at the start is a member.
    let end = 1 + members.get(1..)?.iter().position(|member| *member == b']')?;
    let (mut members, rest) = (&members[..end], &members[end + 1..]);
    let mut is_member = false;
    while let [first, after @ ..] = members {
        match after {
            [b'-', last, after @ ..] => {
                is_member |= (*first..=*last).contains(&byte);
                members = after;
            }
            _ => {
                is_member |= *first == byte;
                members = after;
            }
        }
    }
    Some((is_member != is_negated, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the names that an ignore file at the top leaves out; folders end in `/`.
    fn check(text: &str, names: &[&str], expect: &[&str]) {
        let rules = Rules::defaults().with_file(b"", text.as_bytes());
        let is_ignored = |name: &&&str| {
            let plain = name.trim_end_matches('/');
            rules.ignore(plain.as_bytes(), plain.len() < name.len())
        };
        let ignored: Vec<&str> = names.iter().filter(is_ignored).copied().collect();
        assert_eq!(ignored, expect, "{text}");
    }

    #[test]
    fn what_tools_leave_behind_is_no_source_and_what_looks_like_it_is() {
        check(
            "",
            &["__pycache__/", "a/__pycache__/", "__pycache__", "m.pyc", "m.py", "m.pyx", ".git/", ".git", "a/.git"],
            &["__pycache__/", "a/__pycache__/", "m.pyc", ".git/", ".git", "a/.git"],
        );
        check(
            "",
            &[
                ".#a",
                "#a#",
                "#a",
                "a~",
                ".a.swp",
                "a.swp",
                ".DS_Store",
                ".gitignore",
                ".venv/",
                ".hidden",
                "a/.b.txt.swo",
            ],
            &[".#a", "#a#", "a~", ".a.swp", ".DS_Store", "a/.b.txt.swo"],
        );
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        check("*.log\n!keep.log\n", &["a.log", "b/c.log", "keep.log", "a.log.txt"], &["a.log", "b/c.log"]);
        check("/top\nsub/x\n", &["top", "a/top", "sub/x", "a/sub/x"], &["top", "sub/x"]);
        check("build/\n", &["build/", "build", "a/build/"], &["build/", "a/build/"]);
        check(
            "**/x\na/**\nb/**/c\n",
            &["x", "d/x", "a/", "a/y", "b/c", "b/1/2/c"],
            &["x", "d/x", "a/y", "b/c", "b/1/2/c"],
        );
        check(
            "a?c\n[x-z]1\n[!a]2\n\\*\n",
            &["abc", "a/c", "y1", "w1", "b2", "a2", "*", "q"],
            &["abc", "y1", "b2", "*"],
        );
        check(
            "# all of it\n\n  \ntrailing   \n\\!bang\r\n",
            &["# all of it", "trailing", "!bang"],
            &["trailing", "!bang"],
        );
        check("[open\nx[]]y\n*a*b*c\n", &["[open", "x]y", "xaybzc", "xaybz"], &["[open", "x]y", "xaybzc"]);
        check("!.git\n!*.pyc\n", &[".git/", "a.pyc", "a.pyo"], &["a.pyo"]);
    }

    #[test]
    fn a_file_further_down_counts_from_its_own_folder_and_comes_last() {
        let rules = Rules::defaults().with_file(b"", b"*.bin\n").with_file(b"data/", b"/raw\n!*.bin\n");
        let ignored = |name: &str| rules.ignore(name.as_bytes(), false);
        assert!(ignored("data/raw") && !ignored("data/x/raw") && !ignored("data/a.bin"));
        let above = Rules::defaults().with_file(b"", b"*.bin\n");
        assert!(above.ignore(b"a.bin", false) && !above.ignore(b"raw", false));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let text = format!("{}b\n{}b\n", "a*".repeat(200), "**/a/".repeat(200));
        let name = format!("{}/{}c", "a/".repeat(400), "a".repeat(200));
        assert!(!Rules::defaults().with_file(b"", text.as_bytes()).ignore(name.as_bytes(), false));
    }
}

//! Loads one spec from its files: reading, `extends`, overrides.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::Digest;

use crate::build::{build, into_text};
use crate::foreign::or_foreign;
use crate::keys::{SPEC_KEYS, check_keys};
use crate::merge::Entries;
use crate::path::{absolute, clean};
use crate::source::SpecFile;
use crate::{Axis, Node, Override, PipelineSpec, Span, SpecError, Value, foreign, merge, siblings, yaml};

/// The longest chain of specs that extend each other.
const MAX_EXTENDS: usize = 16;
/// The longest file that is read as a spec, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a spec and those that it extends, applies `overrides` in their order, and checks the result.
///
/// # Errors
/// When a file cannot be read, or the first mistake in the spec.
pub fn load(path: &Path, overrides: &[Override]) -> Result<PipelineSpec, SpecError> {
    Draft::read(path)?.build(overrides, &[])
}

/// A spec merged with those that it extends, before overrides: read once and built for each point of a sweep.
#[derive(Clone)]
pub struct Draft {
    root: Node,
    name: String,
    file: PathBuf,
    files: Vec<(PathBuf, Digest)>,
    folder: Arc<Path>,
}

impl Draft {
    /// Reads a spec and those that it extends.
    ///
    /// # Errors
    /// When a file cannot be read or is not YAML, or two specs cannot be merged.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        read_layer(path, None).and_then(Self::of).map_err(or_foreign)
    }

    /// The draft without its sweep, from which the points of the sweep are built.
    pub fn without_sweep(mut self) -> Self {
        if let Value::Map(sections) = &mut self.root.value {
            sections.retain(|(key, _)| key.value != "sweep");
        }
        self
    }

    /// Applies `overrides` in their order, adds `axes` to the sweep, and checks the spec.
    ///
    /// # Errors
    /// The first mistake in the spec.
    pub fn build(mut self, overrides: &[Override], axes: &[Axis]) -> Result<PipelineSpec, SpecError> {
        overrides.iter().try_for_each(|value| value.apply(&mut self.root, &self.folder))?;
        axes.iter().try_for_each(|axis| axis.apply(&mut self.root, &self.folder))?;
        build(self.root, self.name, self.file, self.files, self.folder).map_err(or_foreign)
    }

    fn of(main: Layer) -> Result<Self, SpecError> {
        let Layer { file, mut root, folder, read } = main;
        let path = absolute_path(&file);
        let mut files: Vec<(PathBuf, Digest)> = read.into_iter().collect();
        let head = take_head(&mut root)?;
        let name = match head.name {
            Some(name) => name,
            None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let root = merge_extended(&file, root, head.extends, &mut files)?;
        Ok(Self { root, name, file: path, files, folder })
    }
}

/// Like [`load`], from a text in place of the file at `file`; only the specs that it extends are read from disk.
///
/// ```
/// let text = "stages:\n  hello: { kind: command, params: { run: [echo, hello] } }\n";
/// let spec = pipeline_spec::parse(text, "demo.yaml".as_ref()).unwrap();
/// assert_eq!(spec.name, "demo");
/// assert_eq!(spec.stages[0].kind.value, "command");
/// ```
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, file: &Path) -> Result<PipelineSpec, SpecError> {
    parse_layer(text.to_owned(), file).and_then(Draft::of).map_err(or_foreign)?.build(&[], &[])
}

/// One file before it is merged with the spec that it extends.
struct Layer {
    file: Arc<SpecFile>,
    root: Node,
    /// The folder in which its relative paths start.
    folder: Arc<Path>,
    /// The absolute path and the digest of the file; `None` for a text in place of a file.
    read: Option<(PathBuf, Digest)>,
}

/// The keys of a layer that describe the file and are not inherited.
struct Head {
    name: Option<String>,
    /// The path of the extended spec, relative to the folder of the file, and its place.
    extends: Option<(String, Span)>,
}

/// Merges a file with the chain of specs that it extends.
fn merge_extended(
    file: &Arc<SpecFile>,
    root: Node,
    mut extends: Option<(String, Span)>,
    read_files: &mut Vec<(PathBuf, Digest)>,
) -> Result<Node, SpecError> {
    let mut roots = vec![root];
    let mut files = vec![file.clone()];
    while let Some((written, span)) = extends {
        let last = files.last().expect("BUG: the file itself is there");
        let shown = clean(&last.path().parent().unwrap_or(Path::new("")).join(&written));
        if files.len() > MAX_EXTENDS {
            return Err(SpecError::at(&span, format!("more than {MAX_EXTENDS} specs extend each other")));
        }
        let Layer { file, mut root, read, .. } = read_layer(&shown, Some((&written, &span)))?;
        read_files.extend(read);
        if let Some(idx) = files.iter().position(|earlier| is_same_file(earlier, &file)) {
            let names = files[idx..].iter().chain([&file]).map(|file| file.display().to_string());
            let cycle = names.collect::<Vec<_>>().join(" -> ");
            return Err(SpecError::at(&span, format!("specs extend each other in a cycle: `{cycle}`")));
        }
        extends = take_head(&mut root)?.extends;
        roots.push(root);
        files.push(file);
    }
    let mut merged = roots.pop().expect("BUG: the file itself is there");
    while let Some(root) = roots.pop() {
        merged = merge::overlay(merged, root)?;
    }
    Ok(merged)
}

fn is_same_file(one: &SpecFile, other: &SpecFile) -> bool {
    one.path().file_name() == other.path().file_name() && one.folder() == other.folder()
}

/// Takes the keys that describe the file itself out of its tree.
fn take_head(root: &mut Node) -> Result<Head, SpecError> {
    let mut head = Head { name: None, extends: None };
    let Value::Map(entries) = &mut root.value else { return Ok(head) };
    let mut take = |name: &str| {
        let idx = entries.iter().position(|(key, _)| key.value == name)?;
        Some(entries.remove(idx).1)
    };
    if let Some(node) = take("name") {
        head.name = Some(into_text(node, "`name`")?.value);
    }
    if let Some(node) = take("extends") {
        let one = match &node.value {
            Value::List(items) => items.first().and_then(Node::as_str).map(|one| format!("write `extends: {one}`")),
            _ => None,
        };
        let one = one.map(|one| format!("{one}: a spec extends one other, which may extend a third"));
        let extends = into_text(node, "`extends`").map_err(|error| error.with_help_of(one))?;
        head.extends = Some((extends.value, extends.span));
    }
    Ok(head)
}

/// The meaning of a path in `extends`.
const EXTENDS_HELP: &str =
    "`extends` names another spec by its path from the folder of this one, such as `../demo.yaml`";

/// Advice on signs that stay as they are.
const NO_SHELL: &str =
    "no shell reads a spec: `~` and `$HOME` stay as they are; write the path from the folder of this spec";

/// Reads a file; `extends` is the path by which another file names it, and its place.
fn read_layer(path: &Path, extends: Option<(&str, &Span)>) -> Result<Layer, SpecError> {
    let unreadable = |error: std::io::Error| {
        let error = match error.kind() {
            ErrorKind::FileTooLarge => {
                SpecError::new(format!("`{}` is longer than {} MiB", path.display(), MAX_BYTES >> 20))
                    .with_help("a spec holds no data: name the file that has it")
            }
            _ => {
                let help = extends.map(|(written, span)| match siblings::named(written, span.file.folder()) {
                    _ if written.starts_with(['~', '$']) => NO_SHELL.to_owned(),
                    Some(near) => format!("did you mean `{near}`?"),
                    None => EXTENDS_HELP.to_owned(),
                });
                let error = SpecError::new(format!("cannot read `{}`", path.display())).with_source(error);
                SpecError { help, ..error }
            }
        };
        match extends {
            Some((_, span)) => error.or_at(span),
            None => error,
        }
    };
    let bytes = pipeline_files::read_at_most(path, MAX_BYTES).map_err(unreadable)?;
    let digest = Digest::of(&bytes);
    match String::from_utf8(bytes) {
        Ok(text) => {
            let layer = parse_layer(text, path)?;
            Ok(Layer { read: Some((absolute_path(&layer.file), digest)), ..layer })
        }
        Err(error) => Err(foreign::binary(error.as_bytes(), path)
            .unwrap_or_else(|| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), path))),
    }
}

fn parse_layer(text: String, path: &Path) -> Result<Layer, SpecError> {
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let file = SpecFile::new(path.to_owned(), folder_of(path)?, text);
    let mut root = yaml::read(file.text(), &file, 0)?;
    let mut folder = file.folder().clone();
    match &mut root.value {
        Value::Map(entries) => {
            check_keys(entries, SPEC_KEYS)
                .map_err(|error| SpecError { help: help_with_key(entries, &error), ..error })?;
            if let Some(idx) = entries.iter().position(|(key, _)| key.value == "folder") {
                let written = into_text(entries.remove(idx).1, "`folder`")?;
                folder = absolute(&folder, &written.value).into();
                root.set_folder(&folder);
            }
        }
        Value::Null => return Err(SpecError::at(&root.span, "the file is empty").with_help(EMPTY_HELP)),
        _ => {
            let message = format!("a spec must be a map, found {}", root.describe());
            return Err(SpecError::at(&root.span, message).with_help(EMPTY_HELP));
        }
    }
    Ok(Layer { file, root, folder, read: None })
}

const EMPTY_HELP: &str = "a spec is at least `stages: { NAME: { kind: KIND } }`; `pipeline init` writes one";

/// Advice on a key beside `stages` that is no key of a spec.
fn help_with_key(entries: &Entries, error: &SpecError) -> Option<String> {
    let is_stage = |node: &Node| node.get("kind").is_some();
    let unknown = entries.iter().find(|(key, _)| error.span.as_ref() == Some(&key.span));
    match unknown {
        Some((key, node)) if is_stage(node) => {
            Some(format!("a stage stands below `stages`: indent `{}:` and its lines by 2 spaces", key.value))
        }
        _ if error.help.as_ref().is_some_and(|help| help.starts_with("known are")) => {
            error.help.as_ref().map(|help| format!("{help}; a param stands below the `params` of its stage"))
        }
        _ => error.help.clone(),
    }
}

/// The absolute path that identifies the spec in the file at `path`.
///
/// # Errors
/// When the current folder cannot be found.
pub fn spec_path(path: &Path) -> Result<PathBuf, SpecError> {
    Ok(absolute(&folder_of(path)?, &path.file_name().unwrap_or_default().to_string_lossy()))
}

fn absolute_path(file: &SpecFile) -> PathBuf {
    absolute(file.folder(), &file.path().file_name().unwrap_or_default().to_string_lossy())
}

/// The absolute folder in which a file lies.
fn folder_of(path: &Path) -> Result<Arc<Path>, SpecError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| SpecError::new(format!("cannot locate `{}`", path.display())).with_source(error))?;
    Ok(clean(absolute.parent().unwrap_or(&absolute)).into())
}

/// Points at the first byte that is not UTF-8.
fn not_utf8(bytes: &[u8], n_valid: usize, path: &Path) -> SpecError {
    let before = String::from_utf8_lossy(&bytes[..n_valid]);
    let line = before.matches('\n').count() as u32 + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) as u32 + 1;
    let text = String::from_utf8_lossy(bytes).into_owned();
    let file = SpecFile::new(PathBuf::from(path), Path::new("/").into(), text);
    SpecError::at(&Span { file, line, column, len: 1 }, "the file is not UTF-8 text").with_help("save it as UTF-8")
}

//! Reads YAML text into a tree of nodes with positions, in one pass. Knows no key of a spec.
//!
//! The parser gives the position of every event. Its limits on nesting and the ones here bound the cost of a hostile
//! file.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span as YamlSpan, Tag, options};

use crate::scalar::{self, TooLarge};
use crate::syntax::explain;
use crate::{Node, Span, Spanned, SpecError, SpecFile, Value};

/// The deepest nesting of lists and maps, with aliases followed.
const MAX_DEPTH: usize = 64;
/// The most values in a file, with aliases followed.
const MAX_NODES: usize = 1_000_000;
/// The most memory of values that aliases repeat, in bytes: a text of any length is one value.
const MAX_COPIED_BYTES: usize = 64 << 20;
/// The largest map in which a new key is compared one by one, without a look-up table.
const MAX_COMPARED: usize = 16;
/// Marks a text whose relative paths start elsewhere: `!folder:/absolute/folder`, as in resolved specs.
pub(crate) const FOLDER_TAG: &str = "folder:";

/// Reads the one document of a file.
///
/// `column_offset` is added to the columns of the first line: the offset of `text` in the file's text.
///
/// # Errors
/// When the text is not YAML, holds several documents, repeats a key or exceeds a limit.
pub(crate) fn read(text: &str, file: &Arc<SpecFile>, column_offset: u32) -> Result<Node, SpecError> {
    let mut builder = Builder::new(text, file, column_offset);
    let options = options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut root = None;
    let mut n_documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| explain(&error, text).or_at(&builder.span_at(*error.marker())))?;
        if matches!(event, Event::DocumentStart(..)) {
            n_documents += 1;
            if n_documents > 1 {
                return Err(SpecError::at(&builder.span(&span), "a second YAML document begins here")
                    .with_help("a spec is one document: remove the line `---`"));
            }
        }
        if let Some(node) = builder.take(event, &span)? {
            root = Some(node);
        }
    }
    Ok(root.unwrap_or_else(|| Node::new(Value::Null, Span::start_of(file))))
}

/// The lists and maps that are being read.
struct Builder<'a> {
    text: &'a str,
    file: &'a Arc<SpecFile>,
    column_offset: u32,
    open: Vec<Open>,
    /// The values of all open lists so far, the innermost last: a finished list takes its own off the end.
    items: Vec<Node>,
    /// The entries so far of all open maps, likewise.
    entries: Vec<(Spanned<String>, Node)>,
    anchors: HashMap<usize, Anchored>,
    n_nodes: usize,
    /// The sizes copied for anchors and aliases.
    copied_bytes: usize,
}

/// A list or map that is not closed yet.
struct Open {
    span: Span,
    anchor: usize,
    /// The index of its first value or entry among those of all open ones.
    start: usize,
    content: Content,
}

enum Content {
    List,
    Map { key: Option<Spanned<String>>, names: Option<HashSet<String>> },
}

/// A value that aliases repeat.
struct Anchored {
    node: Node,
    size: Size,
}

/// The size of a value.
#[derive(Clone, Copy)]
struct Size {
    n_nodes: usize,
    /// Its nesting depth.
    depth: usize,
    /// The memory of a copy of it.
    bytes: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, file: &'a Arc<SpecFile>, column_offset: u32) -> Self {
        Self {
            text,
            file,
            column_offset,
            open: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
            anchors: HashMap::new(),
            n_nodes: 0,
            copied_bytes: 0,
        }
    }

    /// Takes one event; returns the document's value once it is complete.
    fn take(&mut self, event: Event<'_>, span: &YamlSpan) -> Result<Option<Node>, SpecError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span),
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Content::List, anchor, tag.as_deref(), span)?;
                Ok(None)
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map { key: None, names: None };
                self.begin(content, anchor, tag.as_deref(), span)?;
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(None),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: &YamlSpan,
    ) -> Result<Option<Node>, SpecError> {
        let span = self.span(span);
        if self.expects_key() {
            if tag.is_some() {
                return Err(unsupported_tag(&span, tag));
            }
            return self.key(Spanned { value: text.to_owned(), span }, style).map(|()| None);
        }
        let folder = tag.and_then(folder_of);
        let is_text_by_tag = folder.is_some() || tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
        if tag.is_some() && !is_text_by_tag {
            return Err(unsupported_tag(&span, tag));
        }
        let is_plain = style == ScalarStyle::Plain && !is_text_by_tag;
        let value = if is_plain { resolve(text, &span)? } else { Value::Str(text.to_owned()) };
        let mut node = Node::new(value, span);
        if let Some(folder) = folder {
            node.set_own_folder(folder);
        }
        self.complete(node, anchor)
    }

    fn begin(&mut self, content: Content, anchor: usize, tag: Option<&Tag>, span: &YamlSpan) -> Result<(), SpecError> {
        let span = self.span(span);
        if tag.is_some() {
            return Err(unsupported_tag(&span, tag));
        }
        if self.expects_key() {
            return Err(SpecError::at(&span, "a key must be text, not a list or a map"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(&span));
        }
        let start = match content {
            Content::List => self.items.len(),
            Content::Map { .. } => self.entries.len(),
        };
        self.open.push(Open { span, anchor, start, content });
        Ok(())
    }

    fn end(&mut self) -> Result<Option<Node>, SpecError> {
        let open = self.open.pop().expect("BUG: the parser ends only what it began");
        let value = match open.content {
            Content::List => Value::List(self.items.drain(open.start..).collect()),
            Content::Map { .. } => Value::Map(self.entries.drain(open.start..).collect()),
        };
        self.complete(Node::new(value, open.span), open.anchor)
    }

    fn alias(&mut self, anchor: usize, span: &YamlSpan) -> Result<Option<Node>, SpecError> {
        let span = self.span(span);
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            return Err(SpecError::at(&span, format!("`{}` stands inside the value that it repeats", span.text())));
        };
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(too_deep(&span));
        }
        // The last node is counted by `complete`.
        self.n_nodes += size.n_nodes - 1;
        if self.n_nodes > MAX_NODES {
            return Err(too_many(&span));
        }
        self.copied_bytes = count_copy(self.copied_bytes, *size, &span)?;
        let node = node.clone();
        match (self.expects_key(), node.value) {
            (true, Value::Str(value)) => self.key(Spanned { value, span }, ScalarStyle::DoubleQuoted).map(|()| None),
            (true, _) => Err(SpecError::at(&span, "a key must be text, not a list or a map")),
            (false, value) => self.complete(Node { value, ..node }, 0),
        }
    }

    /// True if the next scalar is the key of a map.
    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, name: Spanned<String>, style: ScalarStyle) -> Result<(), SpecError> {
        if name.value == "<<" && style == ScalarStyle::Plain {
            return Err(SpecError::at(&name.span, "merge keys (`<<`) are not supported")
                .with_help("write the entries out, or put them into a spec that this one `extends`"));
        }
        if name.value.is_empty() {
            return Err(SpecError::at(&name.span, "a key must not be empty"));
        }
        let Some(Open { start, content: Content::Map { key, names }, .. }) = self.open.last_mut() else {
            unreachable!("BUG: a key outside a map");
        };
        let entries = &self.entries[*start..];
        if is_known(&name.value, entries, names) {
            let first = entries.iter().find(|(key, _)| key.value == name.value).map_or(0, |(key, _)| key.span.line);
            return Err(SpecError::at(&name.span, format!("key `{}` is given twice", name.value))
                .with_help(format!("the first one is in line {first}")));
        }
        *key = Some(name);
        Ok(())
    }

    /// Adds a finished value to its list or map; returns it if it is the whole document.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, SpecError> {
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            return Err(too_many(&node.span));
        }
        if anchor != 0 {
            let size = measure(&node);
            self.copied_bytes = count_copy(self.copied_bytes, size, &node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => return Ok(Some(node)),
            Some(Content::List) => self.items.push(node),
            Some(Content::Map { key, .. }) => {
                self.entries.push((key.take().expect("BUG: a map's value comes after its key"), node));
            }
        }
        Ok(None)
    }

    /// The span of an event: its characters on its first line.
    fn span(&self, span: &YamlSpan) -> Span {
        let mut result = self.span_at(span.start);
        let len = if span.end.line() == span.start.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            let rest = span.start.byte_offset().and_then(|byte| self.text.get(byte..)).unwrap_or_default();
            rest.lines().next().map_or(0, |line| line.trim_end().chars().count())
        };
        result.len = (len as u32).max(1);
        result
    }

    fn span_at(&self, marker: Marker) -> Span {
        let line = marker.line().max(1) as u32;
        let offset = if line == 1 { self.column_offset } else { 0 };
        Span { file: self.file.clone(), line, column: marker.col() as u32 + 1 + offset, len: 1 }
    }
}

fn resolve(text: &str, span: &Span) -> Result<Value, SpecError> {
    scalar::resolve(text).map_err(|TooLarge| {
        SpecError::at(span, format!("the number {text} does not fit into 64 bits")).with_help("quote it if it is text")
    })
}

/// Whether a map already has the name. A few names are compared one by one; many are looked up among `names`.
fn is_known(name: &str, entries: &[(Spanned<String>, Node)], names: &mut Option<HashSet<String>>) -> bool {
    if entries.len() < MAX_COMPARED {
        return entries.iter().any(|(key, _)| key.value == name);
    }
    let names = names.get_or_insert_with(|| entries.iter().map(|(key, _)| key.value.clone()).collect());
    !names.insert(name.to_owned())
}

fn measure(node: &Node) -> Size {
    let children: &mut dyn Iterator<Item = (usize, &Node)> = match &node.value {
        Value::List(items) => &mut items.iter().map(|node| (0, node)),
        Value::Map(entries) => &mut entries.iter().map(|(key, node)| (size_of_val(key) + key.value.len(), node)),
        Value::Str(text) => return Size { n_nodes: 1, depth: 0, bytes: size_of_val(node) + text.len() },
        _ => return Size { n_nodes: 1, depth: 0, bytes: size_of_val(node) },
    };
    let own = Size { n_nodes: 1, depth: 1, bytes: size_of_val(node) };
    children.fold(own, |whole, (key_bytes, node)| {
        let part = measure(node);
        Size {
            n_nodes: whole.n_nodes + part.n_nodes,
            depth: whole.depth.max(1 + part.depth),
            bytes: whole.bytes + key_bytes + part.bytes,
        }
    })
}

/// The sum after another copy of this size.
fn count_copy(copied_bytes: usize, size: Size, span: &Span) -> Result<usize, SpecError> {
    let bytes = copied_bytes + size.bytes;
    if bytes <= MAX_COPIED_BYTES {
        return Ok(bytes);
    }
    Err(SpecError::at(span, format!("aliases copy more than {} MiB of values", MAX_COPIED_BYTES >> 20))
        .with_help("put long texts into a file that the spec names"))
}

/// The folder of a `!folder:` tag.
fn folder_of(tag: &Tag) -> Option<Arc<Path>> {
    let folder = (tag.handle() == "!").then(|| tag.suffix().strip_prefix(FOLDER_TAG)).flatten()?;
    folder.starts_with('/').then(|| Path::new(folder).into())
}

fn unsupported_tag(span: &Span, tag: Option<&Tag>) -> SpecError {
    let name = tag.map(Tag::original).unwrap_or_default();
    SpecError::at(span, format!("the tag `{name}` is not supported")).with_help("remove it: a spec needs no tags")
}

fn too_deep(span: &Span) -> SpecError {
    SpecError::at(span, format!("lists and maps are nested more than {MAX_DEPTH} deep"))
}

fn too_many(span: &Span) -> SpecError {
    SpecError::at(span, format!("the file has more than {MAX_NODES} values"))
}

//! A YAML file as a tree in which every node and every key knows where it was written.
//!
//! The parser beneath gives events; here they become nodes, and everything that has no place in a configuration is refused
//! with its own sentence: tags, merge keys, second documents, duplicate keys, aliases that multiply. Nothing recurses over
//! the input while it is read, and the depth of what is kept is bounded, so that no file can exhaust the stack.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use crate::domain::text::harmless;
use crate::settings::problem::{Problem, Problems};
use crate::settings::scalar::resolve;
pub use crate::settings::source::{FILE_BYTES_MAX, Source, Span};
use crate::settings::{source, traps};

/// A single text may have this many bytes.
pub const SCALAR_BYTES_MAX: usize = 1024 * 1024;
/// Lists and mappings may stand this deep in each other.
pub const DEPTH_MAX: usize = 64;
/// Anchored values and what aliases repeat may be this many values together.
pub const ALIAS_NODES_MAX: usize = 10_000;
/// A file may hold this many keys and values: ten megabytes of commas would otherwise become a gigabyte of nodes. Ten
/// thousand probes in one file have room.
pub const NODES_MAX: usize = 250_000;

/// After this many mistakes in one file, what follows is not read.
const PROBLEMS_MAX: usize = 500;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where: for a value that an alias repeats, the place of the original.
    pub span: Span,
    /// What.
    pub value: Value,
}

/// What a node holds, by the core schema of YAML 1.2, with one exception: a whole number that begins with a zero is text,
/// because `007` is a name to whoever writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number, also a whole one beyond 64 bits. What was written is in the span.
    Float(f64),
    /// Text.
    Text(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it was written; no key stands in it twice.
    Map(Vec<Entry>),
    /// A value whose mistake has been reported already: readers leave it out without a word.
    Broken,
}

/// A text and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Whether it stood without quotes and without `|` or `>`.
    pub plain: bool,
    /// What is to be filled in, once references are resolved: see [`Holes`].
    pub holes: Holes,
}

/// What a text still has to be filled with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Holes {
    /// The text stands for itself, as it was written.
    #[default]
    Unread,
    /// References were resolved and nothing is left to fill: this is the canonical text of the template, the scalar's
    /// own text is what it says.
    Filled(String),
    /// Captures or secrets are to be filled in later: the canonical text of the template. Only a field that takes a
    /// template may have such a text.
    Left(String),
}

impl Scalar {
    /// A text as it was written.
    pub fn new(text: impl Into<String>, plain: bool) -> Self {
        Self { text: text.into(), plain, holes: Holes::Unread }
    }

    /// A text without quotes.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, true)
    }
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key; never a number or a boolean, whatever it looks like.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The nodes directly in this one.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.value {
            Value::List(items) => items.iter().collect(),
            Value::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether this was written on one line, so that it may stand in a message.
    pub(crate) fn is_one_line(&self) -> bool {
        !self.span.text().contains(['\n', '\r'])
    }

    /// How many values it holds, itself included, and how deep it is.
    fn extent(&self) -> (usize, usize) {
        let (mut count, mut depth) = (0, 0);
        let mut open = vec![(self, 0)];
        while let Some((node, level)) = open.pop() {
            count += 1;
            depth = depth.max(level);
            open.extend(node.children().into_iter().map(|child| (child, level + 1)));
        }
        (count, depth)
    }
}

/// Reads a file into a tree. What cannot be a tree gives none; what can, but for some values, gives the rest.
///
/// An empty file is an empty mapping.
#[expect(clippy::needless_pass_by_value, reason = "every span of the tree shares the source")]
pub fn parse(source: Arc<Source>, problems: &mut Problems) -> Option<Node> {
    if source.text.len() > FILE_BYTES_MAX {
        problems.push(source::file_too_large(&source.path));
        return None;
    }
    if let Some((at, c)) = source.text.char_indices().find(|(_, c)| is_control(*c)) {
        let message = format!("the control character U+{:04X} cannot stand in a file", u32::from(c));
        problems.error(Span::new(&source, at..at + c.len_utf8()), message).help =
            Some("remove it; in double quotes, `\\u` and four digits stand for a character".to_owned());
        return None;
    }
    let known = problems.len();
    let mut builder = Builder {
        known,
        source: &source,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        alias_nodes: 0,
        nodes: 0,
        documents: 0,
        read_to: 0,
        root: None,
    };
    match builder.run() {
        Ok(()) => {
            let empty = || Node { span: Span::new(&source, 0..0), value: Value::Map(Vec::new()) };
            Some(builder.root.take().unwrap_or_else(empty))
        }
        Err(problem) => {
            builder.problems.push(*problem);
            None
        }
    }
}

fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')
}

/// A list or mapping that is not closed yet.
struct Frame {
    start: usize,
    /// Where its last child ended; block collections have no closing sign of their own.
    end: usize,
    flow: bool,
    anchor: usize,
    tagged: bool,
    /// Set when a key of this mapping was a mapping in braces, as in `{{token}}`.
    braces: bool,
    within: Within,
}

enum Within {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Span>, key: Awaited },
}

/// What a mapping waits for.
enum Awaited {
    Key,
    ValueOf(Key),
    /// The value of a key that was refused; it is thrown away.
    ValueOfNothing,
}

struct Builder<'a> {
    /// How many problems other files had.
    known: usize,
    source: &'a Arc<Source>,
    problems: &'a mut Problems,
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    alias_nodes: usize,
    nodes: usize,
    documents: usize,
    /// Where the last event ended; the cause of a syntax error lies behind it.
    read_to: usize,
    root: Option<Node>,
}

/// Boxed, since it is on the way of every event.
type Fatal = Box<Problem>;

impl Builder<'_> {
    fn run(&mut self) -> Result<(), Fatal> {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_comments: false,
            // The parser stops at the first of them, we name each.
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        let source = Arc::clone(self.source);
        for next in Parser::new_from_str_with_options(&source.text, options) {
            match next {
                Ok((event, span)) => self.event(event, span)?,
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or(source.text.len());
                    let opened = self.open.iter().rev().find(|frame| frame.flow).map(|frame| frame.start);
                    return Err(Box::new(traps::explain(&source, error.kind(), at, self.read_to, opened)));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, place: granit_parser::Span) -> Result<(), Fatal> {
        let bytes = self.source.fit(place.byte_range().unwrap_or(0..0));
        let tag = place.tag_span().and_then(|span| span.byte_range());
        if self.problems.len() - self.known >= PROBLEMS_MAX {
            let at = Span::new(self.source, bytes);
            return Err(Box::new(Problem::error(at, "there are too many mistakes above to read on")));
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let at = Span::new(self.source, bytes);
                    let problem = Problem::error(at, "a file holds one document, and `---` begins a second one");
                    return Err(Box::new(
                        problem.with_help("remove the line, or move what follows to a file of its own"),
                    ));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1, &bytes)?;
                if text.len() > SCALAR_BYTES_MAX {
                    let limit = SCALAR_BYTES_MAX / 1024 / 1024;
                    let at = Span::new(self.source, bytes);
                    return Err(Box::new(Problem::error(at, format!("this text is larger than {limit} MiB"))));
                }
                let node = self.scalar(&text, style, bytes, tag);
                self.keep(anchor, &node)?;
                self.complete(node);
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(style, anchor, bytes, tag, Within::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, _) => {
                let within = Within::Map { entries: Vec::new(), seen: HashMap::new(), key: Awaited::Key };
                self.begin(style, anchor, bytes, tag, within)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(bytes.end)?,
            Event::Alias(id) => self.alias(id, bytes)?,
            Event::UnresolvedAlias(name) => {
                let problem = traps::unknown_alias(Span::new(self.source, bytes.clone()), &name);
                self.problems.push(problem);
                self.complete(self.node(bytes, Value::Broken));
            }
            _ => {}
        }
        Ok(())
    }

    fn node(&self, bytes: Range<usize>, value: Value) -> Node {
        Node { span: Span::new(self.source, bytes), value }
    }

    fn count(&mut self, nodes: usize, bytes: &Range<usize>) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let at = Span::new(self.source, bytes.clone());
        let problem = Problem::error(at, format!("the file holds more than {NODES_MAX} keys and values"));
        Err(Box::new(problem.with_help("divide it into several files")))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, bytes: Range<usize>, tag: Option<Range<usize>>) -> Node {
        if let Some(tag) = tag {
            let flow = self.open.last().is_some_and(|frame| frame.flow);
            let (problem, meant) = traps::tag(self.source, tag.clone(), flow);
            self.problems.push(problem);
            // An expression that lost its `!` to a tag is read as it was meant, so that it causes no second problem.
            let value = meant.map_or(Value::Broken, |text| Value::Text(Scalar::plain(text)));
            return self.node(tag.start..bytes.end.max(tag.end), value);
        }
        let plain = style == ScalarStyle::Plain;
        if plain && bytes.is_empty() {
            // An absent value has no place of its own: the end of what stands before it is where it is missed.
            return self.node(self.read_to..self.read_to, Value::Null);
        }
        let value = if plain { resolve(text) } else { Value::Text(Scalar::new(text, plain)) };
        // A block scalar begins behind its `|`; its last line break is no part of what people see.
        let end = bytes.start + self.source.text[bytes.clone()].trim_end().len();
        self.read_to = end.max(self.read_to);
        self.node(bytes.start..end, value)
    }

    fn begin(
        &mut self,
        style: StructureStyle,
        anchor: usize,
        bytes: Range<usize>,
        tag: Option<Range<usize>>,
        within: Within,
    ) -> Result<(), Fatal> {
        self.count(1, &bytes)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(Box::new(too_deep(Span::new(self.source, bytes))));
        }
        let flow = style == StructureStyle::Flow;
        let tagged = tag.is_some();
        if let Some(tag) = tag {
            let (problem, _) = traps::tag(self.source, tag, flow);
            self.problems.push(problem);
        }
        self.read_to = bytes.end.max(self.read_to);
        self.open.push(Frame { start: bytes.start, end: bytes.end, flow, anchor, tagged, braces: false, within });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Fatal> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let end = if frame.flow { end } else { frame.end };
        self.read_to = end.max(self.read_to);
        let bytes = frame.start..end;
        let value = match frame.within {
            _ if frame.tagged => Value::Broken,
            Within::Map { .. } if frame.braces => {
                let flow = self.open.last().is_some_and(|around| around.flow);
                let (problem, text) = traps::double_braces(self.source, bytes.start, flow);
                self.problems.push(problem);
                Value::Text(Scalar::plain(text))
            }
            // Most hold one or two and nothing is ever added, but a vector that grows begins with room for four, which over
            // a large file is more than all that it holds.
            Within::List(mut items) => {
                items.shrink_to_fit();
                Value::List(items)
            }
            Within::Map { mut entries, .. } => {
                entries.shrink_to_fit();
                Value::Map(entries)
            }
        };
        let node = self.node(bytes, value);
        self.keep(frame.anchor, &node)?;
        self.complete(node);
        Ok(())
    }

    /// Remembers an anchored value. It counts as if an alias had repeated it, because it is kept a second time.
    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), Fatal> {
        if anchor != 0 {
            self.spend(node.extent().0, &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn spend(&mut self, nodes: usize, at: &Span) -> Result<(), Fatal> {
        self.alias_nodes += nodes;
        if self.alias_nodes <= ALIAS_NODES_MAX {
            return Ok(());
        }
        let message = format!("anchors and aliases stand for more than {ALIAS_NODES_MAX} values together");
        Err(Box::new(Problem::error(at.clone(), message)))
    }

    fn alias(&mut self, id: usize, bytes: Range<usize>) -> Result<(), Fatal> {
        let at = Span::new(self.source, bytes.clone());
        let Some(original) = self.anchors.get(&id) else {
            let name = harmless(at.text()).into_owned();
            self.problems.error(at, format!("`{name}` stands within the value that it repeats"));
            self.complete(self.node(bytes, Value::Broken));
            return Ok(());
        };
        let (nodes, depth) = original.extent();
        let repeated = original.clone();
        self.spend(nodes, &at)?;
        if self.open.len() + depth > DEPTH_MAX {
            return Err(Box::new(too_deep(at)));
        }
        self.read_to = bytes.end.max(self.read_to);
        self.complete(repeated);
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node) {
        let read_to = self.read_to;
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.end = frame.end.max(read_to);
        let (entries, seen, key) = match &mut frame.within {
            Within::List(items) => return items.push(node),
            Within::Map { entries, seen, key } => (entries, seen, key),
        };
        match std::mem::replace(key, Awaited::Key) {
            Awaited::ValueOfNothing => {}
            Awaited::ValueOf(written) => {
                if let Some(first) = seen.get(&written.text) {
                    let name = harmless(&written.text).into_owned();
                    let problem = Problem::error(written.span, format!("the key `{name}` stands here twice"));
                    self.problems.push(problem.with_also(first.clone(), "first defined here"));
                    return;
                }
                seen.insert(written.text.clone(), written.span.clone());
                // A merge key was refused before; its entry stays, so that readers know that keys may have come from it.
                let value = if is_merge(&written) { Node { value: Value::Broken, ..node } } else { node };
                entries.push(Entry { key: written, value });
            }
            Awaited::Key => {
                let next = self.key(node);
                if let Some(Frame { within: Within::Map { key, .. }, .. }) = self.open.last_mut() {
                    *key = next;
                }
            }
        }
    }

    /// Makes a key of a finished value.
    fn key(&mut self, node: Node) -> Awaited {
        let written = match &node.value {
            Value::Text(scalar) => Some(scalar.text.clone()),
            // A key is its text: `no`, `200` and `1.10` are good names.
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Null => Some(node.span.text().to_owned()),
            Value::List(_) | Value::Map(_) => None,
            Value::Broken => return Awaited::ValueOfNothing,
        };
        match written {
            Some(text) if !text.is_empty() => {
                let key = Key { text, span: node.span };
                if is_merge(&key) {
                    let problem = Problem::error(key.span.clone(), "merge keys (`<<`) are not accepted");
                    self.problems.push(problem.with_help("write the keys out, or use `defaults` in roundsman.yaml"));
                }
                Awaited::ValueOf(key)
            }
            Some(_) => {
                let problem = Problem::error(node.span, "a key is missing before this `:`");
                self.problems.push(problem.with_help("write `key: value`"));
                Awaited::ValueOfNothing
            }
            None => {
                let doubled = node.span.text().starts_with('{') && matches!(node.value, Value::Map(_));
                let braces = doubled
                    && self.open.last().is_some_and(|frame| frame.flow && frame.start + 1 == node.span.bytes.start);
                if braces {
                    if let Some(frame) = self.open.last_mut() {
                        frame.braces = true;
                    }
                } else {
                    let kind = if matches!(node.value, Value::Map(_)) { "mapping" } else { "list" };
                    let problem = Problem::error(node.span, format!("a key is a text, and this is a {kind}"));
                    self.problems.push(problem.with_help("quote it, if it was meant as text"));
                }
                Awaited::ValueOfNothing
            }
        }
    }
}

fn is_merge(key: &Key) -> bool {
    // In quotes it is an ordinary key.
    key.text == "<<" && key.span.text() == "<<"
}

fn too_deep(at: Span) -> Problem {
    Problem::error(at, format!("lists and mappings stand more than {DEPTH_MAX} deep in each other"))
}

//! Reads derived types from the tree and reports every mistake in one pass.
//!
//! serde stops at the first error. So the reader records the error as a problem, marks its node as gone, and reads again:
//! the next pass goes around it. What is missing only because it is gone causes no problem of its own. Types are plain
//! `#[derive(Deserialize)]` with `deny_unknown_fields`; places travel through [`crate::settings::spanned`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::domain::template::TEMPLATE_NEWTYPE;
use crate::settings::mistake::{Failure, Id, Missing, Mistake, Why, id};
use crate::settings::phantom::{ATTEMPTS, Phantom};
use crate::settings::problem::{Problem, Problems};
use crate::settings::spanned::{Handed, NODE, ONE_OR_MANY, SPANNED, hand};
use crate::settings::traps;
use crate::settings::tree::{Entry, Holes, Key, Node, Scalar, Value};

/// One call reads its node at most this often; there are about as many problems in what it then knows.
const PASSES_MAX: usize = 500;

/// Reads `T` from a node, and records every mistake.
///
/// What comes back may lack what was wrong and could be left out, such as one probe of a file, so that later checks can go
/// on; whether it is complete is what [`Problems::has_errors`] says.
pub fn read<T: DeserializeOwned>(node: &Node, problems: &mut Problems) -> Option<T> {
    let mut reader = Reader::default();
    if matches!(node.value, Value::Broken) {
        return None;
    }
    for _ in 0..PASSES_MAX {
        let mistake = match T::deserialize(At { reader: &reader, node, key: None, siblings: None, template: false }) {
            Ok(value) if reader.phantoms.is_empty() => return Some(value),
            Ok(_) => {
                // Everything has been said; now the mappings that live on phantoms go as well.
                reader.gone.extend(reader.phantoms.drain().map(|(map, _)| map));
                None
            }
            Err(failure) => Some(failure.placed(&reader, node, None)),
        };
        if let Some(mistake) = mistake {
            let before = reader.gone.len();
            if let Some(problem) = mistake.problem {
                problems.push(problem);
            }
            reader.gone.extend(mistake.gone);
            let learned = mistake.missing.is_some_and(|missing| reader.summon(missing));
            if reader.gone.len() == before && !learned {
                return None;
            }
        }
        if reader.gone.contains(&id(node)) {
            return None;
        }
    }
    problems.error(node.span.clone(), "there are more mistakes than could be counted");
    None
}

/// Reads a value with a grammar of its own from a text: `expected` is how people would call it, with an example.
///
/// A number where `30s` is expected is then answered with the example, and not with quotes.
pub fn from_text<'de, T, D>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Grammar { expected, parsed: PhantomData })
}

struct Grammar<T> {
    expected: &'static str,
    parsed: PhantomData<T>,
}

impl<T: FromStr<Err: Display>> Visitor<'_> for Grammar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// What the passes have learned so far.
#[derive(Default)]
pub(crate) struct Reader {
    gone: HashSet<Id>,
    phantoms: HashMap<Id, Vec<(&'static str, Phantom)>>,
    /// Nodes that a pass found to be part of their neighbour; shared by the places of one pass.
    pub(crate) joined: RefCell<HashSet<Id>>,
}

impl Reader {
    fn is_gone(&self, node: &Node) -> bool {
        matches!(node.value, Value::Broken) || self.gone.contains(&id(node))
    }

    /// Whether something below a node is gone, so that a complaint about the whole may be a consequence.
    pub(crate) fn is_tainted(&self, node: &Node) -> bool {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if self.is_gone(node) || self.phantoms.contains_key(&id(node)) {
                return true;
            }
            open.extend(node.children());
        }
        false
    }

    /// Puts a phantom where a key is missing, or another one where the last did not fit.
    fn summon(&mut self, missing: Missing) -> bool {
        let known = self.phantoms.entry(missing.map).or_default();
        match known.iter_mut().find(|(key, _)| *key == missing.key) {
            None => known.push((missing.key, Phantom { span: missing.span, attempt: 0 })),
            Some((_, phantom)) if phantom.attempt + 1 < ATTEMPTS && missing.refused => phantom.attempt += 1,
            Some(_) => {
                self.phantoms.remove(&missing.map);
                self.gone.insert(missing.map);
            }
        }
        true
    }
}

/// A node that is being read.
#[derive(Clone, Copy)]
struct At<'a> {
    reader: &'a Reader,
    node: &'a Node,
    key: Option<&'a Key>,
    /// The list that it stands in, and where: a text may have been split in two.
    siblings: Option<(&'a [Node], usize)>,
    /// A template is being read, which takes the text with its holes.
    template: bool,
}

impl<'a> At<'a> {
    /// Reads a part of this node, at whose place a failure belongs.
    fn value<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        let result = seed.deserialize(self);
        result.map_err(|failure| failure.at(self.reader, self.node, self.key))
    }

    /// The text, if YAML left all of it.
    fn whole_text(&self, text: &'a str) -> Result<&'a str, Failure> {
        if let Some((problem, count)) = self.siblings.and_then(|(items, index)| traps::split_item(items, index)) {
            if let Some((items, index)) = self.siblings {
                let others = items.iter().skip(index + 1).take(count - 1);
                self.reader.joined.borrow_mut().extend(others.map(id));
            }
            return Err(Failure::problem(problem));
        }
        traps::cut_by_comment(self.node).map_or(Ok(text), |problem| Err(Failure::problem(problem)))
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Text(Scalar { holes: Holes::Filled(canonical) | Holes::Left(canonical), .. }) if self.template => {
                visitor.visit_str(canonical)
            }
            Value::Text(Scalar { holes: Holes::Left(canonical), .. }) => {
                let what = if canonical.contains("${secret:") { "a secret" } else { "a captured value" };
                let problem = Problem::error(self.node.span.clone(), format!("{what} cannot be used here"));
                Err(Failure::problem(problem.with_help("what stands here must be known before anything runs")))
            }
            Value::Text(scalar) => visitor.visit_str(self.whole_text(&scalar.text)?),
            _ if matches!(visitor_words(&visitor).as_str(), "a string" | "a character" | "a borrowed string") => {
                Err(Failure::new(Why::NotText))
            }
            // A type with a grammar says what it is: a duration is not mended with quotes.
            _ => Err(Failure::mismatch(&visitor)),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items { reader: self.reader, all: items, next: 0, key: None }),
            _ => Err(Failure::mismatch(&visitor)),
        }
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Map(entries) => visitor.visit_map(Entries {
                reader: self.reader,
                written: entries.iter(),
                value: None,
                phantoms: self.reader.phantoms.get(&id(self.node)).map_or(&[][..], Vec::as_slice).iter(),
                phantom: None,
                map: id(self.node),
            }),
            _ => Err(Failure::mismatch(&visitor)),
        }
    }

    /// A number or a boolean as it is; for 64 bits without a sign what was written decides.
    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::Float(value) => match self.node.span.text().parse::<u64>() {
                Ok(large) => visitor.visit_u64(large),
                Err(_) => visitor.visit_f64(*value),
            },
            _ => Err(Failure::mismatch(&visitor)),
        }
    }
}

macro_rules! forward {
    ($target:ident: $($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.$target(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.number(visitor),
            Value::Text(_) => self.text(visitor),
            Value::List(_) => self.list(visitor),
            Value::Map(_) => self.map(visitor),
            Value::Broken => Err(Failure::new(Why::Silent)),
        }
    }

    forward! { number: deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
    deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 }

    forward! { text: deserialize_str deserialize_string deserialize_char deserialize_bytes deserialize_byte_buf
    deserialize_identifier }

    forward! { list: deserialize_seq }

    forward! { map: deserialize_map }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if matches!(self.node.value, Value::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if matches!(self.node.value, Value::Null) { visitor.visit_unit() } else { Err(Failure::mismatch(&visitor)) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            NODE => {
                hand(Handed::Node(self.node.clone()));
                visitor.visit_unit()
            }
            SPANNED => {
                hand(Handed::Span(self.node.span.clone()));
                visitor.visit_newtype_struct(self)
            }
            ONE_OR_MANY if !matches!(self.node.value, Value::List(_)) => {
                let items = std::slice::from_ref(self.node);
                visitor.visit_seq(Items { reader: self.reader, all: items, next: 0, key: self.key })
            }
            ONE_OR_MANY => self.list(visitor),
            TEMPLATE_NEWTYPE => visitor.visit_newtype_struct(At { template: true, ..self }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Text(scalar) => {
                visitor.visit_enum(Choice { reader: self.reader, word: self.whole_text(&scalar.text)?, entry: None })
            }
            Value::Map(entries) => match entries.as_slice() {
                [entry] if self.reader.is_gone(&entry.value) => Err(Failure::new(Why::Silent)),
                [entry] => {
                    visitor.visit_enum(Choice { reader: self.reader, word: &entry.key.text, entry: Some(entry) })
                }
                _ => Err(Failure::new(Why::Mismatch {
                    expected: format!("a mapping with exactly one of {}", listed(variants)),
                    fits_type: true,
                })),
            },
            _ => Err(Failure::new(Why::Mismatch { expected: format!("one of {}", listed(variants)), fits_type: true })),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }
}

fn visitor_words(visitor: &dyn Expected) -> String {
    visitor.to_string()
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

struct Items<'a> {
    reader: &'a Reader,
    all: &'a [Node],
    next: usize,
    /// The key of a single value that stands for a list.
    key: Option<&'a Key>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        while let Some(node) = self.all.get(self.next) {
            let index = self.next;
            self.next += 1;
            if !self.reader.is_gone(node) {
                let at =
                    At { reader: self.reader, node, key: self.key, siblings: Some((self.all, index)), template: false };
                return at.value(seed).map(Some);
            }
        }
        Ok(None)
    }
}

struct Entries<'a> {
    reader: &'a Reader,
    written: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    phantoms: std::slice::Iter<'a, (&'static str, Phantom)>,
    phantom: Option<&'a (&'static str, Phantom)>,
    map: Id,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        if let Some(entry) = self.written.by_ref().find(|entry| !self.reader.is_gone(&entry.value)) {
            self.value = Some(entry);
            return seed.deserialize(Name(&entry.key)).map(Some).map_err(|failure| failure.at_key(entry));
        }
        self.value = None;
        self.phantom = self.phantoms.next();
        self.phantom.map(|(key, _)| seed.deserialize(StrDeserializer::<Failure>::new(key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        if let Some(entry) = self.value {
            return At {
                reader: self.reader,
                node: &entry.value,
                key: Some(&entry.key),
                siblings: None,
                template: false,
            }
            .value(seed);
        }
        let Some((key, phantom)) = self.phantom else { return Err(Failure::new(Why::Silent)) };
        seed.deserialize(phantom.clone()).map_err(|_| {
            let missing = Missing { map: self.map, key, span: phantom.span.clone(), refused: true };
            Failure::new(Why::Placed(Mistake { problem: None, gone: Vec::new(), missing: Some(missing) }))
        })
    }
}

/// A key that is being read.
struct Name<'a>(&'a Key);

macro_rules! parsed {
    ($($method:ident $type:ty => $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            match self.0.text.parse::<$type>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => Err(Failure::mismatch(&visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_str(&self.0.text)
    }

    parsed! {
        deserialize_bool bool => visit_bool,
        deserialize_i8 i8 => visit_i8,
        deserialize_i16 i16 => visit_i16,
        deserialize_i32 i32 => visit_i32,
        deserialize_i64 i64 => visit_i64,
        deserialize_u8 u8 => visit_u8,
        deserialize_u16 u16 => visit_u16,
        deserialize_u32 u32 => visit_u32,
        deserialize_u64 u64 => visit_u64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        if name == SPANNED {
            hand(Handed::Span(self.0.span.clone()));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_enum(self.0.text.as_str().into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// One of several: a word, or a mapping with one key.
struct Choice<'a> {
    reader: &'a Reader,
    word: &'a str,
    entry: Option<&'a Entry>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Failure;
    type Variant = Choice<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failure> {
        let variant = seed.deserialize(StrDeserializer::<Failure>::new(self.word));
        match (variant, self.entry) {
            (Ok(variant), _) => Ok((variant, self)),
            (Err(failure), Some(entry)) => Err(failure.at_key(entry)),
            (Err(failure), None) => Err(failure),
        }
    }
}

impl<'a> Choice<'a> {
    fn content(&self) -> Result<At<'a>, Failure> {
        let Some(entry) = self.entry else {
            let message = format!("`{0}` needs a value: write `{{ {0}: … }}`", self.word);
            return Err(Failure::new(Why::Custom(message)));
        };
        Ok(At { reader: self.reader, node: &entry.value, key: Some(&entry.key), siblings: None, template: false })
    }

    /// Reads the content; a failure belongs there, and not to the mapping around it.
    fn read<T>(&self, read: impl FnOnce(At<'a>) -> Result<T, Failure>) -> Result<T, Failure> {
        let at = self.content()?;
        read(at).map_err(|failure| failure.at(at.reader, at.node, at.key))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.entry {
            Some(entry) if !matches!(entry.value.value, Value::Null) => {
                let message = format!("`{}` takes no value", self.word);
                Err(Failure::problem(Problem::error(entry.key.span.clone(), message).with_help("write the word alone")))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        self.read(|at| seed.deserialize(at))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.read(|at| at.list(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.read(|at| at.map(visitor))
    }
}

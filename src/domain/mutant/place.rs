//! Where something stands in an observation, and what need not be noticed there.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::domain::names::glob;
use crate::domain::probe::{CapturePath, Segment};

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To a field of an object.
    Field(String),
    /// To each element of a list: a list tells the same thing again and again, and one of its elements is never drilled alone.
    Each,
}

/// A place in an observation, written with dots: `json.items.*.id`, `headers.content-type`, `body`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Vec<Way>);

impl Place {
    /// The place of a name in scope.
    pub fn root(name: impl Into<String>) -> Self {
        Self(vec![Way::Field(name.into())])
    }

    /// The place one step down.
    #[must_use]
    pub fn below(&self, way: Way) -> Self {
        Self(self.0.iter().cloned().chain([way]).collect())
    }

    /// The name in scope with which it begins.
    pub fn name(&self) -> &str {
        match self.0.first() {
            Some(Way::Field(name)) => name,
            _ => "",
        }
    }

    /// Whether this is the other place, or somewhere below it.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// How an expression says it: the place as far as the first list, and what is said of each of its elements from there.
    /// Nothing where there is a list in a list.
    pub fn expression(&self) -> Option<(String, Option<String>)> {
        let mut parts = self.0.split(|way| *way == Way::Each);
        let (head, tail) = (parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let written = |text: String, way: &Way| match way {
            Way::Field(name) if text.is_empty() => name.clone(),
            Way::Field(name) if is_identifier(name) => format!("{text}.{name}"),
            Way::Field(name) => format!("{text}[{}]", Value::from(name.as_str())),
            Way::Each => text,
        };
        let head = head.iter().fold(String::new(), written);
        Some((head, tail.map(|tail| tail.iter().fold("item".to_owned(), written))))
    }
}

impl From<&CapturePath> for Place {
    fn from(path: &CapturePath) -> Self {
        let below = path.segments.iter().map(|segment| match segment {
            Segment::Field(name) => Way::Field(name.clone()),
            Segment::Index(_) => Way::Each,
        });
        Self([Way::Field(path.root.clone())].into_iter().chain(below).collect())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, way) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match way {
                Way::Field(name) => write!(f, "{dot}{name}")?,
                Way::Each => write!(f, "{dot}*")?,
            }
        }
        Ok(())
    }
}

fn is_identifier(name: &str) -> bool {
    // What is a word of the language is no name of a field behind a dot.
    let is_word = matches!(name, "in" | "true" | "false" | "null");
    let mut characters = name.chars();
    !is_word
        && characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What somebody has thought of: that nothing notices what becomes of these places is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnoticed {
    /// The places, with dots; `*` stands for any text.
    pub pattern: String,
    /// Why.
    pub reason: String,
    /// Where it is written, as `file:line`; absent where it holds for every probe, since there it may explain nothing of most.
    pub written_at: Option<String>,
}

impl Unnoticed {
    /// Whether it is about a place.
    pub fn is_about(&self, place: &Place) -> bool {
        glob(&self.pattern, &place.to_string())
    }
}

/// The values below a place that are worth making otherwise, by their places: whatever has nothing below it, and every list.
pub fn leaves<'v>(at: &Place, value: &'v Value, found: &mut BTreeMap<Place, Vec<&'v Value>>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, below) in fields {
                leaves(&at.below(Way::Field(name.clone())), below, found);
            }
            return;
        }
        Value::Array(items) => {
            let each = at.below(Way::Each);
            for item in items {
                leaves(&each, item, found);
            }
        }
        _ => {}
    }
    found.entry(at.clone()).or_default().push(value);
}

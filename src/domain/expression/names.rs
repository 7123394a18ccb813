//! The names that an expression may use, and what may be said below each.

use std::borrow::Cow;
use std::fmt;

/// What may be said below a name in scope.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Any JSON: nothing is known before it is seen.
    Any,
    /// A whole number or a decimal: one type.
    Number,
    /// A string.
    Text,
    /// True or false.
    Bool,
    /// A list whose elements all have this shape.
    List(&'static Shape),
    /// Keys that are not known before (headers), each with a value of this shape.
    Map(&'static Shape),
    /// Exactly these fields. Borrowed from a kind's constant table, or owned where captures and steps decide.
    Fields(Cow<'static, [Name]>),
}

impl Shape {
    /// The shape of an object with exactly these fields, from a constant table.
    pub const fn table(fields: &'static [Name]) -> Self {
        Self::Fields(Cow::Borrowed(fields))
    }

    /// The shape of an object with exactly these fields, put together at run time.
    pub fn fields(fields: impl IntoIterator<Item = Name>) -> Self {
        Self::Fields(Cow::Owned(fields.into_iter().collect()))
    }

    /// The kind that every value of this shape has, or none where it is not known before.
    pub(super) fn kind(&self) -> Option<ValueKind> {
        match self {
            Self::Any => None,
            Self::Number => Some(ValueKind::Number),
            Self::Text => Some(ValueKind::Text),
            Self::Bool => Some(ValueKind::Bool),
            Self::List(_) => Some(ValueKind::List),
            Self::Map(_) | Self::Fields(_) => Some(ValueKind::Map),
        }
    }
}

/// One name, what may be said below it, and one line about it for the reference pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The name as it is written.
    pub name: Cow<'static, str>,
    /// What may be said below it.
    pub shape: Shape,
    /// One line for the reference pages.
    pub about: Cow<'static, str>,
}

impl Name {
    /// A name for a constant table.
    pub const fn known(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), shape, about: Cow::Borrowed(about) }
    }

    /// A name that is put together at run time.
    pub fn new(name: impl Into<Cow<'static, str>>, shape: Shape, about: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), shape, about: about.into() }
    }
}

/// The set of names that an expression may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(Vec<Name>);

impl Names {
    /// No names at all.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a name; a later one replaces an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, name: Name) -> Self {
        self.0.retain(|known| known.name != name.name);
        self.0.push(name);
        self
    }

    /// Adds all the names of a table.
    #[must_use]
    pub fn with_all(self, names: &[Name]) -> Self {
        names.iter().cloned().fold(self, Self::with)
    }

    /// The name that is written so, if there is one.
    pub fn get(&self, name: &str) -> Option<&Name> {
        self.0.iter().find(|known| known.name == name)
    }

    /// All names, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Name> + Clone {
        self.0.iter()
    }
}

impl FromIterator<Name> for Names {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        names.into_iter().fold(Self::new(), Self::with)
    }
}

/// What a value is, in the words of messages. Whole numbers and decimals are one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Map => "an object",
        })
    }
}

/// The help of an error about a word that nobody knows: the nearest word, or all of them where they are few.
pub(super) fn suggest<'w>(unknown: &str, words: impl Iterator<Item = &'w str> + Clone, what: &str) -> Option<String> {
    let nearest = words
        .clone()
        .map(|word| (strsim::jaro_winkler(&unknown.to_lowercase(), &word.to_lowercase()), word))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, word)) = nearest.filter(|(likeness, _)| *likeness > 0.82) {
        return Some(format!("did you mean `{word}`?"));
    }
    let all: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    (!all.is_empty() && all.len() <= 16).then(|| format!("{what}: {}", all.join(", ")))
}

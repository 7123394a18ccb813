//! Text with holes: `{{capture}}` and `{{run.id}}` are filled when a step runs, `${source:name}` before, on parsed
//! values and never on the text of a file. What has been put in is never scanned again.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::{CaptureName, SecretName};

/// The newtype name by which a deserializer that has resolved references recognises a [`Template`] and hands over its
/// canonical text instead of the plain one.
pub const TEMPLATE_NEWTYPE: &str = "$roundsman::template";

/// A piece of a template as written, before references are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// `{{name}}`: a captured value.
    Capture(CaptureName),
    /// `{{run.id}}`.
    RunId,
    /// `${secret:name}`: stays a reference until the moment of use.
    Secret(SecretName),
    /// `${totp:name}`: the code that a second factor shows at that moment, made of the secret of that name.
    Totp(SecretName),
    /// `${source:name}` or `${source:name:-default}`: to be resolved by the configuration.
    Reference {
        /// `env`, `file`, `var` or `each`; whoever resolves it says which exist.
        source: String,
        /// What is looked up there.
        name: String,
        /// What stands when it is absent or empty.
        default: Option<String>,
        /// Where in the text it is written, in bytes.
        span: Range<usize>,
    },
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong and what to write.
    pub message: String,
    /// Where in the text, in bytes.
    pub span: Range<usize>,
}

/// Text whose holes are filled when a step runs. Holds no unresolved reference.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// Cuts a text into its pieces. `$${` is a literal `${`, `{{{{` a literal `{{`.
pub fn pieces(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let piece_start = at;
        let before_hole = rest.starts_with("${{") || (rest.starts_with("{{{") && !rest.starts_with("{{{{"));
        let (piece, length) = if before_hole {
            // What stands before a hole stands for itself: `{{{x}}` is a brace and a hole, `${{x}}` a price.
            literal.push_str(&rest[..1]);
            at += 1;
            continue;
        } else if rest.starts_with("$${") {
            literal.push_str("${");
            at += 3;
            continue;
        } else if rest.starts_with("{{{{") {
            literal.push_str("{{");
            at += 4;
            continue;
        } else if let Some(inside) = rest.strip_prefix("${") {
            let end = inside.find('}').ok_or_else(|| TemplateError {
                message: "`${` is not closed: write `${env:NAME}`, or `$${` for the two characters themselves"
                    .to_owned(),
                span: piece_start..text.len(),
            })?;
            (reference(&inside[..end], piece_start..piece_start + end + 3)?, end + 3)
        } else if let Some(inside) = rest.strip_prefix("{{") {
            let end = inside.find("}}").ok_or_else(|| TemplateError {
                message: "`{{` is not closed: write `{{name}}`, or `{{{{` for the two characters themselves".to_owned(),
                span: piece_start..text.len(),
            })?;
            (hole(inside[..end].trim(), piece_start..piece_start + end + 4)?, end + 4)
        } else {
            let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '$' | '{')).map_or(rest.len(), |(i, _)| i);
            literal.push_str(&rest[..end]);
            at += end;
            continue;
        };
        if !literal.is_empty() {
            found.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        found.push(piece);
        at += length;
    }
    if !literal.is_empty() {
        found.push(Piece::Literal(literal));
    }
    Ok(found)
}

fn reference(inside: &str, span: Range<usize>) -> Result<Piece, TemplateError> {
    let fail = |message: String| TemplateError { message, span: span.clone() };
    let (source, rest) = inside.split_once(':').ok_or_else(|| {
        fail(format!("`${{{inside}}}` does not say where from: write `${{env:{inside}}}` or `${{var:{inside}}}`"))
    })?;
    let (name, default) = match rest.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (rest, None),
    };
    if name.is_empty() {
        return Err(fail(format!("`${{{inside}}}` names nothing: write `${{{source}:NAME}}`")));
    }
    let kind = match source {
        "secret" => Some(Piece::Secret as fn(SecretName) -> Piece),
        "totp" => Some(Piece::Totp as fn(SecretName) -> Piece),
        _ => None,
    };
    if let Some(kind) = kind {
        if default.is_some() {
            return Err(fail(format!("a secret has no default: declare `{name}` under `secrets:`")));
        }
        return SecretName::parse(name).map(kind).map_err(|error| fail(error.to_string()));
    }
    Ok(Piece::Reference { source: source.to_owned(), name: name.to_owned(), default, span })
}

fn hole(inside: &str, span: Range<usize>) -> Result<Piece, TemplateError> {
    match inside {
        "run.id" => Ok(Piece::RunId),
        name => CaptureName::parse(name).map(Piece::Capture).map_err(|_| TemplateError {
            message: format!(
                "`{{{{{name}}}}}` is not the name of a capture: write `{{{{token}}}}` or `{{{{run.id}}}}`"
            ),
            span,
        }),
    }
}

/// What fills the holes.
pub trait Fill {
    /// The captured text of that name.
    fn capture(&self, name: &CaptureName) -> Option<&str>;
    /// The id of the run.
    fn run_id(&self) -> &str;
    /// The secret of that name, resolved before.
    fn secret(&self, name: &SecretName) -> Option<&str>;
    /// The code that is made of the secret of that name at this moment.
    fn code(&self, _name: &SecretName) -> Option<&str> {
        None
    }
}

/// A hole that nothing filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The step that captures it was skipped or failed.
    #[error("nothing was captured as `{0}`")]
    Capture(CaptureName),
    /// The secret was not to be had.
    #[error("the secret `{0}` is not there")]
    Secret(SecretName),
    /// What was put in cannot stand in such a place, e.g. a line break in a header.
    #[error("`{0}` holds a character that cannot stand here")]
    Unfit(String),
}

impl Template {
    /// Reads the canonical text: captures, secrets, literals; no reference is left in it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let pieces = pieces(text)?;
        for piece in &pieces {
            if let Piece::Reference { source, name, span, .. } = piece {
                return Err(TemplateError {
                    message: format!("`${{{source}:{name}}}` cannot be used here"),
                    span: span.clone(),
                });
            }
        }
        Ok(Self(pieces))
    }

    /// A template that is only text.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(vec![Piece::Literal(text.into())])
    }

    /// The text, if there is nothing to fill.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The captures that it needs.
    pub fn captures(&self) -> impl Iterator<Item = &CaptureName> {
        self.0.iter().filter_map(|piece| if let Piece::Capture(name) = piece { Some(name) } else { None })
    }

    /// The secrets that it needs, those of codes too.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(name) | Piece::Totp(name) => Some(name),
            _ => None,
        })
    }

    /// The secrets whose codes it needs.
    pub fn codes(&self) -> impl Iterator<Item = &SecretName> {
        self.0.iter().filter_map(|piece| if let Piece::Totp(name) = piece { Some(name) } else { None })
    }

    /// Fills the holes; each value that is put in goes through `encode` first (percent-encoding in a URL, nothing in a
    /// body), which refuses what cannot stand there.
    pub fn fill(&self, with: &dyn Fill, encode: impl Fn(&str) -> Option<String>) -> Result<String, FillError> {
        let mut text = String::new();
        for piece in &self.0 {
            let (value, what) = match piece {
                Piece::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Piece::Capture(name) => {
                    (with.capture(name).ok_or_else(|| FillError::Capture(name.clone()))?, name.as_str())
                }
                Piece::Secret(name) => {
                    (with.secret(name).ok_or_else(|| FillError::Secret(name.clone()))?, name.as_str())
                }
                Piece::Totp(name) => (with.code(name).ok_or_else(|| FillError::Secret(name.clone()))?, name.as_str()),
                Piece::RunId => (with.run_id(), "run.id"),
                Piece::Reference { name, .. } => return Err(FillError::Unfit(name.clone())),
            };
            text.push_str(&encode(value).ok_or_else(|| FillError::Unfit(what.to_owned()))?);
        }
        Ok(text)
    }
}

/// The canonical text of pieces, which [`Template::parse`] reads back.
pub fn canonical(pieces: &[Piece]) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    let mut literal = String::new();
    for piece in pieces {
        // Neighbouring literals are escaped as one: `{` beside `{` would read as a hole.
        if let Piece::Literal(more) = piece {
            literal.push_str(more);
            continue;
        }
        text.push_str(&escape(&std::mem::take(&mut literal)));
        // Writing to a String cannot fail.
        let _ = match piece {
            Piece::Literal(_) => Ok(()),
            Piece::Capture(name) => write!(text, "{{{{{name}}}}}"),
            Piece::RunId => write!(text, "{{{{run.id}}}}"),
            Piece::Secret(name) => write!(text, "${{secret:{name}}}"),
            Piece::Totp(name) => write!(text, "${{totp:{name}}}"),
            Piece::Reference { source, name, default: None, .. } => write!(text, "${{{source}:{name}}}"),
            Piece::Reference { source, name, default: Some(default), .. } => {
                write!(text, "${{{source}:{name}:-{default}}}")
            }
        };
    }
    text + &escape(&literal)
}

/// From left to right, as it is read back: an escape must not begin in the middle of another.
fn escape(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal;
    while let Some(c) = rest.chars().next() {
        let (written, length) = match rest.get(..2) {
            Some("${") => ("$${", 2),
            Some("{{") => ("{{{{", 2),
            _ => (&rest[..c.len_utf8()], c.len_utf8()),
        };
        text.push_str(written);
        rest = &rest[length..];
    }
    text
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&canonical(&self.0))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({self})")
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Template;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Template, D::Error> {
                deserializer.deserialize_str(self)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Template, E> {
                Template::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_newtype_struct(TEMPLATE_NEWTYPE, Visitor)
    }
}

impl schemars::JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "Text; `${env:NAME}`, `${var:name}`, `${secret:name}`, `${totp:name}` and `{{capture}}` are filled in."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Values;
    impl Fill for Values {
        fn capture(&self, name: &CaptureName) -> Option<&str> {
            (name.as_str() == "token").then_some("a/{{b}}${env:HOME}")
        }
        fn run_id(&self) -> &'static str {
            "R1"
        }
        fn secret(&self, name: &SecretName) -> Option<&str> {
            (name.as_str() == "shopper").then_some("hunter2")
        }
        fn code(&self, name: &SecretName) -> Option<&str> {
            (name.as_str() == "authenticator").then_some("123456")
        }
    }

    #[test]
    fn holes_are_filled_once() {
        let template = Template::parse("x {{token}} {{ run.id }} ${secret:shopper} $${a} {{{{b}}").unwrap();
        let text = template.fill(&Values, |value| Some(value.to_owned())).unwrap();
        assert_eq!(text, "x a/{{b}}${env:HOME} R1 hunter2 ${a} {{b}}");
        let code = Template::parse("${totp:authenticator}!").unwrap();
        assert_eq!(code.fill(&Values, |value| Some(value.to_owned())).unwrap(), "123456!");
        assert_eq!(code.to_string(), "${totp:authenticator}!");
        assert!(code.secrets().eq(code.codes()) && code.as_literal().is_none());
        let beside = Template::parse("{{{token}} ${{token}} {{{{{{token}}").unwrap();
        let text = beside.fill(&Values, |_| Some("T".to_owned())).unwrap();
        assert_eq!(text, "{T $T {{T");
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        let missing = Template::parse("{{item}}").unwrap();
        assert_eq!(
            missing.fill(&Values, |v| Some(v.to_owned())).unwrap_err().to_string(),
            "nothing was captured as `item`"
        );
        let unfit = Template::parse("{{token}}").unwrap();
        assert_eq!(
            unfit.fill(&Values, |_| None).unwrap_err().to_string(),
            "`token` holds a character that cannot stand here"
        );
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, message, span) in [
            ("a ${env:X", "`${` is not closed: write `${env:NAME}`, or `$${` for the two characters themselves", 2..9),
            ("{{x", "`{{` is not closed: write `{{name}}`, or `{{{{` for the two characters themselves", 0..3),
            ("${HOME}", "`${HOME}` does not say where from: write `${env:HOME}` or `${var:HOME}`", 0..7),
            ("${env:}", "`${env:}` names nothing: write `${env:NAME}`", 0..7),
            ("${secret:a:-b}", "a secret has no default: declare `a` under `secrets:`", 0..14),
            ("{{a b}}", "`{{a b}}` is not the name of a capture: write `{{token}}` or `{{run.id}}`", 0..7),
        ] {
            let error = pieces(text).unwrap_err();
            assert_eq!((error.message.as_str(), error.span), (message, span));
        }
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_pieces(before in "[a-z${}: ]{0,8}", name in "[a-z]{1,8}", after in "[a-z${}: ]{0,8}") {
            // Two dollars before a brace are an escape, so a text that ends in two cannot stand before a hole.
            prop_assume!(!before.ends_with("$$") && !after.ends_with("$$"));
            let written = [
                Piece::Literal(before),
                Piece::Capture(CaptureName::parse(&name).unwrap()),
                Piece::Literal(after),
                Piece::RunId,
            ];
            let written: Vec<_> = written.into_iter().filter(|piece| *piece != Piece::Literal(String::new())).collect();
            let read = pieces(&canonical(&written)).unwrap();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn any_text_is_cut_without_panic(text in ".{0,60}") {
            let _ = pieces(&text);
        }
    }
}

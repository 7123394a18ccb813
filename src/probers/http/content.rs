//! The body of a request: as text, as JSON, as a form, or from a file.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http::HeaderValue;
use url::form_urlencoded::byte_serialize;

use super::json;
use crate::domain::outcome::Failure;
use crate::domain::template::{Piece, Template, canonical, pieces};
use crate::ports::StepContext;
use crate::settings::{Node, Problem, Problems, Span, Spanned};

/// The largest file that is sent, in bytes. It is read when the configuration is, and stays in memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The fields of a form.
pub type Form = BTreeMap<Spanned<String>, Spanned<Template>>;

/// The ways to write a body, of which a request has one at most.
pub struct Written<'a> {
    /// As text.
    pub body: Option<&'a Spanned<Template>>,
    /// As a tree that becomes JSON.
    pub json: Option<&'a Node>,
    /// As the fields of a form.
    pub form: Option<&'a Spanned<Form>>,
    /// As the path of a file.
    pub file: Option<&'a Spanned<String>>,
}

/// A body as it was written.
#[derive(Debug)]
pub enum Content {
    /// Text, as it is.
    Text(Template),
    /// JSON text, in whose strings values are put escaped.
    Json(Template),
    /// The text of a form, into which values are put encoded.
    Form(Template),
    /// The bytes of a file.
    File(Bytes),
}

impl Content {
    /// Reads the settings; every mistake is a problem.
    pub fn read(written: &Written<'_>, directory: &Path, problems: &mut Problems) -> Option<Self> {
        let spans: [(&str, Option<&Span>); 4] = [
            ("body", written.body.map(|body| &body.span)),
            ("json", written.json.map(|json| &json.span)),
            ("form", written.form.map(|form| &form.span)),
            ("file", written.file.map(|file| &file.span)),
        ];
        let mut given = spans.iter().filter_map(|(name, span)| span.map(|span| (name, span)));
        let first = given.next();
        if let (Some((first, also)), Some((second, span))) = (first, given.next()) {
            let message = format!("a request has one body: `{first}` or `{second}`, not both");
            problems.push(Problem::error(span.clone(), message).with_also(also.clone(), "the other one"));
            return None;
        }
        if let Some(body) = written.body {
            return Some(Self::Text(body.value.clone()));
        }
        if let Some(json) = written.json {
            return json::template(json, problems).map(Self::Json);
        }
        if let Some(form) = written.form {
            return Some(Self::Form(form_template(&form.value)));
        }
        written.file.and_then(|path| file(path, directory, problems)).map(Self::File)
    }

    /// What it is, where we have made it.
    pub fn media_type(&self) -> Option<HeaderValue> {
        match self {
            Self::Json(_) => Some(HeaderValue::from_static("application/json")),
            Self::Form(_) => Some(HeaderValue::from_static("application/x-www-form-urlencoded")),
            Self::Text(_) | Self::File(_) => None,
        }
    }

    /// Whether it holds a secret or what a target gave.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Text(text) | Self::Json(text) | Self::Form(text) => {
                text.secrets().next().is_some() || text.captures().next().is_some()
            }
            Self::File(_) => false,
        }
    }

    /// The bytes for this run.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Bytes, Failure> {
        Ok(match self {
            Self::Text(text) => cx.fill(text, |value| Some(value.to_owned())).await?.into(),
            Self::Json(text) => cx.fill(text, |value| Some(json::escape(value))).await?.into(),
            Self::Form(text) => cx.fill(text, |value| Some(encode(value))).await?.into(),
            Self::File(bytes) => bytes.clone(),
        })
    }
}

/// As browsers send forms: in the order in which they are written, a space as `+` (WHATWG URL,
/// "application/x-www-form-urlencoded serializing").
fn form_template(form: &Form) -> Template {
    let mut fields: Vec<_> = form.iter().collect();
    fields.sort_by_key(|(name, _)| name.span.bytes.start);
    let mut text = Vec::new();
    for (index, (name, value)) in fields.into_iter().enumerate() {
        let joint = if index > 0 { "&" } else { "" };
        text.push(Piece::Literal(format!("{joint}{}=", encode(&name.value))));
        for piece in pieces(&value.value.to_string()).unwrap_or_default() {
            text.push(if let Piece::Literal(literal) = piece { Piece::Literal(encode(&literal)) } else { piece });
        }
    }
    // The text was put together from templates, so it reads back.
    Template::parse(&canonical(&text)).unwrap_or_else(|_| Template::literal(""))
}

/// One part of a form: it can add neither a field nor a value of its own.
pub fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

fn file(path: &Spanned<String>, directory: &Path, problems: &mut Problems) -> Option<Bytes> {
    let shown = &path.value;
    let whole = directory.join(shown);
    let read = match std::fs::metadata(&whole) {
        Ok(found) if !found.is_file() || found.len() > FILE_BYTES_MAX => {
            Err(format!("the file {shown} is not a plain file of at most {} MiB", FILE_BYTES_MAX / 1024 / 1024))
        }
        Ok(_) => std::fs::read(&whole).map_err(|error| format!("the file {shown} cannot be read: {error}")),
        Err(error) => Err(format!("the file {shown} cannot be read: {error}")),
    };
    match read {
        Ok(bytes) => Some(bytes.into()),
        Err(message) => {
            problems.error(path.span.clone(), message).help =
                Some("a relative path begins at the directory of the configuration".to_owned());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::{Source, parse, read};

    fn form(yaml: &str) -> String {
        let mut problems = Problems::new();
        let node = parse(Source::new("probes/a.yaml", yaml), &mut problems).unwrap();
        let form: Form = read(&node, &mut problems).unwrap();
        form_template(&form).to_string()
    }

    #[test]
    fn a_form_is_encoded_and_keeps_its_order_and_its_holes() {
        let yaml = "{ b: x y, \"a&c\": \"1=2&{{token}}\", empty: \"\" }";
        assert_eq!(form(yaml), "b=x+y&a%26c=1%3D2%26{{token}}&empty=");
        assert_eq!(form("{}"), "");
    }

    proptest! {
        #[test]
        fn a_value_stays_within_its_field(value in any::<String>()) {
            let text = format!("a={}&b=1", encode(&value));
            let fields: Vec<_> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            prop_assert_eq!(fields, vec![("a".to_owned(), value), ("b".to_owned(), "1".to_owned())]);
        }
    }
}

//! The headers of a request.

use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::{Piece, Template, pieces};
use crate::ports::StepContext;
use crate::settings::{Problems, Spanned};

/// What follows from the connection and the body, and is never taken from a file.
const OURS: [HeaderName; 5] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::TE];

/// Headers that say who we are, whatever is in them.
const PRIVATE: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A header as it was written.
#[derive(Debug)]
pub struct HeaderDraft {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    value: Template,
}

impl HeaderDraft {
    /// Its value, where all of it is written.
    pub fn literal(&self) -> Option<&str> {
        self.value.as_literal()
    }
}

/// Reads the setting `headers`; every mistake is a problem.
pub fn read(written: &BTreeMap<Spanned<String>, Spanned<Template>>, problems: &mut Problems) -> Vec<HeaderDraft> {
    let mut drafts: Vec<HeaderDraft> = Vec::new();
    // In the order of the file, so that the second of two is the one too many.
    let mut in_order: Vec<_> = written.iter().collect();
    in_order.sort_by_key(|(name, _)| name.span.bytes.start);
    for (name, value) in in_order {
        let Ok(parsed) = HeaderName::from_bytes(name.value.as_bytes()) else {
            let message = format!("`{}` is not the name of a header", name.value);
            problems.error(name.span.clone(), message).help =
                Some("a name has letters, digits and `-`, like `X-Request-Id`".to_owned());
            continue;
        };
        if OURS.contains(&parsed) {
            let message = format!("`{}` follows from the request and cannot be set", name.value);
            problems.error(name.span.clone(), message).help = Some("remove it".to_owned());
        } else if drafts.iter().any(|draft| draft.name == parsed) {
            let message = format!("the header `{parsed}` is given twice");
            problems.error(name.span.clone(), message).help =
                Some("upper and lower case make no difference; put both values in one, with a comma".to_owned());
        }
        check(value, problems);
        drafts.push(HeaderDraft { name: parsed, value: value.value.clone() });
    }
    drafts
}

/// Looks at the literal parts of what will stand in a header.
pub fn check(written: &Spanned<Template>, problems: &mut Problems) {
    let fits = |piece: &Piece| if let Piece::Literal(text) = piece { fit(text).is_some() } else { true };
    if !pieces(&written.value.to_string()).unwrap_or_default().iter().all(fits) {
        problems.error(written.span.clone(), "a header cannot hold a line break or another control character").help =
            Some("write it on one line; a `|` block ends with a line break, `|-` does not".to_owned());
    }
}

/// The value, if it can stand in a header: a line break in it would begin a header of its own.
pub fn fit(value: &str) -> Option<String> {
    HeaderValue::from_bytes(value.as_bytes()).ok().map(|_| value.to_owned())
}

/// A value that was filled.
pub fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Failure::new(FailureKind::Capture, "a header would hold a control character"))
}

impl HeaderDraft {
    /// The value for this run.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<HeaderValue, Failure> {
        value(&cx.fill(&self.value, fit).await?)
    }

    /// Whether other origins must not see it: it says who we are, or holds a secret or something that a target gave.
    pub fn is_private(&self) -> bool {
        PRIVATE.contains(&self.name) || self.value.secrets().next().is_some() || self.value.captures().next().is_some()
    }
}

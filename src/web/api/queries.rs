//! What stands behind the `?`: read whole, every mistake named, and long lists in parts.
//!
//! A cursor is opaque to whoever has it. Within it is the last that was told, behind which the next part begins: a storm opens many
//! incidents at once, so that an instant would not say it.

use std::error::Error as _;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answers::Trouble;
use crate::domain::text::harmless;
use crate::web::incident::ID_LENGTH_MAX;

/// What is asked behind the `?`. What is not known there is a mistake: whoever writes it means something by it.
pub struct Queried<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Queried<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        read.map(|Query(asked)| Self(asked)).map_err(|rejection| {
            let mistake = rejection.source().map_or_else(|| rejection.body_text(), ToString::to_string);
            Trouble::new(
                StatusCode::BAD_REQUEST,
                format!("what stands behind the `?` is not understood: {}", harmless(&mistake)),
            )
        })
    }
}

/// `1`: yes; `0`: no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub struct Flag(pub bool);

impl TryFrom<u8> for Flag {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if number > 1 { Err("write 1 for yes or 0 for no") } else { Ok(Self(number == 1)) }
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Flag".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [0, 1], "default": 0 })
    }
}

/// How many come in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub struct Limit(pub usize);

/// The most that come in one part.
const LIMIT_MAX: usize = 500;

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;
    fn try_from(limit: usize) -> Result<Self, String> {
        if (1..=LIMIT_MAX).contains(&limit) { Ok(Self(limit)) } else { Err(format!("`limit` is 1 to {LIMIT_MAX}")) }
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50 })
    }
}

/// Where the next part of a list begins.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cursor(String);

impl Cursor {
    /// Behind something that has a name.
    pub fn after(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name behind which it is.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The same where it is an id.
    pub fn id(&self) -> Result<&str, Trouble> {
        let is_id = self.0.len() <= ID_LENGTH_MAX && self.0.bytes().all(|letter| letter.is_ascii_alphanumeric());
        if is_id { Ok(&self.0) } else { Err(Trouble::new(StatusCode::BAD_REQUEST, NOT_OURS)) }
    }

    /// As whoever asks sees it.
    pub fn opaque(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;
    fn try_from(opaque: String) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(opaque).map_err(|_| NOT_OURS)?;
        String::from_utf8(bytes).map(Self).map_err(|_| NOT_OURS)
    }
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

const NOT_OURS: &str = "`cursor` is what `next` of the part before says, as it is";

/// An answer that says where the next part is, in the header that programs know. It is relative, since a proxy may have put all
/// of this below a path of its own.
pub fn linked(mut response: Response, uri: &Uri, next: Option<&str>) -> Response {
    let Some(next) = next else { return response };
    let asked = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(asked.filter(|(name, _)| name != "cursor")).append_pair("cursor", next);
    if let Ok(link) = HeaderValue::try_from(format!("<?{}>; rel=\"next\"", query.finish())) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let id = |opaque: &str| Cursor::try_from(opaque.to_owned()).is_ok_and(|cursor| cursor.id().is_ok());
        assert!(id(&Cursor::after("01KB2H8Q4V0000000000000000").opaque()));
        for none in ["?", "////", &URL_SAFE_NO_PAD.encode("1 99"), &URL_SAFE_NO_PAD.encode("a".repeat(65))] {
            assert!(!id(none), "{none}");
        }
    }

    #[test]
    fn the_next_part_is_asked_for_as_this_one_was() {
        let uri: Uri = "/api/v1/runs?limit=2&cursor=old&text=a%26b".parse().unwrap();
        let response = linked(Response::default(), &uri, Some("new"));
        assert_eq!(response.headers()[header::LINK], "<?limit=2&text=a%26b&cursor=new>; rel=\"next\"");
        assert!(linked(Response::default(), &uri, None).headers().is_empty());
    }
}

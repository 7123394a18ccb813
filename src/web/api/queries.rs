//! What stands behind the `?`: read whole, every mistake named, and long lists in parts.
//!
//! A cursor is opaque to whoever has it. Within it is where the next part begins: an instant, and how many of that instant were
//! told already, since a storm opens many incidents at once.

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
use crate::domain::time::Timestamp;

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

/// A list in time, the latest first, from where a cursor says.
pub struct Place {
    /// What begins before is wanted …
    pub before: Timestamp,
    /// … without so many of the first.
    pub skip: usize,
}

impl Place {
    /// The most of one instant that are told in parts.
    const SKIP_MAX: usize = 100_000;

    /// Where a cursor says, or at an end.
    pub fn of(cursor: Option<&Cursor>, end: Timestamp) -> Result<Self, Trouble> {
        let Some(cursor) = cursor else { return Ok(Self { before: end, skip: 0 }) };
        let place = || {
            let (micros, skip) = cursor.name().split_once(' ')?;
            let before = Timestamp::from_timestamp_micros(micros.parse().ok()?)?;
            let skip = skip.parse().ok().filter(|skip| *skip <= Self::SKIP_MAX)?;
            Some(Self { before, skip })
        };
        place().ok_or_else(|| Trouble::new(StatusCode::BAD_REQUEST, NOT_OURS))
    }

    /// Those that are asked for of what was found by it, and where the next part begins. `more` says whether there is more than
    /// was found.
    pub fn part<T>(&self, found: Vec<T>, more: bool, at: impl Fn(&T) -> Timestamp) -> (Vec<T>, Option<Cursor>) {
        let next = found.last().filter(|_| more).map(|last| {
            let last = at(last);
            let told = found.iter().rev().take_while(|one| at(one) == last).count();
            // What begins before the microsecond behind it begins at it or before.
            Cursor(format!("{} {told}", last.timestamp_micros().saturating_add(1)))
        });
        (found.into_iter().skip(self.skip).collect(), next)
    }
}

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

    fn second(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn parts_lack_nothing_and_repeat_nothing_though_many_are_of_one_instant() {
        // Seven of them at second 5, as in a storm.
        let all: Vec<(i64, u32)> = [9, 8, 5, 5, 5, 5, 5, 5, 5, 3, 1].into_iter().zip(0..).collect();
        for limit in 1..=all.len() {
            let (mut cursor, mut told) = (None, Vec::new());
            loop {
                let place = Place::of(cursor.as_ref(), second(100)).unwrap();
                let mut found: Vec<_> = all.iter().copied().filter(|(at, _)| second(*at) < place.before).collect();
                let most = limit + place.skip;
                let more = found.len() > most;
                found.truncate(most);
                let (part, next) = place.part(found, more, |(at, _)| second(*at));
                assert!(part.len() <= limit);
                told.extend(part);
                let Some(next) = next else { break };
                cursor = Some(Cursor::try_from(next.opaque()).unwrap());
            }
            assert_eq!(told, all, "{limit}");
        }
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        for opaque in [
            "?",
            "////",
            &URL_SAFE_NO_PAD.encode("9 x"),
            &URL_SAFE_NO_PAD.encode("9 -1"),
            &URL_SAFE_NO_PAD.encode("1 999999999"),
        ] {
            let place =
                Cursor::try_from((*opaque).to_owned()).map(|cursor| Place::of(Some(&cursor), second(1)).is_ok());
            assert_ne!(place, Ok(true), "{opaque}");
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

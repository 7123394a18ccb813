//! Which page is asked for, and by whom, as far as that is known.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use url::form_urlencoded;

use super::access::Caller;

/// The word of a query by which a page holds still.
const STILL: &str = "still";

/// A page that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// Which.
    pub uri: Uri,
    /// Whom a proxy names.
    pub user: Option<Arc<str>>,
}

impl Visit {
    /// What stands in the query, in its order, decoded.
    pub fn asked(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
    }

    /// The last that the query says of something; nothing where it says nothing, or nothing but blanks.
    pub fn last(&self, name: &str) -> Option<String> {
        let said = self.asked().filter(|(known, _)| known == name).last();
        said.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Whether the page is to hold still.
    pub fn is_still(&self) -> bool {
        self.asked().any(|(name, _)| name == STILL)
    }

    /// The query of the same page that holds still, or does not.
    pub fn query(&self, still: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.asked().filter(|(name, _)| name != STILL));
        if still {
            query.append_key_only(STILL);
        }
        query.finish()
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user = parts.extensions.get::<Caller>().and_then(|caller| caller.user.clone());
        Ok(Self { uri: parts.uri.clone(), user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_holds_still_is_the_same_page() {
        let visit = |uri: &str| Visit { uri: uri.parse().unwrap(), user: None };
        let filtered = visit("/?label=team%3Dshop&q=a+b");
        assert!(!filtered.is_still());
        assert_eq!(filtered.query(true), "label=team%3Dshop&q=a+b&still");
        let still = visit("/?still&label=team%3Dshop&q=a+b");
        assert!(still.is_still());
        assert_eq!(still.query(false), "label=team%3Dshop&q=a+b");
        assert_eq!(visit("/").query(true), "still");
        assert_eq!(visit("/?q=one&q=+two+&p=+").last("q").as_deref(), Some("two"));
        assert_eq!(visit("/?q=one&p=+").last("p"), None);
    }
}

//! Where a redirect leads, and what may go there.

use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, Method, StatusCode};

use super::request::Request;
use crate::domain::outcome::{Failure, FailureKind};
use crate::net::excerpt::excerpt;

/// More redirects than this are never followed.
pub const REDIRECTS_MAX: u32 = 10;

/// Turns a request into the one that a redirect asks for. False when the answer is no redirect.
///
/// Methods follow RFC 9110, section 15.4: 303 becomes GET, 301 and 302 make a POST a GET, 307 and 308 keep everything.
pub fn follow(request: &mut Request, status: StatusCode, answer: &HeaderMap) -> Result<bool, Failure> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(false);
    }
    let Some(location) = answer.get(LOCATION) else { return Ok(false) };
    let blocked = |why: String| Failure::new(FailureKind::RedirectBlocked, why);
    let location = std::str::from_utf8(location.as_bytes())
        .map_err(|_| blocked("the redirect's Location is not text".to_owned()))?;
    let mut url = request
        .url
        .join(location)
        .map_err(|error| blocked(format!("the redirect's Location `{}` is not a URL: {error}", excerpt(location))))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(blocked(format!("the redirect leads to `{}:`, which is not followed", excerpt(url.scheme()))));
    }
    // A target cannot make us log in somewhere.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let becomes_get = match status.as_u16() {
        303 => request.method != Method::HEAD,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body.clear();
        for content in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
            request.headers.remove(&content);
            request.private.remove(&content);
        }
    }
    if url.origin() != request.url.origin() {
        let host = excerpt(url.host_str().unwrap_or_default()).into_owned();
        if request.url.scheme() == "https" && url.scheme() == "http" && request.carries_credentials() {
            return Err(blocked(format!("the redirect leads from https to http://{host} with credentials")));
        }
        if request.body_is_private && !request.body.is_empty() {
            return Err(blocked(format!("the redirect would take the body with its secrets to {host}")));
        }
        request.forget_credentials();
        request.headers.remove(HOST);
    }
    request.url = url;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    fn request(method: Method, url: &str, body: &'static str) -> Request {
        Request {
            method,
            url: url.parse().unwrap(),
            headers: [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))].into_iter().collect(),
            private: [(AUTHORIZATION, HeaderValue::from_static("Bearer x"))].into_iter().collect(),
            signer: None,
            body: Bytes::from_static(body.as_bytes()),
            body_is_private: false,
            is_at_home: true,
            answer_is_secret: false,
        }
    }

    fn followed(request: &mut Request, status: u16, location: &str) -> Result<bool, Failure> {
        let headers = [(LOCATION, HeaderValue::from_str(location).unwrap())].into_iter().collect();
        follow(request, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn methods_follow_rfc_9110() {
        for (status, before, after, keeps_body) in [
            (301, Method::POST, Method::GET, false),
            (302, Method::POST, Method::GET, false),
            (302, Method::PUT, Method::PUT, true),
            (303, Method::PUT, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, true),
            (307, Method::POST, Method::POST, true),
            (308, Method::DELETE, Method::DELETE, true),
        ] {
            let mut request = request(before, "http://a.example/x", "body");
            assert!(followed(&mut request, status, "../y").unwrap());
            assert_eq!((&request.method, request.body.is_empty()), (&after, !keeps_body), "{status}");
            assert_eq!(request.headers.contains_key(CONTENT_TYPE), keeps_body);
            assert_eq!(request.url.as_str(), "http://a.example/y");
            assert!(request.carries_credentials(), "the origin is the same");
        }
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        for location in ["http://b.example/", "http://a.example:81/", "https://a.example/", "//b.example/"] {
            let mut request = request(Method::GET, "http://a.example/", "");
            assert!(followed(&mut request, 302, location).unwrap());
            assert!(!request.carries_credentials() && !request.is_at_home, "{location}");
            assert!(followed(&mut request, 302, "http://a.example/").unwrap());
            assert!(!request.carries_credentials() && !request.is_at_home, "they do not come back");
        }
    }

    #[test]
    fn what_may_not_be_followed_is_blocked() {
        let blocked = |request: &mut Request, location: &str| followed(request, 307, location).unwrap_err().to_string();
        for scheme in ["file", "gopher", "javascript", "ftp"] {
            let mut request = request(Method::GET, "http://a.example/", "");
            assert_eq!(
                blocked(&mut request, &format!("{scheme}:///etc/passwd")),
                format!("redirect.blocked: the redirect leads to `{scheme}:`, which is not followed")
            );
        }
        assert_eq!(
            blocked(&mut request(Method::GET, "https://a.example/", ""), "http://a.example/"),
            "redirect.blocked: the redirect leads from https to http://a.example with credentials"
        );
        let mut private = request(Method::POST, "http://a.example/", "password");
        private.body_is_private = true;
        assert_eq!(
            blocked(&mut private, "http://b.example/"),
            "redirect.blocked: the redirect would take the body with its secrets to b.example"
        );
    }

    #[test]
    fn a_location_cannot_log_us_in() {
        let mut request = request(Method::GET, "http://a.example/", "");
        assert!(followed(&mut request, 302, "http://user:pw@b.example/").unwrap());
        assert_eq!(request.url.as_str(), "http://b.example/");
    }

    #[test]
    fn other_answers_are_no_redirects() {
        let mut first = request(Method::GET, "http://a.example/", "");
        assert!(!followed(&mut first, 304, "/y").unwrap());
        assert!(!followed(&mut first, 300, "/y").unwrap());
        assert!(!follow(&mut first, StatusCode::FOUND, &HeaderMap::new()).unwrap());
    }
}

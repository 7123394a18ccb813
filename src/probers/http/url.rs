//! The URL of a request: its literal parts are looked at when the files are read, its holes are filled percent-encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::template::{Piece, Template, pieces};
use crate::ports::StepContext;
use crate::probers::place::with_holes_filled;
use crate::settings::{Problems, Spanned};

/// What stands for itself in a URL (RFC 3986, section 2.3); everything else of a value is encoded, so that it can add
/// neither a path nor a query of its own.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The schemes of a kind that has URLs.
#[derive(Debug)]
pub struct Schemes {
    /// As they are written, the secured one first.
    pub names: [&'static str; 2],
    /// What is written in place of a user and a password in the URL.
    pub credentials: &'static str,
}

/// The schemes of HTTP.
pub static HTTP: Schemes =
    Schemes { names: ["https", "http"], credentials: "basic: { user: …, password: \"${secret:…}\" }" };

/// A URL that may have holes.
#[derive(Debug)]
pub enum UrlDraft {
    /// Known when the prober is built.
    Known(Url),
    /// Known when the step runs.
    Later(Template, &'static Schemes),
}

impl UrlDraft {
    /// Reads the setting; what can be known to be wrong is a problem.
    pub fn read(written: &Spanned<Template>, schemes: &'static Schemes, problems: &mut Problems) -> Option<Self> {
        let pieces = pieces(&written.value.to_string()).unwrap_or_default();
        if pieces.first().is_some_and(|first| !matches!(first, Piece::Literal(_))) {
            let secured = schemes.names[0];
            problems.error(written.span.clone(), "a URL cannot begin with what is filled in later").help = Some(
                format!("write scheme and host, like `{secured}://shop.example.com/{{{{path}}}}`: a value is encoded"),
            );
            return None;
        }
        match check(&with_holes_filled(&written.value), schemes) {
            Ok(url) if written.value.as_literal().is_some() => Some(Self::Known(url)),
            Ok(_) => Some(Self::Later(written.value.clone(), schemes)),
            Err((message, help)) => {
                let problem = problems.error(written.span.clone(), message);
                problem.hidden = problem.message == USER_IN_URL;
                problem.help = Some(help);
                None
            }
        }
    }

    /// The host, where all of it is written.
    pub fn host(&self) -> Option<Host> {
        let url = match self {
            Self::Known(url) => url.clone(),
            Self::Later(template, schemes) => {
                let pieces = pieces(&template.to_string()).unwrap_or_default();
                let Some(Piece::Literal(beginning)) = pieces.first() else { return None };
                let (_, rest) = beginning.split_once("://")?;
                rest.contains(['/', '?', '#', ':']).then(|| check(&with_holes_filled(template), schemes).ok())??
            }
        };
        url.host().map(|host| host.to_owned())
    }

    /// The URL with `*` for what is filled in.
    pub fn pattern(&self) -> Option<Url> {
        match self {
            Self::Known(url) => Some(url.clone()),
            Self::Later(template, _) => {
                let pieces = pieces(&template.to_string()).ok()?;
                let part = |piece: &Piece| if let Piece::Literal(text) = piece { text.clone() } else { "*".to_owned() };
                pieces.iter().map(part).collect::<String>().parse().ok()
            }
        }
    }

    /// The URL for this run.
    pub async fn fill(&self, cx: &StepContext<'_>) -> Result<Url, Failure> {
        match self {
            Self::Known(url) => Ok(url.clone()),
            Self::Later(template, schemes) => {
                let text = cx.fill(template, encode).await?;
                check(&text, schemes).map_err(|(message, _)| Failure::new(FailureKind::Capture, message))
            }
        }
    }
}

/// A value as one part of a path or a query. Dots alone would walk up the path, encoded or not (WHATWG URL, "double-dot URL
/// path segment").
pub fn encode(value: &str) -> Option<String> {
    (value != "." && value != "..").then(|| utf8_percent_encode(value, ENCODED).to_string())
}

/// What is said of a URL with a password, which is not shown again.
const USER_IN_URL: &str = "a URL does not hold a user and a password";

/// The message and the help of a mistake.
type Mistake = (String, String);

fn check(text: &str, schemes: &Schemes) -> Result<Url, Mistake> {
    let [secured, plain] = schemes.names;
    let fail = |message: String, help: &str| Err((message, help.to_owned()));
    let like = || format!("write it like `{secured}://shop.example.com/path`");
    if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return fail(format!("{bad:?} cannot stand in a URL"), "write `%20` for a space");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let help = format!("write `{secured}://{text}`");
        return Err((format!("`{text}` has no scheme"), help));
    };
    if !schemes.names.contains(&scheme.to_ascii_lowercase().as_str()) {
        let help = format!("write `{secured}://` or `{plain}://`");
        return Err((format!("`{scheme}` is not a scheme that is probed"), help));
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err((USER_IN_URL.to_owned(), format!("remove them and write `{}`", schemes.credentials)));
    }
    if authority.matches(':').count() > 1 && !authority.contains('[') {
        let help = format!("an IPv6 address stands in brackets: `{scheme}://[{authority}]/`");
        return Err((format!("`{authority}` is not a host"), help));
    }
    // The parser of WHATWG takes the first part of the path for a host where there is none.
    if authority.is_empty() {
        return Err((format!("`{text}` has no host"), like()));
    }
    match Url::parse(text) {
        Ok(url) if url.port() == Some(0) => fail("`0` is not a port".to_owned(), "a port is a number from 1 to 65535"),
        Ok(url) if origin_form(&url).parse::<http::Uri>().is_err() => {
            fail(format!("`{text}` cannot be requested"), "percent-encode what is unusual in its path or query")
        }
        Ok(url) => Ok(url),
        Err(url::ParseError::EmptyHost) => Err((format!("`{text}` has no host"), like())),
        Err(url::ParseError::InvalidPort) => {
            let port = authority.rsplit(':').next().unwrap_or_default();
            fail(format!("`{port}` is not a port"), "a port is a number from 1 to 65535")
        }
        Err(error) => Err((format!("`{text}` is not a URL: {error}"), like())),
    }
}

/// What stands in the request's first line.
pub fn origin_form(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mistakes_name_the_part() {
        for (text, message) in [
            ("shop.example.com/x", "`shop.example.com/x` has no scheme"),
            ("ftp://a.example/", "`ftp` is not a scheme that is probed"),
            ("https://a.example/a b", "' ' cannot stand in a URL"),
            ("https://a.example:99999/", "`99999` is not a port"),
            ("https://a.example:0/", "`0` is not a port"),
            ("https://", "`https://` has no host"),
            ("https:///cart", "`https:///cart` has no host"),
            ("https://user:pw@a.example/", "a URL does not hold a user and a password"),
            ("https://[::1/", "`https://[::1/` is not a URL: invalid IPv6 address"),
        ] {
            assert_eq!(check(text, &HTTP).unwrap_err().0, message);
        }
        assert!(check("http://127.0.0.1:80/a@b?c=d@e#f", &HTTP).is_ok());
    }

    #[test]
    fn a_host_is_known_when_no_hole_is_in_it() {
        let host =
            |text: &str| UrlDraft::Later(Template::parse(text).unwrap(), &HTTP).host().map(|host| host.to_string());
        assert_eq!(host("http://a.example/{{x}}").as_deref(), Some("a.example"));
        assert_eq!(host("http://a.example:{{x}}/").as_deref(), Some("a.example"));
        assert_eq!(host("http://{{x}}.example/"), None);
        assert_eq!(host("http://a.example{{x}}/"), None);
    }

    proptest! {
        #[test]
        fn a_value_stays_within_its_segment(value in "\\PC{1,30}") {
            let Some(encoded) = encode(&value) else { return Ok(()) };
            let url = check(&format!("http://a.example/x/{encoded}/y?q={encoded}"), &HTTP).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            let decoded = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap();
            prop_assert_eq!(decoded.as_ref(), value.as_str());
            let queries: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(queries, vec![("q".into(), value.as_str().into())]);
            prop_assert_eq!(url.host_str(), Some("a.example"));
        }
    }
}

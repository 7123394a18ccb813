//! What is filled into a request: it stays within its place, and arrives there as it was.

use percent_encoding::percent_decode_str;
use roundsman::domain::names::{CaptureName, SecretName};
use roundsman::domain::outcome::FailureKind;
use roundsman::domain::template::{Fill, Piece, Template, canonical, pieces};
use serde_json::{Value, json};

use super::bench::{Met, meet};
use super::{Taken, two_parts};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The first byte chooses the place: `j` a JSON body, `u` a URL, `h` a header, `b` a body of text, for which the rest is the
/// captured value; or `t` a template, for which the rest is its text, a line `---`, and the value.
pub fn target(data: &[u8]) -> Taken {
    let [place, rest @ ..] = data else { return Taken::No };
    let value = String::from_utf8_lossy(rest);
    match place {
        b'j' => json_body(&value),
        b'u' => url(&value),
        b'h' => header(&value),
        b'b' => body(&value),
        _ => text(rest),
    }
}

fn json_body(x: &str) -> Taken {
    let settings = "{ url: \"http://HOST/\", method: POST, json: { \"k {{\": \"<{{x}}>\", n: [1, \"{{x}}{{x}}\"] } }";
    let request = Request::read(meet(settings, x, usize::MAX, |_| OK.to_vec()));
    let request = request.expect("every text fits into JSON");
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(sent, json!({ "k {{": format!("<{x}>"), "n": [1, format!("{x}{x}")] }));
    Taken::Yes
}

fn url(x: &str) -> Taken {
    let settings = "url: \"http://HOST/a/{{x}}/b?q={{x}}&r=1\"";
    let Some(request) = Request::read(meet(settings, x, usize::MAX, |_| OK.to_vec())) else {
        return Taken::No;
    };
    let [method, target, version] = request.line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("the request's line is {:?}", request.line);
    };
    assert_eq!((method, version), ("GET", "HTTP/1.1"));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let (path, query) = target.split_once('?').unwrap();
    let segments: Vec<String> = path.split('/').map(decoded).collect();
    assert_eq!(segments, ["", "a", x, "b"]);
    let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name, decoded(value))).collect();
    assert_eq!(pairs, [("q", x.to_owned()), ("r", "1".to_owned())]);
    Taken::Yes
}

fn header(x: &str) -> Taken {
    let settings = "{ url: \"http://HOST/\", headers: { X-Sent: \"<{{x}}>\" }, bearer: \"{{x}}.\" }";
    let Some(request) = Request::read(meet(settings, x, usize::MAX, |_| OK.to_vec())) else {
        let unfit = |c: char| c.is_control() && c != '\t';
        assert!(x.contains(unfit), "{x:?} was refused");
        return Taken::No;
    };
    let names: Vec<&str> = request.fields.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["accept", "accept-encoding", "authorization", "host", "user-agent", "x-sent"];
    assert_eq!(names, expected, "for {x:?}");
    assert_eq!(request.fields[2].1, format!("Bearer {x}."));
    assert_eq!(request.fields[5].1, format!("<{x}>"));
    Taken::Yes
}

fn body(x: &str) -> Taken {
    let settings = "{ url: \"http://HOST/\", method: PUT, body: \"${{x}} {{{x}}}\" }";
    let request = Request::read(meet(settings, x, usize::MAX, |_| OK.to_vec()));
    assert_eq!(request.expect("every text fits into a body").body, format!("${x} {{{x}}}").as_bytes());
    Taken::Yes
}

/// A request, read by the rules of RFC 9112 and no others.
struct Request {
    line: String,
    /// Lower-case names and values, sorted.
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// None where nothing was sent, which must be because the value cannot stand in its place.
    fn read(met: Met) -> Option<Self> {
        if let Err(failure) = met.seen {
            assert_eq!(failure.kind, FailureKind::Capture, "{failure}");
            assert_eq!(met.request, b"", "a request was sent all the same");
            return None;
        }
        let end = met.request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&met.request[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let mut fields: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
        fields.sort_unstable();
        let fields = fields.into_iter().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Some(Self { line, fields, body: met.request[end + 4..].to_vec() })
    }
}

struct Values<'a>(&'a str);

impl Fill for Values<'_> {
    fn capture(&self, _: &CaptureName) -> Option<&str> {
        Some(self.0)
    }
    fn run_id(&self) -> &'static str {
        "01RUN"
    }
    fn secret(&self, _: &SecretName) -> Option<&str> {
        Some("{{x}}")
    }
    fn code(&self, _: &SecretName) -> Option<&str> {
        Some("{{x}}")
    }
}

/// A template is its pieces: what it is written back as reads as the same, and what is filled in is not read again.
fn text(data: &[u8]) -> Taken {
    let (text, x) = two_parts(data);
    let read = match pieces(&text) {
        Ok(read) => read,
        Err(error) => {
            let at = error.span.clone();
            assert!(text.get(at).is_some(), "{:?} is no place in {text:?}", error.span);
            return Taken::No;
        }
    };
    let again = canonical(&read);
    let without_place = |pieces: Vec<Piece>| {
        let without = |piece| match piece {
            Piece::Reference { source, name, default, .. } => Piece::Reference { source, name, default, span: 0..0 },
            other => other,
        };
        pieces.into_iter().map(without).collect::<Vec<_>>()
    };
    let reread = pieces(&again).unwrap_or_else(|error| panic!("{text:?} was written as {again:?}: {error}"));
    assert_eq!(without_place(reread), without_place(read.clone()), "{text:?} was written as {again:?}");
    let Ok(template) = Template::parse(&text) else { return Taken::No };
    let filled: String = read
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.as_str(),
            Piece::Capture(_) => &x,
            Piece::RunId => "01RUN",
            Piece::Secret(_) | Piece::Totp(_) => "{{x}}",
            Piece::Reference { .. } => panic!("a reference is left in {text:?}"),
        })
        .collect();
    assert_eq!(template.fill(&Values(&x), |value| Some(value.to_owned())).unwrap(), filled);
    Taken::Yes
}

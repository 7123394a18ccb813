//! The secrets: where each is kept, and how it is said again.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::json;

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In a variable of the environment, declared under `secrets:`.
    Env,
    /// In a file, declared under `secrets:`.
    File,
    /// In the environment, where the AWS SDK looks for it.
    Aws(&'static str),
    /// Nowhere: a target gives it, and a run sends it back.
    Given,
}

/// What its place can hold between the two ends of a value. All of it tells encodings apart.
const ANY: &str = "+/=x\"'&<é>%\\;,~ 9";
/// In the path of a URL as it is written: what begins or ends a part of it would change the path.
const PATH: &str = "+=x\"'&<é>;,~ 9";
/// In a header that must be ASCII.
const ASCII: &str = "+/=x\"'&<>%;,~9";
/// In a cookie.
const COOKIE: &str = "+/=x'&<>~9";
/// In a token of a job, and in a name.
const PLAIN: &str = "-";
/// What AWS uses in its keys.
const AWS: &str = "+/x/+9";
/// Several lines.
const LINES: &str = "+/= \"é\n<&>'%\r\n\t9";

/// Each secret by the use that is made of it.
const ALL: [(&str, Kept, &str); 37] = [
    ("BEARER", Kept::Env, ANY),
    ("HEADER", Kept::File, ANY),
    ("BASIC", Kept::Env, ANY),
    ("QUERY", Kept::File, ANY),
    ("STREET", Kept::Env, ANY),
    ("TREE", Kept::File, ANY),
    ("FORM", Kept::Env, ANY),
    ("TEXT", Kept::File, LINES),
    ("OAUTH", Kept::Env, ANY),
    ("OAUTHBODY", Kept::File, ANY),
    ("POSTGRES", Kept::Env, ANY),
    ("PARAMETER", Kept::File, ANY),
    ("REDIS", Kept::Env, ANY),
    ("WORD", Kept::File, ANY),
    ("GRPC", Kept::Env, ASCII),
    ("METADATA", Kept::File, ASCII),
    ("SOCKET", Kept::Env, ASCII),
    ("MESSAGE", Kept::File, ANY),
    ("TCP", Kept::Env, ANY),
    ("LABEL", Kept::File, PLAIN),
    ("COMMAND", Kept::Env, ANY),
    ("INPUT", Kept::File, LINES),
    ("JOB", Kept::Env, PLAIN),
    ("WATCHER", Kept::File, PATH),
    ("HOOK", Kept::Env, PATH),
    ("SIGN", Kept::File, ANY),
    ("AUTHORIZATION", Kept::Env, ASCII),
    ("DUTY", Kept::File, ANY),
    ("DUTYHOOK", Kept::Env, ANY),
    ("SLACK", Kept::File, PATH),
    ("BOT", Kept::Env, ANY),
    ("SMTP", Kept::File, ANY),
    ("PAGE", Kept::Env, ASCII),
    ("AWSKEY", Kept::Aws("AWS_SECRET_ACCESS_KEY"), AWS),
    ("AWSTOKEN", Kept::Aws("AWS_SESSION_TOKEN"), AWS),
    ("CAPTURED", Kept::Given, ANY),
    ("GRANTED", Kept::Given, ASCII),
];

/// A value that nobody may see.
#[derive(Clone, Debug)]
pub struct Canary {
    /// By which it is told apart.
    pub name: &'static str,
    /// Where it is kept.
    pub kept: Kept,
    /// What nobody may see.
    pub value: String,
    /// Parts of it that are in no other text, and that most escapes leave as they are.
    pub parts: Vec<String>,
}

impl Canary {
    fn new(name: &'static str, kept: Kept, middle: &str) -> Self {
        let [begin, end] = [format!("Zq7{name}h0Dk"), format!("T1w{name}5xVj")];
        Self { name, kept, value: format!("{begin}{middle}{end}"), parts: vec![begin, end] }
    }

    /// A text of several lines: a private key.
    pub fn of_lines(name: &'static str, kept: Kept, text: &str) -> Self {
        let parts = text.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect();
        Self { name, kept, value: text.to_owned(), parts }
    }

    /// Whether it is in one of these texts. A name has no case.
    pub fn is_in(&self, texts: &[String]) -> bool {
        let value = self.value.to_lowercase();
        texts.iter().any(|text| text.to_lowercase().contains(&value))
    }
}

/// Every secret whose value the test makes up.
pub fn all() -> Vec<Canary> {
    let mut all: Vec<_> = ALL.iter().map(|(name, kept, middle)| Canary::new(name, *kept, middle)).collect();
    all.push(Canary::new("COOKIE", Kept::Given, COOKIE));
    all
}

/// What is shown on purpose, so that a search that finds nothing anywhere is noticed.
pub fn shown() -> Canary {
    Canary::new("SHOWN", Kept::Given, PLAIN)
}

/// What somebody reads who was told a text: the text, and what is in it without the encodings of places where secrets stand.
pub fn understood(told: &[u8]) -> Vec<String> {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = String::from_utf8_lossy(told).into_owned();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let proofs = text.split(|c| !is_base64(c)).filter_map(|word| STANDARD.decode(word).ok());
    let proofs: Vec<_> = proofs.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    let spaced = |text: &String| plain(&text.replace('+', " "));
    let mut all = vec![plain(&text), spaced(&text), text.replace("\\\"", "\"").replace("\\\\", "\\")];
    all.extend(proofs.iter().map(spaced));
    all.extend(proofs);
    all.push(text);
    all
}

/// The forms in which a value is said again; made otherwise than by what takes them out.
pub fn said_again(value: &str) -> Vec<String> {
    let hex = value.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let json = json!(value).to_string();
    let ascii = value.encode_utf16().fold(String::new(), |mut text, unit| {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\u{unit:04X}");
            }
        }
        text
    });
    let mut url = url::Url::parse("http://a.example/").expect("a URL");
    url.set_query(Some(value));
    let query = url.query().unwrap_or_default().to_owned();
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        STANDARD.encode(format!("probe:{value}")),
        STANDARD_NO_PAD.encode(format!("probe:{form}")),
        URL_SAFE_NO_PAD.encode(format!("ab{value}cd")),
        hex.to_uppercase(),
        hex,
        with_lower_digits(&percent),
        percent,
        form,
        query,
        json[1..json.len() - 1].replace('/', "\\/"),
        json!(json).to_string(),
        json,
        ascii,
        format!("{html} {}", html.replace('\'', "&#39;")),
        format!("{value:?}"),
        format!("{:?}", value.as_bytes()),
    ]
}

/// `%2F` as `%2f`.
fn with_lower_digits(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}%{}{}", part[..2].to_lowercase(), &part[2..]))
}

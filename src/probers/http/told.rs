//! An exchange as people read it, and the command that repeats it. What says who we are is not shown.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::body::ENCODINGS;
use super::connection::{Key, Version};
use super::request::Request;
use super::url::origin_form;
use crate::domain::exchange::{Exchange, TEXT_BYTES_MAX, beginning};
use crate::domain::outcome::Phases;
use crate::domain::redaction::MARK;
use crate::domain::text::shell_word;
use crate::domain::time::Timestamp;
use crate::probers::peer::Peer;

/// All that an exchange can be told of; nothing of it is text before somebody asks.
pub struct Told {
    /// What was asked.
    pub request: Arc<Request>,
    /// With which cookies.
    pub cookies: Arc<str>,
    /// Where it went.
    pub key: Arc<Key>,
    /// When the request was signed, where it was.
    pub at: Timestamp,
    /// Who was spoken to.
    pub peer: Peer,
    /// Whether any of the request was sent.
    pub is_sent: bool,
    /// Whether HTTP/2 was spoken.
    pub is_http2: bool,
    /// The head of the answer, where it came.
    pub head: Option<Arc<Parts>>,
    /// What came of its body.
    pub body: Bytes,
    /// How long its parts took.
    pub phases: Phases,
}

impl Told {
    /// A request that has no answer yet.
    pub fn of(request: &Arc<Request>, cookies: &Arc<str>, key: &Arc<Key>, at: Timestamp) -> Self {
        Self {
            request: Arc::clone(request),
            cookies: Arc::clone(cookies),
            key: Arc::clone(key),
            at,
            peer: Peer::default(),
            is_sent: false,
            is_http2: key.terms.is_none() && key.version == Version::Http2,
            head: None,
            body: Bytes::new(),
            phases: Phases::default(),
        }
    }

    /// As text.
    pub fn exchange(self) -> Exchange {
        // Of HTTP/1.1 too, whose head names the host; a request that could be sent can be written.
        let message = self.request.message(&self.cookies, false, self.at);
        let headers = message.map(|message| message.into_parts().0.headers).unwrap_or_default();
        Exchange {
            remote: self.peer.address(),
            sent: if self.is_sent { self.sent(&headers) } else { String::new() },
            received: self.received(),
            certificates: self.peer.certificates(),
            command: Some(self.command(&headers)),
            phases: self.phases,
        }
    }

    fn sent(&self, headers: &HeaderMap) -> String {
        let version = if self.is_http2 { "HTTP/2" } else { "HTTP/1.1" };
        let first = format!("{} {} {version}", self.request.method, origin_form(&self.request.url));
        with_body(head(first, headers), &beginning(&self.request.body))
    }

    fn received(&self) -> String {
        let Some(parts) = &self.head else { return String::new() };
        let first = format!("{:?} {}", parts.version, parts.status);
        let body = if self.request.answer_is_secret { MARK.to_owned() } else { beginning(&self.body) };
        with_body(head(first, &parts.headers), &body)
    }

    /// For curl. What stands in files of the configuration is named by what it is.
    fn command(&self, headers: &HeaderMap) -> String {
        let request = &self.request;
        let mut words: Vec<String> = vec!["curl".to_owned(), "--include".to_owned()];
        let mut say = |text: &str| words.push(shell_word(text).into_owned());
        match (self.is_http2, &self.key.terms) {
            (true, None) => say("--http2-prior-knowledge"),
            (true, Some(_)) => say("--http2"),
            (false, _) => say("--http1.1"),
        }
        match request.method {
            Method::GET if request.body.is_empty() => {}
            Method::HEAD => say("--head"),
            _ => ["--request", request.method.as_str()].into_iter().for_each(&mut say),
        }
        let remote = self.peer.remote.filter(|_| self.key.host.parse::<IpAddr>().is_err());
        if let Some(remote) = remote.as_ref().map(SocketAddr::ip) {
            let address = match remote {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            ["--resolve", &format!("{}:{}:{address}", self.key.host, self.key.port)].into_iter().for_each(&mut say);
        }
        if let Some(terms) = &self.key.terms {
            if terms.trust.has_own() {
                ["--cacert", "ca.pem"].into_iter().for_each(&mut say);
            }
            if terms.identity.is_some() {
                ["--cert", "client.pem", "--key", "client.key"].into_iter().for_each(&mut say);
            }
        }
        for (name, value) in headers {
            let is_ours = *name == CONTENT_LENGTH || (*name == HOST && !request.headers.contains_key(HOST));
            if *name == ACCEPT_ENCODING && value == ENCODINGS {
                say("--compressed");
            } else if !is_ours {
                ["--header", &format!("{name}: {}", shown(value))].into_iter().for_each(&mut say);
            }
        }
        if !request.body.is_empty() {
            let text = std::str::from_utf8(&request.body).ok().filter(|text| text.len() <= TEXT_BYTES_MAX);
            // A body that begins with `@` would be taken for the name of a file.
            match text.filter(|text| !text.starts_with('@')) {
                Some(text) => ["--data-binary", text].into_iter().for_each(&mut say),
                None => ["--data-binary", "@body"].into_iter().for_each(&mut say),
            }
        }
        say(request.url.as_str());
        words.join(" ")
    }
}

fn shown(value: &HeaderValue) -> String {
    if value.is_sensitive() { MARK.to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
}

fn head(first: String, headers: &HeaderMap) -> String {
    headers.iter().fold(first, |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name}: {}", shown(value));
        text
    })
}

fn with_body(head: String, body: &str) -> String {
    if body.is_empty() { head } else { format!("{head}\n\n{body}") }
}

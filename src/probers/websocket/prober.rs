//! The prober: connects, talks, and puts down what was said.

use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use std::fmt::Write as _;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_key};
use url::{Position, Url};

use super::talk::{Limits, Talk, talk};
use crate::domain::exchange::{Exchange, TEXT_BYTES_MAX, beginning};
use crate::domain::fact_map::FactMap;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::template::Template;
use crate::domain::text::shell_word;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::Stopwatch;
use crate::net::tls::Terms;
use crate::ports::{Prober, StepContext};
use crate::probers::http::headers::{self, HeaderDraft};
use crate::probers::http::url::UrlDraft;
use crate::probers::peer::Peer;
use crate::probers::place::Place;
use crate::probers::socket::open;

/// What every client says in the handshake by itself.
const HANDSHAKE: [HeaderName; 5] =
    [header::HOST, header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_VERSION, header::SEC_WEBSOCKET_KEY];

/// Opens a WebSocket.
pub struct WebSocketProber {
    /// Where to.
    pub url: UrlDraft,
    /// Headers of the handshake.
    pub headers: Vec<HeaderDraft>,
    /// A token for the handshake.
    pub bearer: Option<Template>,
    /// What is offered, the preferred one first.
    pub subprotocols: Vec<String>,
    /// What is sent.
    pub send: Option<Template>,
    /// How many messages are waited for.
    pub receive: u64,
    /// Whether the server is waited for to close.
    pub until_closed: bool,
    /// How much of a message is read.
    pub message_bytes_max: usize,
    /// How TLS is spoken.
    pub terms: Terms,
    /// Looks names up.
    pub resolver: Resolver,
}

impl Prober for WebSocketProber {
    fn host(&self) -> Option<String> {
        self.url.host().map(|host| host.to_string())
    }

    fn probe<'a>(&'a self, cx: &'a StepContext<'a>) -> BoxFuture<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            let url = self.url.fill(cx).await?;
            let request = self.request(&url, cx).await?;
            let send = match &self.send {
                Some(template) => Some(cx.fill(template, |value| Some(value.to_owned())).await?),
                None => None,
            };
            let mut watch = Stopwatch::start(cx.clock, cx.deadline);
            let terms = (url.scheme() == "wss").then_some(&self.terms);
            let (mut peer, mut heard) = (Peer::default(), Talk::default());
            let opened = open(&self.resolver, &Place::of(&url), terms, &mut watch, &mut peer).await;
            let handshake = request.headers().clone();
            let head = if opened.is_ok() { head(&url, &handshake) } else { String::new() };
            let limits = Limits {
                receive: self.receive,
                until_closed: self.until_closed,
                message_bytes_max: self.message_bytes_max,
            };
            let result = match opened {
                Ok(socket) => talk(socket, request, send.clone(), &limits, &mut heard, &mut watch).await,
                Err(failure) => Err(failure),
            };
            let phases = heard.phases.unwrap_or_else(|| watch.phases());
            let (told, other, is_sent) = (heard.told(), peer.clone(), heard.is_sent);
            let command = command(&url, &handshake, send.as_deref());
            cx.recorder.add(move || Exchange {
                remote: other.address(),
                sent: said(head, send.as_deref().filter(|_| is_sent)),
                received: told,
                certificates: other.certificates(),
                command: Some(command),
                phases,
            });
            result.map_err(|failure| peer.failed(failure).after(phases))?;
            Ok(Observation { phases, ..observe(&peer, heard, cx) })
        })
    }
}

impl WebSocketProber {
    /// The request of the handshake (RFC 6455, section 4.1).
    async fn request(&self, url: &Url, cx: &StepContext<'_>) -> Result<Request, Failure> {
        let mut address = url.clone();
        address.set_fragment(None);
        let mut request = Request::new(());
        *request.uri_mut() = address
            .as_str()
            .parse()
            .map_err(|error| Failure::new(FailureKind::Capture, format!("`{address}` cannot be requested: {error}")))?;
        let ours = [
            (header::HOST, url[Position::BeforeHost..Position::AfterPort].to_owned()),
            (header::CONNECTION, "Upgrade".to_owned()),
            (header::UPGRADE, "websocket".to_owned()),
            (header::SEC_WEBSOCKET_VERSION, "13".to_owned()),
            (header::SEC_WEBSOCKET_KEY, generate_key()),
        ];
        let map = request.headers_mut();
        for (name, value) in ours {
            map.insert(name, headers::value(&value)?);
        }
        if !self.subprotocols.is_empty() {
            map.insert(header::SEC_WEBSOCKET_PROTOCOL, headers::value(&self.subprotocols.join(", "))?);
        }
        if let Some(bearer) = &self.bearer {
            let token = cx.fill(bearer, headers::fit).await?;
            map.insert(header::AUTHORIZATION, headers::value(&format!("Bearer {token}"))?);
        }
        for draft in &self.headers {
            map.insert(draft.name.clone(), draft.fill(cx).await?);
        }
        if map.values().all(|value| HeaderValue::to_str(value).is_ok()) {
            Ok(request)
        } else {
            Err(Failure::new(FailureKind::Capture, "a header of the handshake would hold what is not ASCII"))
        }
    }
}

/// The head of the handshake, as text.
fn head(url: &Url, headers: &HeaderMap) -> String {
    let mut text = format!("GET {} HTTP/1.1\n", &url[Position::BeforePath..Position::AfterQuery]);
    for (name, value) in headers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

/// The talk with the tool that people have for it. What is larger than people read is given as a file.
fn command(url: &Url, headers: &HeaderMap, message: Option<&str>) -> String {
    let mut command = "websocat".to_owned();
    for (name, value) in headers.iter().filter(|(name, _)| !HANDSHAKE.contains(name)) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let option = if *name == header::SEC_WEBSOCKET_PROTOCOL {
            format!(" --protocol {}", shell_word(&value))
        } else {
            format!(" --header={}", shell_word(&format!("{name}: {value}")))
        };
        command.push_str(&option);
    }
    let url = shell_word(url.as_str());
    match message {
        None => format!("{command} {url}"),
        Some(message) if message.len() > TEXT_BYTES_MAX => format!("{command} {url} < message"),
        // Else each line would be a message of its own.
        Some(message) if message.contains('\n') => {
            format!("printf '%s\\0' {} | {command} --null-terminated {url}", shell_word(message))
        }
        Some(message) => format!("printf '%s\\n' {} | {command} {url}", shell_word(message)),
    }
}

/// What was sent, as text: the head of the handshake, and the message behind it.
fn said(head: String, message: Option<&str>) -> String {
    match message {
        Some(message) => format!("{head}\n{}", beginning(message.as_bytes())),
        None => head,
    }
}

fn observe(peer: &Peer, heard: Talk, cx: &StepContext<'_>) -> Observation {
    let mut facts = FactMap::default();
    if let Some(subprotocol) = heard.subprotocol {
        facts.insert("subprotocol", subprotocol);
    }
    if let Some(text) = heard.message.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        facts.insert("message", text);
    }
    if let Some((code, reason)) = heard.closed {
        facts.insert("close_code", code);
        facts.insert("close_reason", reason);
    }
    let mut observation = Observation { facts, body: heard.message, ..Observation::default() };
    peer.tell(&mut observation, cx.clock.now());
    observation
}

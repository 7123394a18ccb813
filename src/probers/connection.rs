//! A connection that is spoken over by hand, under TLS where that is asked for: for the kinds whose protocol is a few words.
//!
//! What is heard is bounded as a whole ([`Connection::open`] is given the limit), so no reader above needs a bound of its
//! own for what it is sent; and its beginning is kept for the exchange that people read.

use std::io;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use super::peer::Peer;
use super::place::Place;
use super::securing::Securing;
use crate::domain::exchange::{Exchange, TEXT_BYTES_MAX, beginning, beginning_of};
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::text::hex;
use crate::domain::time::Timestamp;
use crate::net::arrival::{Instants, Sent};
use crate::net::dial::dial;
use crate::net::excerpt::excerpt;
use crate::net::resolver::Resolver;
use crate::net::stopwatch::{Part, Stopwatch};
use crate::net::stream::Stream;
use crate::net::tls_failure;
use crate::ports::StepContext;

/// As much is read at once.
const READ_BYTES: usize = 8 * 1024;

/// What the bytes of a test go through.
#[cfg(test)]
trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
#[cfg(test)]
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Duplex for S {}

enum Socket {
    Plain(Stream),
    Tls(Box<TlsStream<Stream>>),
    /// Bytes of a test.
    #[cfg(test)]
    Told(Box<dyn Duplex>),
    /// A handshake took the connection and failed.
    Gone,
}

/// An open connection; it is closed when it is dropped.
pub struct Connection {
    socket: Socket,
    /// Where it leads.
    peer: Peer,
    /// What came and nobody has taken yet.
    buffer: BytesMut,
    bytes_max: usize,
    /// How many more bytes may come.
    bytes_left: usize,
    /// The beginning of what came since [`Self::begin`].
    heard: Vec<u8>,
    /// How many bytes came since then.
    heard_bytes: usize,
    /// What is recorded as said is said now.
    has_begun: bool,
}

impl Connection {
    /// Connects. More than `bytes_max` bytes are never heard over it.
    pub async fn open(
        place: &Place,
        resolver: &Resolver,
        bytes_max: usize,
        watch: &mut Stopwatch<'_>,
    ) -> Result<Self, Failure> {
        let (tcp, remote) = dial(resolver, &place.host, place.port, watch).await?;
        Ok(Self { peer: Peer { remote: Some(remote), shown: None }, ..Self::over(Socket::Plain(tcp), bytes_max) })
    }

    fn over(socket: Socket, bytes_max: usize) -> Self {
        Self {
            socket,
            peer: Peer::default(),
            buffer: BytesMut::new(),
            bytes_max,
            bytes_left: bytes_max,
            heard: Vec::new(),
            heard_bytes: 0,
            has_begun: false,
        }
    }

    /// A connection on which exactly these bytes come.
    #[cfg(test)]
    pub fn saying(bytes: &[u8], bytes_max: usize) -> Self {
        let stream = tokio::io::join(io::Cursor::new(bytes.to_vec()), tokio::io::sink());
        Self::over(Socket::Told(Box::new(stream)), bytes_max)
    }

    /// Goes over to TLS; `host` is whom the certificate must be for where nothing else is asked.
    pub async fn secure(&mut self, securing: &Securing, host: &str, watch: &mut Stopwatch<'_>) -> Result<(), Failure> {
        // What came before the handshake was not said by whom the certificate names (CVE-2011-0411).
        if !self.buffer.is_empty() {
            return Err(invalid("the server goes on talking in the clear after it has agreed to TLS"));
        }
        let Socket::Plain(tcp) = std::mem::replace(&mut self.socket, Socket::Gone) else {
            return Err(Failure::new(FailureKind::Internal, "a connection was secured twice"));
        };
        let secured = securing.handshake(tcp, host, watch, &mut self.peer.shown).await?;
        self.socket = Socket::Tls(Box::new(secured));
        Ok(())
    }

    /// Whether what is said now is under TLS.
    #[cfg(feature = "postgres")]
    pub fn is_secured(&self) -> bool {
        matches!(self.socket, Socket::Tls(_))
    }

    /// From here on what is heard is kept for people anew, and [`Said::words`] are said: what leads to them (TLS, a login)
    /// was heard and said before.
    pub fn begin(&mut self) {
        self.has_begun = true;
        self.heard.clear();
        self.heard.extend(self.buffer.iter().take(TEXT_BYTES_MAX));
        self.heard_bytes = self.buffer.len();
    }

    /// Says it.
    pub async fn say(&mut self, words: &[u8]) -> Result<(), Failure> {
        let said = match &mut self.socket {
            Socket::Plain(stream) => stream.write_all(words).await,
            Socket::Tls(stream) => match stream.write_all(words).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
            #[cfg(test)]
            Socket::Told(stream) => stream.write_all(words).await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        };
        said.map_err(|error| failure_of(&error))
    }

    /// Says it, and waits for the first byte of the answer; that wait is measured.
    pub async fn ask(&mut self, words: &[u8], watch: &mut Stopwatch<'_>) -> Result<(), Failure> {
        let before = Instants::read(watch.clock());
        watch.bound(|| Part::FirstByte, self.say(words)).await?;
        let sent = Sent::now(before, watch.clock());
        self.first_after(sent, watch).await
    }

    /// Waits for the first byte of a side that speaks first; that wait is measured.
    pub async fn first(&mut self, watch: &mut Stopwatch<'_>) -> Result<(), Failure> {
        let sent = Sent::nothing(watch.clock());
        self.first_after(sent, watch).await
    }

    async fn first_after(&mut self, sent: Sent, watch: &mut Stopwatch<'_>) -> Result<(), Failure> {
        let first = async { if self.buffer.is_empty() { self.hear().await } else { Ok(()) } };
        let result = watch.bound(|| Part::FirstByte, first).await;
        let first = sent.first_byte(self.stamp(), None, watch.clock());
        watch.measured(Part::FirstByte, first.took, first.error);
        result
    }

    /// When the kernel received what was read last.
    fn stamp(&self) -> Option<Timestamp> {
        match &self.socket {
            Socket::Plain(stream) => stream.stamp(),
            Socket::Tls(stream) => stream.get_ref().0.stamp(),
            #[cfg(test)]
            Socket::Told(_) => None,
            Socket::Gone => None,
        }
    }

    /// Waits until more has come; the end is a failure.
    async fn hear(&mut self) -> Result<(), Failure> {
        if self.hear_or_end().await? { Ok(()) } else { Err(self.closed()) }
    }

    /// Waits until more has come, or until the other side has closed: then `false`.
    async fn hear_or_end(&mut self) -> Result<bool, Failure> {
        self.buffer.reserve(READ_BYTES);
        let known = self.buffer.len();
        let count = match &mut self.socket {
            Socket::Plain(stream) => stream.read_buf(&mut self.buffer).await,
            Socket::Tls(stream) => stream.read_buf(&mut self.buffer).await,
            #[cfg(test)]
            Socket::Told(stream) => stream.read_buf(&mut self.buffer).await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        };
        let count = count.map_err(|error| failure_of(&error))?;
        if count > self.bytes_left {
            return Err(self.too_large());
        }
        self.bytes_left -= count;
        self.heard_bytes += count;
        let room = TEXT_BYTES_MAX.saturating_sub(self.heard.len());
        self.heard.extend(self.buffer.iter().skip(known).take(room));
        Ok(count > 0)
    }

    /// Exactly so many bytes. What is announced as larger than may come is not waited for.
    pub async fn exactly(&mut self, count: usize) -> Result<Bytes, Failure> {
        if count > self.buffer.len().saturating_add(self.bytes_left) {
            return Err(self.too_large());
        }
        while self.buffer.len() < count {
            self.hear().await?;
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// What comes up to and including `end`.
    pub async fn until(&mut self, end: &[u8]) -> Result<Bytes, Failure> {
        let mut looked_at = 0;
        loop {
            let rest = self.buffer.get(looked_at..).unwrap_or_default();
            if let Some(at) = rest.windows(end.len().max(1)).position(|window| window == end) {
                return Ok(self.buffer.split_to(looked_at + at + end.len()).freeze());
            }
            looked_at = self.buffer.len().saturating_sub(end.len().saturating_sub(1));
            self.hear().await?;
        }
    }

    /// The next line without its end.
    pub async fn line(&mut self) -> Result<Bytes, Failure> {
        let mut line = self.until(b"\n").await?;
        line.truncate(line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 });
        Ok(line)
    }

    /// Everything that comes until the other side closes.
    pub async fn rest(&mut self) -> Result<Bytes, Failure> {
        while self.hear_or_end().await? {}
        Ok(self.buffer.split().freeze())
    }

    /// What has come and was not taken.
    pub fn waiting(&self) -> &[u8] {
        &self.buffer
    }

    /// How many more bytes may come, with those that have come and were not taken.
    pub fn bytes_ahead(&self) -> usize {
        self.buffer.len().saturating_add(self.bytes_left)
    }

    fn closed(&self) -> Failure {
        let message = match self.heard.as_slice() {
            [] => "the connection was closed without an answer".to_owned(),
            heard => format!("the connection was closed before the answer was whole; it began {}", quoted(heard)),
        };
        Failure::new(FailureKind::ProtocolClosed, message)
    }

    /// The failure of an answer that is larger than this connection hears.
    pub fn too_large(&self) -> Failure {
        too_large(self.bytes_max)
    }

    /// What every observation over a connection has.
    pub fn observation(&self, now: Timestamp) -> Observation {
        let mut observation = Observation::default();
        self.peer.tell(&mut observation, now);
        observation
    }

    /// What every failure over a connection has.
    pub fn failed(&self, failure: Failure, watch: &Stopwatch<'_>) -> Failure {
        self.peer.failed(failure).after(watch.phases())
    }

    /// Puts down what was said and heard over it.
    pub fn record(&self, said: Said, watch: &Stopwatch<'_>, cx: &StepContext<'_>) {
        let (peer, heard, phases) = (self.peer.clone(), self.heard.clone(), watch.phases());
        let (has_begun, heard_bytes) = (self.has_begun, self.heard_bytes);
        cx.recorder.add(move || Exchange {
            remote: peer.address(),
            sent: if has_begun { beginning(said.words.as_bytes()) } else { String::new() },
            received: match said.answer {
                Some(answer) => beginning(answer.as_bytes()),
                None => beginning_of(&heard, heard_bytes),
            },
            certificates: peer.certificates(),
            command: said.command,
            phases,
        });
    }
}

/// What was said over a connection, in words for people; passwords are left out of it.
#[derive(Default)]
pub struct Said {
    /// What was said.
    pub words: String,
    /// What was answered, where the bytes that came are not what people read.
    pub answer: Option<String>,
    /// A command for a shell that says the same.
    pub command: Option<String>,
}

/// Bytes of a target within a message, as short as a line.
pub fn quoted(bytes: &[u8]) -> String {
    format!("`{}`", excerpt(&String::from_utf8_lossy(bytes)))
}

/// The failure of an answer that breaks its protocol.
pub fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::ProtocolInvalid, message)
}

/// The failure of an answer that is larger than so many bytes.
pub fn too_large(bytes_max: usize) -> Failure {
    Failure::new(FailureKind::BodyTooLarge, format!("the answer is larger than {} KiB", bytes_max / 1024))
}

/// Text as it is; bytes that are none as an object, so that no comparison with a text can come out true by accident.
pub fn text_or_hex(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => serde_json::json!({ "hex": hex(bytes) }),
    }
}

fn failure_of(error: &io::Error) -> Failure {
    if let Some(failure) = tls_failure::of_stream(error) {
        return failure;
    }
    let message = match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was reset before the answer was whole".to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the connection was closed before the answer was whole".to_owned(),
        _ => format!("the connection broke before the answer was whole: {error}"),
    };
    Failure::new(FailureKind::ProtocolClosed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_heard_is_taken_piece_by_piece() {
        let mut connection = Connection::saying(b"one\r\ntwo\n1234rest", 1024);
        assert_eq!(connection.line().await.unwrap(), "one");
        assert_eq!(connection.line().await.unwrap(), "two");
        assert_eq!(connection.exactly(2).await.unwrap(), "12");
        assert_eq!(connection.until(b"4r").await.unwrap(), "34r");
        assert_eq!(connection.rest().await.unwrap(), "est");
        let failure = connection.line().await.unwrap_err();
        assert!(failure.message.contains("it began `one\r\ntwo"), "{failure}");
    }

    #[tokio::test]
    async fn nothing_larger_than_the_limit_is_heard_or_waited_for() {
        let mut connection = Connection::saying(&[b'a'; 3 * 1024], 2 * 1024);
        assert_eq!(connection.exactly(1 << 30).await.unwrap_err().kind, FailureKind::BodyTooLarge);
        assert_eq!(connection.until(b"b").await.unwrap_err().message, "the answer is larger than 2 KiB");
    }

    #[test]
    fn bytes_that_are_no_text_are_an_object() {
        assert_eq!(text_or_hex("ü".as_bytes()), "ü");
        assert_eq!(text_or_hex(&[0, 0xff]), serde_json::json!({ "hex": "00ff" }));
    }
}

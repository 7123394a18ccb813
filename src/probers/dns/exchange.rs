//! One question to one server, and its answer: over UDP, and over TCP when the answer did not fit.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, Query};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::domain::outcome::{Failure, FailureKind};

/// A packet that may be lost is sent again after this long.
const RESEND: Duration = Duration::from_secs(2);
/// The size of an answer over UDP that no network cuts to pieces (DNS Flag Day 2020).
const PAYLOAD_MAX: u16 = 1_232;
/// The largest datagram that we could be sent.
const DATAGRAM_MAX: usize = 65_535;

/// What a question goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams first; TCP when the answer does not fit.
    #[default]
    Udp,
    /// TCP only.
    Tcp,
}

impl Transport {
    /// As it is written in settings and facts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A question, ready to be sent.
pub struct Question {
    message: Message,
    /// What it goes over first.
    pub transport: Transport,
}

impl Question {
    /// Asks for that; with `dnssec` also for the signatures.
    pub fn new(query: Query, dnssec: bool, transport: Transport) -> Self {
        let mut message = Message::query();
        message.metadata.id = rand::random();
        message.metadata.recursion_desired = true;
        // Says that we understand the flag in the answer (RFC 6840, section 5.7).
        message.metadata.authentic_data = true;
        message.add_query(query);
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD_MAX);
        edns.set_dnssec_ok(dnssec);
        message.set_edns(edns);
        Self { message, transport }
    }

    /// What is asked for.
    pub fn query(&self) -> Option<&Query> {
        self.message.queries.first()
    }

    /// Whether the signatures are asked for.
    pub fn dnssec(&self) -> bool {
        self.message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }
}

/// An answer.
pub struct Answer {
    /// What came.
    pub message: Message,
    /// What it came over.
    pub transport: Transport,
}

/// Asks until an answer has come; the caller has the deadline.
pub async fn ask(server: SocketAddr, question: &Question) -> Result<Answer, Failure> {
    let message = &question.message;
    let bytes = message.to_vec();
    let bytes = bytes.map_err(|error| Failure::new(FailureKind::Internal, format!("no question was made: {error}")))?;
    if question.transport == Transport::Udp {
        let answer = over_udp(server, message, &bytes).await?;
        if !answer.metadata.truncation {
            return Ok(Answer { message: answer, transport: Transport::Udp });
        }
    }
    let answer = over_tcp(server, message, &bytes).await?;
    Ok(Answer { message: answer, transport: Transport::Tcp })
}

async fn over_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Failure> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let failed = |error: io::Error| failure_of(&error, server);
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    // Connected, so that only this server's packets come in, and its refusal too.
    socket.connect(server).await.map_err(failed)?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        socket.send(bytes).await.map_err(failed)?;
        if let Ok(answer) = tokio::time::timeout(RESEND, first_fit(&socket, server, question, &mut buffer)).await {
            return answer;
        }
    }
}

/// The first datagram that answers; one with the id of another question is late or forged, and no answer.
async fn first_fit(
    socket: &UdpSocket,
    server: SocketAddr,
    question: &Message,
    buffer: &mut [u8],
) -> Result<Message, Failure> {
    loop {
        let length = socket.recv(buffer).await.map_err(|error| failure_of(&error, server))?;
        let datagram = buffer.get(..length).unwrap_or_default();
        let id = datagram.first_chunk::<2>().map(|id| u16::from_be_bytes(*id));
        if id.is_none_or(|id| id == question.metadata.id) {
            return understood(datagram, question, server);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Failure> {
    let failed = |error: io::Error| failure_of(&error, server);
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    let answer = understood(&answer, question, server)?;
    if answer.metadata.truncation {
        return Err(Failure::new(FailureKind::DnsInvalid, format!("{server} cut its answer short over TCP too")));
    }
    Ok(answer)
}

fn understood(bytes: &[u8], question: &Message, server: SocketAddr) -> Result<Message, Failure> {
    let invalid = |what: String| Failure::new(FailureKind::DnsInvalid, format!("{server} answered {what}"));
    let answer = Message::from_vec(bytes).map_err(|error| invalid(format!("what is not DNS: {error}")))?;
    if answer.metadata.message_type != MessageType::Response {
        return Err(invalid("with a question".to_owned()));
    }
    if answer.metadata.id != question.metadata.id {
        return Err(invalid("another question: the id differs".to_owned()));
    }
    // A server that understood nothing of the question may leave it out.
    let is_left_out = answer.queries.is_empty() && answer.answers.is_empty();
    if answer.queries != question.queries && !is_left_out {
        return Err(invalid("another question".to_owned()));
    }
    Ok(answer)
}

fn failure_of(error: &io::Error, server: SocketAddr) -> Failure {
    use io::ErrorKind as Is;
    let (kind, message) = match error.kind() {
        Is::ConnectionRefused => (FailureKind::ConnectRefused, format!("{server} refused the question")),
        Is::ConnectionReset | Is::ConnectionAborted | Is::BrokenPipe => {
            (FailureKind::ConnectReset, format!("{server} reset the connection"))
        }
        Is::UnexpectedEof => (FailureKind::ProtocolClosed, format!("{server} closed before its answer was whole")),
        Is::NetworkUnreachable | Is::NetworkDown | Is::PermissionDenied => {
            (FailureKind::LocalNetwork, format!("this machine has no way to {server}"))
        }
        Is::HostUnreachable => (FailureKind::ConnectUnreachable, format!("{server} cannot be reached")),
        Is::TimedOut => (FailureKind::TimeoutDns, format!("{server} did not answer")),
        _ => (FailureKind::LocalResources, format!("{server} could not be asked: {error}")),
    };
    Failure::new(kind, message)
}

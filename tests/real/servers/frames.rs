//! A peer that speaks HTTP/2 by hand, without TLS: it reads until a request has come, then sends what the test wants.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Frame types (RFC 9113, section 6).
pub const DATA: u8 = 0;
/// Headers.
pub const HEADERS: u8 = 1;
/// The end of a stream by one side.
pub const RST_STREAM: u8 = 3;
/// Settings.
pub const SETTINGS: u8 = 4;
/// A ping.
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// More headers.
pub const CONTINUATION: u8 = 9;
/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The last frame of a head.
pub const END_HEADERS: u8 = 4;
/// `:status: 200`, as HPACK's table has it.
pub const OK: u8 = 0x88;

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The peer; it is gone when this is dropped.
pub struct Frames {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Frames {
    /// Sends the first bytes at once, the second when a request has come (and a pause after), the third again and again, as
    /// long as somebody takes them.
    pub async fn start(settings: Vec<u8>, pause: Duration, answer: Vec<u8>, endless: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (settings, answer, endless) = (settings.clone(), answer.clone(), endless.clone());
                connections.spawn(async move {
                    let _ = stream.write_all(&settings).await;
                    request(&mut stream).await;
                    tokio::time::sleep(pause).await;
                    let _ = stream.write_all(&answer).await;
                    while !endless.is_empty() && stream.write_all(&endless).await.is_ok() {}
                    let mut rest = [0; 1024];
                    if answer.is_empty() {
                        while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                    }
                    let _ = stream.shutdown().await;
                    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                });
            }
        });
        Self { address, _tasks: tasks }
    }

    /// Answers a request with these bytes, and closes.
    pub async fn answering(answer: Vec<u8>) -> Self {
        Self::start(frame(SETTINGS, 0, 0, &[]), Duration::ZERO, answer, Vec::new()).await
    }

    /// The settings of a probe of it.
    pub fn probe(&self) -> String {
        format!("{{ url: \"http://{}/\", http_version: \"2\" }}", self.address)
    }
}

/// Reads the preface, and frames until one is a head.
async fn request(stream: &mut TcpStream) {
    let mut preface = [0; 24];
    let _ = stream.read_exact(&mut preface).await;
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        let _ = stream.read_exact(&mut payload).await;
        if head[3] == HEADERS {
            return;
        }
    }
}

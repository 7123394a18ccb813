//! A peer that breaks the rules on purpose: a script of moves for each connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::frames::HEADERS;

/// One thing that the peer does.
#[derive(Clone, Debug)]
pub enum Move {
    /// Reads until an empty line has come.
    ReadHead,
    /// Reads so many bytes, which stand among the heads.
    ReadBytes(usize),
    /// Reads the beginning of HTTP/2 and its frames, until one is the head of a call.
    ReadCall,
    /// Answers the handshake of a WebSocket with the library's code.
    #[cfg(feature = "websocket")]
    Upgrade,
    /// Waits.
    Pause(Duration),
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one at a time, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes again and again, as long as somebody takes them.
    Endless(Vec<u8>),
    /// Keeps the connection open and does nothing.
    Hang,
    /// Ends the connection with a reset.
    Reset,
}

/// The peer; it is gone when this is dropped.
pub struct Hostile {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Hostile {
    /// Plays the first script on the first connection, and so on; the last one on all that follow.
    pub async fn start(scripts: Vec<Vec<Move>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&heads);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let mut next = 0;
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let script = scripts[next.min(scripts.len() - 1)].clone();
                next += 1;
                connections.spawn(play(stream, script, Arc::clone(&seen)));
            }
        });
        Self { address, heads, _tasks: tasks }
    }

    /// Plays one script on every connection.
    pub async fn playing(script: Vec<Move>) -> Self {
        Self::start(vec![script]).await
    }

    /// Reads each request and answers it with these bytes.
    pub async fn answering(bytes: impl AsRef<[u8]>) -> Self {
        Self::playing(vec![Move::ReadHead, Move::Send(bytes.as_ref().to_vec())]).await
    }

    /// The heads of requests that were read.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn play(mut stream: TcpStream, script: Vec<Move>, heads: Arc<Mutex<Vec<String>>>) {
    for step in script {
        let went_well = match step {
            Move::ReadHead => {
                let head = read_head(&mut stream).await;
                let is_whole = head.ends_with("\r\n\r\n");
                heads.lock().unwrap().push(head);
                is_whole
            }
            Move::ReadBytes(count) => {
                let mut bytes = vec![0; count];
                let went_well = stream.read_exact(&mut bytes).await.is_ok();
                heads.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
                went_well
            }
            Move::ReadCall => read_call(&mut stream).await,
            #[cfg(feature = "websocket")]
            Move::Upgrade => tokio_tungstenite::accept_async(&mut stream).await.is_ok(),
            Move::Pause(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            Move::Send(bytes) => stream.write_all(&bytes).await.is_ok(),
            Move::Drip(bytes, pause) => drip(&mut stream, &bytes, pause).await,
            Move::Endless(bytes) => {
                while stream.write_all(&bytes).await.is_ok() {}
                false
            }
            Move::Hang => {
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                false
            }
            Move::Reset => {
                let _ = stream.set_zero_linger();
                false
            }
        };
        if !went_well {
            return;
        }
    }
    // A half that was not read would turn the end into a reset.
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|count| count > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn read_call(stream: &mut TcpStream) -> bool {
    let (mut preface, mut head) = ([0; 24], [0; 9]);
    let mut is_well = stream.read_exact(&mut preface).await.is_ok();
    while is_well && stream.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        is_well = stream.read_exact(&mut payload).await.is_ok();
        if head[3] == HEADERS {
            return is_well;
        }
    }
    false
}

async fn drip(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> bool {
    for byte in bytes {
        tokio::time::sleep(pause).await;
        if stream.write_all(&[*byte]).await.is_err() {
            return false;
        }
    }
    true
}

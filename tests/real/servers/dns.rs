//! NSD with a small zone, and servers that answer as a test wants.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// More than fits into one datagram, for the way over TCP.
const MANY: usize = 100;

/// A datagram without extensions has at most so many bytes (RFC 1035, section 2.3.4).
const DATAGRAM_MAX: usize = 512;

/// NSD, authoritative for `shop.test` or another zone.
pub struct Nsd {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Nsd {
    /// Starts it and waits until it answers.
    pub fn start() -> Self {
        let many: Vec<_> = (0..MANY).map(|n| format!("many TXT \"{n:02}\"\nmany A 192.0.2.{n}\n")).collect();
        let many = many.concat();
        Self::serving(
            "shop.test",
            &format!(
                "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n\
                 www 60 A 192.0.2.1\nwww 120 A 192.0.2.2\nwww AAAA 2001:db8::1\nfour A 192.0.2.4\nalias CNAME www\n\
                 @ MX 10 mail\n@ CAA 0 issue \"ca.example\"\ntext TXT \"one \" \"two\"\n\
                 _sip._tcp SRV 1 2 5060 www\nback PTR www\n{many}"
            ),
        )
    }

    /// Starts it for that zone, whose text has names below its origin. A port that was free may be taken before nsd has
    /// it: then once more.
    pub fn serving(origin: &str, zone: &str) -> Self {
        (0..5).find_map(|_| Self::try_start(origin, zone)).expect("nsd answers")
    }

    fn try_start(origin: &str, zone: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().display();
        // Given back at once: nsd cannot be asked for a port that is free.
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let port = free.port();
        let config = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{path}\"\n  \
             database: \"\"\n  pidfile: \"{path}/nsd.pid\"\n  xfrdfile: \"{path}/xfrd.state\"\n  \
             zonelistfile: \"{path}/zone.list\"\n  xfrdir: \"{path}\"\n  server-count: 1\n\
             remote-control:\n  control-enable: no\nzone:\n  name: {origin}\n  zonefile: served.zone\n"
        );
        let zone = format!("$ORIGIN {origin}.\n{zone}");
        fs::write(directory.path().join("nsd.conf"), config).expect("written");
        fs::write(directory.path().join("served.zone"), zone).expect("written");
        let program = ["/usr/sbin/nsd", "/sbin/nsd"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let process = Command::new(program.expect("nsd is not installed: apt-get install nsd"))
            .args(["-d", "-c"])
            .arg(directory.path().join("nsd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsd starts");
        let mut nsd = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process, _directory: directory };
        answers(nsd.address, &mut nsd.process).then_some(nsd)
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // Asked to end, it ends its children too; killed, it would leave them.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Whether a name server comes to answer; not when it has ended.
pub fn answers(address: SocketAddr, process: &mut Child) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(address).expect("connected");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    // The question for the SOA of shop.test, by hand; that the zone is another's is an answer too.
    let question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04shop\x04test\0\0\x06\0\x01";
    for _ in 0..500 {
        if !matches!(process.try_wait(), Ok(None)) {
            return false;
        }
        let answered = socket.send(question).and_then(|_| socket.recv(&mut [0; 512]));
        if answered.is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A server that is gone when this is dropped.
pub struct Answering {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Answering {
    /// Sends the datagrams that `udp` makes of each question.
    pub async fn over_udp(udp: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_datagrams(socket, udp));
        Self { address, _tasks: tasks }
    }

    /// The name server of this machine, where that is 127.0.0.1: what is longer than a datagram may be goes over TCP.
    pub async fn for_this_machine(answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 53));
        // One that was dropped just now may still have the port.
        let bound = async {
            loop {
                let sockets =
                    tokio::try_join!(tokio::net::UdpSocket::bind(address), tokio::net::TcpListener::bind(address));
                match sockets {
                    Ok(sockets) => break sockets,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let bound = tokio::time::timeout(Duration::from_secs(10), bound).await;
        let (socket, listener) = bound.expect("nobody else is the name server");
        let answer = Arc::new(Mutex::new(answer));
        let over_tcp = Arc::clone(&answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_datagrams(socket, move |question| {
            let whole = answer.lock().unwrap()(question);
            vec![if whole.len() > DATAGRAM_MAX { truncated(question) } else { whole }]
        }));
        tasks.spawn(answer_streams(listener, move |question| over_tcp.lock().unwrap()(question)));
        Self { address, _tasks: tasks }
    }

    /// Over UDP says that the answer does not fit; over TCP sends what `tcp` makes of the question, with its length before
    /// it, and closes when that is nothing.
    pub async fn over_tcp(tcp: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let (listener, socket, address) = loop {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
            let address = listener.local_addr().expect("an address");
            // Somebody else may have the port of that number.
            if let Ok(socket) = tokio::net::UdpSocket::bind(address).await {
                break (listener, socket, address);
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_datagrams(socket, |question| vec![truncated(question)]));
        tasks.spawn(answer_streams(listener, tcp));
        Self { address, _tasks: tasks }
    }
}

async fn answer_streams(listener: tokio::net::TcpListener, mut answer: impl FnMut(&[u8]) -> Vec<u8>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let length = stream.read_u16().await.expect("a length");
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.expect("a question");
        let answer = answer(&question);
        if !answer.is_empty() {
            stream.write_u16(u16::try_from(answer.len()).expect("short")).await.expect("written");
            stream.write_all(&answer).await.expect("written");
        }
    }
}

async fn answer_datagrams(socket: tokio::net::UdpSocket, mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 4_096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        for datagram in answer(&buffer[..length]) {
            let _ = socket.send_to(&datagram, from).await;
        }
    }
}

/// The question as an answer with these flags and this code, and what was asked for repeated (RFC 1035, section 4.1.1).
pub fn answered(question: &[u8], flags: u16) -> Vec<u8> {
    let mut answer = question.to_vec();
    let [high, low] = (flags | 0x8000).to_be_bytes();
    answer[2] |= high;
    answer[3] = low;
    answer
}

/// The question as an answer with these records, each given without its name, which is that of the question: type, time to
/// live and data (RFC 1035, section 3.2.1).
pub fn answered_with(question: &[u8], records: &[(u16, u32, Vec<u8>)]) -> Vec<u8> {
    let mut answer = answered(question, 0);
    // Without the extensions at the end of the question, since nothing may stand between it and the records.
    let name_length = answer[12..].iter().position(|byte| *byte == 0).expect("a name") + 1;
    answer.truncate(12 + name_length + 4);
    let count = u16::try_from(records.len()).expect("few");
    answer[6..8].copy_from_slice(&count.to_be_bytes());
    answer[10..12].fill(0);
    for (kind, ttl, data) in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// The type of the records that are asked for.
pub fn asked_for(question: &[u8]) -> u16 {
    let name_length = question[12..].iter().position(|byte| *byte == 0).expect("a name") + 1;
    u16::from_be_bytes([question[12 + name_length], question[13 + name_length]])
}

/// An answer in which the name is an alias of `c1.test`, that one of `c2.test` and so on, until the last has an address.
pub fn chain(question: &[u8], length: usize, address: [u8; 4]) -> Vec<u8> {
    let name = |n: usize| [&[if n < 10 { 2 } else { 3 }], format!("c{n}").as_bytes(), b"\x04test\0"].concat();
    let mut answer = answered_with(question, &[]);
    answer[6..8].copy_from_slice(&u16::try_from(length + 1).expect("few").to_be_bytes());
    for n in 0..=length {
        answer.extend(if n == 0 { vec![0xc0, 12] } else { name(n) });
        let (kind, data) = if n == length { (1, address.to_vec()) } else { (5, name(n + 1)) };
        answer.extend([0, kind, 0, 1, 0, 0, 0, 60]);
        answer.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// An answer that did not fit.
pub fn truncated(question: &[u8]) -> Vec<u8> {
    answered(question, 0x0200)
}

/// An answer that says SERVFAIL.
pub fn failed(question: &[u8]) -> Vec<u8> {
    answered(question, 0x0002)
}

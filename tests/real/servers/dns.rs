//! NSD with a small zone, and a server that answers as a test wants.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// More than fits into one datagram, for the way over TCP.
const TEXTS: usize = 40;

/// NSD, authoritative for `shop.test`.
pub struct Nsd {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Nsd {
    /// Starts it and waits until it answers. A port that was free may be taken before nsd has it: then once more.
    pub fn start() -> Self {
        (0..5).find_map(|_| Self::try_start()).expect("nsd answers")
    }

    fn try_start() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().display();
        // Given back at once: nsd cannot be asked for a port that is free.
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let port = free.port();
        let config = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{path}\"\n  \
             database: \"\"\n  pidfile: \"{path}/nsd.pid\"\n  xfrdfile: \"{path}/xfrd.state\"\n  \
             zonelistfile: \"{path}/zone.list\"\n  xfrdir: \"{path}\"\n  server-count: 1\n\
             remote-control:\n  control-enable: no\nzone:\n  name: shop.test\n  zonefile: shop.zone\n"
        );
        let texts: String = (0..TEXTS).map(|n| format!("many TXT \"{n:02} {}\"\n", "x".repeat(100))).collect();
        let zone = format!(
            "$ORIGIN shop.test.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n\
             www 60 A 192.0.2.1\nwww 120 A 192.0.2.2\nwww AAAA 2001:db8::1\nfour A 192.0.2.4\nalias CNAME www\n\
             @ MX 10 mail\n@ CAA 0 issue \"ca.example\"\ntext TXT \"one \" \"two\"\n_sip._tcp SRV 1 2 5060 www\n{texts}"
        );
        fs::write(directory.path().join("nsd.conf"), config).expect("written");
        fs::write(directory.path().join("shop.zone"), zone).expect("written");
        let program = ["/usr/sbin/nsd", "/sbin/nsd"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let process = Command::new(program.expect("nsd is not installed: apt-get install nsd"))
            .args(["-d", "-c"])
            .arg(directory.path().join("nsd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsd starts");
        let mut nsd = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process, _directory: directory };
        nsd.answers().then_some(nsd)
    }

    /// Whether it comes to answer; not when it has ended.
    fn answers(&mut self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        // The question for the SOA of shop.test, by hand.
        let question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04shop\x04test\0\0\x06\0\x01";
        for _ in 0..500 {
            if !matches!(self.process.try_wait(), Ok(None)) {
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
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // Asked to end, it ends its children too; killed, it would leave them.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Answers every question over UDP with what `answer` makes of it.
pub async fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, tokio::task::JoinSet<()>) {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 4_096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&answer(&buffer[..length]), from).await;
        }
    });
    (address, tasks)
}

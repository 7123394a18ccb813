//! Unbound, a resolver that checks DNSSEC, and zones that are signed for it.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::dns::{Nsd, answers};
use super::python;

/// Signs a zone with a new key: prints the key as a trust anchor, then the zone.
const SIGN: &str = r#"
import sys
import dns.dnssec, dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

origin, text, begins, ends = sys.argv[1:]
zone = dns.zone.from_text(text, origin=origin, relativize=False)
key = ec.generate_private_key(ec.SECP256R1())
public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
with zone.writer() as writer:
    dns.dnssec.sign_zone(zone, writer, keys=[(key, public)], add_dnskey=True, dnskey_ttl=300,
                         inception=int(begins), expiration=int(ends))
print(f"{origin} DNSKEY {public}")
print(zone.to_text(), end="")
"#;

/// A signed zone on an authoritative server.
pub struct Signed {
    /// The server.
    pub nsd: Nsd,
    origin: String,
    anchor: String,
}

impl Signed {
    /// Signs the zone for that time, in seconds since 1970, and serves it.
    pub fn start(origin: &str, zone: &str, begins: i64, ends: i64) -> Self {
        let printed = python::run(SIGN, &[&format!("{origin}."), zone, &begins.to_string(), &ends.to_string()]);
        let (anchor, zone) = printed.split_once('\n').expect("a key and a zone");
        Self { nsd: Nsd::serving(origin, zone), origin: origin.to_owned(), anchor: anchor.to_owned() }
    }
}

/// The resolver; it is gone when this is dropped.
pub struct Unbound {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Unbound {
    /// Starts it, knowing and trusting these zones and no others. A port that was free may be taken before it has it: then
    /// once more.
    pub fn start(zones: &[&Signed]) -> Self {
        (0..5).find_map(|_| Self::try_start(zones)).expect("unbound answers")
    }

    fn try_start(zones: &[&Signed]) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        // `test.` is one of the names that it answers for by itself.
        let mut config = format!(
            "server:\n  interface: 127.0.0.1@{}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{}\"\n  \
             pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  num-threads: 1\n  \
             module-config: \"validator iterator\"\n  local-zone: \"test.\" nodefault\n",
            free.port(),
            directory.path().display()
        );
        for zone in zones {
            let _ = writeln!(config, "  trust-anchor: \"{}\"", zone.anchor);
        }
        config.push_str("remote-control:\n  control-enable: no\n");
        for zone in zones {
            let address = zone.nsd.address;
            let (ip, port) = (address.ip(), address.port());
            let _ = writeln!(config, "stub-zone:\n  name: {}\n  stub-addr: {ip}@{port}", zone.origin);
        }
        let path = directory.path().join("unbound.conf");
        fs::write(&path, config).expect("written");
        let program = ["/usr/sbin/unbound", "/sbin/unbound"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let process = Command::new(program.expect("unbound is not installed: apt-get install unbound"))
            .args(["-d", "-p", "-c"])
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("unbound starts");
        let mut unbound = Self { address: free, process, _directory: directory };
        answers(unbound.address, &mut unbound.process).then_some(unbound)
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

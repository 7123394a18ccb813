//! `openssl s_server`, for what no other server here speaks any more.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Identity;

/// The server; it ends when this is dropped.
pub struct OpenSsl {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl OpenSsl {
    /// Starts it with these further arguments, and waits until it accepts connections.
    pub fn start(identity: &Identity, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let (certificate, key) = (directory.path().join("crt.pem"), directory.path().join("key.pem"));
        std::fs::write(&certificate, &identity.certificate).unwrap();
        std::fs::write(&key, &identity.key).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &address.to_string(), "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs openssl: apt-get install openssl");
        let mut server = Self { address, child, _directory: directory };
        for attempt in 0.. {
            if TcpStream::connect(address).is_ok() {
                break;
            }
            assert_eq!(server.child.try_wait().unwrap(), None, "openssl ended at once");
            assert!(attempt < 500, "openssl does not listen at {address}");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

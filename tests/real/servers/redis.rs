//! Debian's redis-server as a child process.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Identity;
use super::nginx::free_port;

/// redis-server with what one test needs.
pub struct Redis {
    child: Child,
    _directory: TempDir,
    /// The port for those who speak plainly.
    pub port: u16,
    /// The port for those who speak TLS, where there is an identity.
    pub tls_port: u16,
}

impl Redis {
    /// Starts it with these lines of configuration, and waits until it accepts connections.
    pub fn start(identity: Option<&Identity>, lines: &[&str]) -> Self {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path();
        let (port, tls_port) = (free_port(), free_port());
        let mut configuration = format!("bind 127.0.0.1\nport {port}\nsave \"\"\ndir {}\n", root.display());
        if let Some(identity) = identity {
            std::fs::write(root.join("server.crt"), &identity.certificate).expect("a file");
            std::fs::write(root.join("server.key"), &identity.key).expect("a file");
            writeln!(
                configuration,
                "tls-port {tls_port}\ntls-cert-file server.crt\ntls-key-file server.key\n\
                 tls-ca-cert-file server.crt\ntls-auth-clients no"
            )
            .expect("text");
        }
        configuration.push_str(&lines.join("\n"));
        let file = root.join("redis.conf");
        std::fs::write(&file, configuration).expect("a file");
        let child = Command::new("redis-server")
            .arg(&file)
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test needs Redis: apt-get install redis-server");
        let mut redis = Self { child, _directory: directory, port, tls_port };
        redis.wait(identity.map_or(port, |_| tls_port));
        redis
    }

    fn wait(&mut self, port: u16) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return;
            }
            assert_eq!(self.child.try_wait().expect("a child"), None, "redis-server ended at once");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not listen on port {port}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A mail server that goes over to TLS: aiosmtpd, as others run it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::certificates::Identity;
use super::nginx::free_port;
use super::python::interpreter;

const SCRIPT: &str = "
import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = Controller(Sink(), hostname='127.0.0.1', port=int(sys.argv[1]), tls_context=context)
server.start()
print('ready', flush=True)
while True: time.sleep(60)
";

/// The server; it ends when this is dropped.
pub struct Smtp {
    child: Child,
    _directory: TempDir,
    /// Where it listens.
    pub port: u16,
}

impl Smtp {
    /// Starts it and waits until it listens.
    pub fn start(identity: &Identity) -> Self {
        let directory = TempDir::new().expect("a directory");
        let (certificate, key) = (directory.path().join("server.crt"), directory.path().join("server.key"));
        std::fs::write(&certificate, &identity.certificate).expect("a file");
        std::fs::write(&key, &identity.key).expect("a file");
        let port = free_port();
        let mut child = Command::new(interpreter())
            .args(["-c", SCRIPT, &port.to_string()])
            .args([certificate, key])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "aiosmtpd did not start; its words stand above");
        Self { child, _directory: directory, port }
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

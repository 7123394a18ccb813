//! Mail servers over TLS: aiosmtpd, as others run it.

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

const MAIL_SCRIPT: &str = "
import json, ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
port, form, certificate, key, record, user, password = sys.argv[1:]

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('nobody@'): return '550 5.1.1 there is no such person'
        if address.startswith('later@'): return '451 4.3.0 later'
        envelope.rcpt_tos.append(address)
        return '250 OK'
    async def handle_DATA(self, server, session, envelope):
        if any(to.startswith('strict@') for to in envelope.rcpt_tos): return '554 5.6.0 no such mail'
        with open(record, 'a') as file:
            told = dict(user=session.auth_data, by=envelope.mail_from, to=envelope.rcpt_tos, tls=bool(session.ssl) or form == 'tls')
            told['mail'] = envelope.content.decode()
            print(json.dumps(told), file=file, flush=True)
        return '250 2.0.0 queued as 42'

def login(server, session, envelope, mechanism, data):
    fits = data.login.decode() == user and data.password.decode() == password
    return AuthResult(success=fits, handled=False, auth_data=data.login.decode())

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
secured = dict(tls_context=context, require_starttls=True) if form == 'starttls' else dict(ssl_context=context, auth_require_tls=False)
server = Controller(Handler(), hostname='127.0.0.1', port=int(port), authenticator=login, auth_required=True, **secured)
server.start()
print('ready', flush=True)
while True: time.sleep(60)
";

/// A mail server that takes mail from whoever logs in, over TLS, and keeps it: aiosmtpd. It refuses `nobody@…` with 550,
/// `later@…` with 451, and mail to `strict@…` with 554.
pub struct Mail {
    child: Child,
    directory: TempDir,
    /// Where it listens.
    pub port: u16,
}

impl Mail {
    /// Starts one that begins in the clear (`starttls`) or with TLS (`tls`), and waits until it listens.
    pub fn start(form: &str, identity: &Identity, user: &str, password: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("server.crt"), &identity.certificate).expect("a file");
        std::fs::write(file("server.key"), &identity.key).expect("a file");
        let port = free_port();
        let mut child = Command::new(interpreter())
            .args(["-c", MAIL_SCRIPT, &port.to_string(), form])
            .args([file("server.crt"), file("server.key"), file("record")])
            .args([user, password])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "aiosmtpd did not start; its words stand above");
        Self { child, directory, port }
    }

    /// The mails that it took, with who sent them and to whom.
    pub fn taken(&self) -> Vec<serde_json::Value> {
        let record = std::fs::read_to_string(self.directory.path().join("record")).unwrap_or_default();
        record.lines().map(|line| serde_json::from_str(line).expect("a line of the record")).collect()
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

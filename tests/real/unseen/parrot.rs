//! Says again whatever it is told, in every form and in whatever protocol it is spoken to; and remembers it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::canaries::{Canary, said_again, understood};
use super::tongues;
use crate::servers::certificates::{Authority, Identity};

/// What it was told, and what it makes of it.
#[derive(Clone)]
pub struct Memory {
    canaries: Arc<Vec<Canary>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Memory {
    /// Remembers it, and gives it in every form.
    pub fn take(&self, told: &[u8]) -> Echo {
        let mut heard = self.heard.lock().expect("no panic");
        heard.extend_from_slice(told);
        heard.push(b'\n');
        let understood = understood(told);
        let canaries = self.canaries.iter().filter(|canary| canary.is_in(&understood));
        let forms = canaries.flat_map(|canary| said_again(&canary.value)).collect();
        Echo { told: String::from_utf8_lossy(told).into_owned(), forms }
    }

    /// What a target gives of its own.
    pub fn value(&self, name: &str) -> &str {
        &self.canaries.iter().find(|canary| canary.name == name).expect("a canary").value
    }
}

/// What somebody said, again.
pub struct Echo {
    /// As it came.
    pub told: String,
    /// Each secret in it, in each form.
    pub forms: Vec<String>,
}

impl Echo {
    /// All of it.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.forms.join("\n"), self.told)
    }

    /// As many forms in one line as fit into so many bytes. Nobody can know half a secret without a mark of the cut.
    pub fn line(&self, most: usize) -> String {
        let forms = self.forms.iter().map(|form| form.replace(['\r', '\n'], " "));
        forms.fold(
            String::new(),
            |line, form| {
                if line.len() + form.len() < most { format!("{line}{form} ") } else { line }
            },
        )
    }
}

/// All the places where it listens; they are gone when this is dropped.
pub struct Parrot {
    /// HTTP/1.1, Redis, PostgreSQL and plain lines, whichever comes.
    pub plain: SocketAddr,
    /// HTTP/2 from the first byte, with gRPC on it.
    pub calls: SocketAddr,
    /// WebSockets.
    pub news: SocketAddr,
    /// SMTP under TLS, for `localhost`.
    pub mail: SocketAddr,
    /// DNS.
    pub names: SocketAddr,
    /// TLS with a certificate that holds secrets.
    pub shown: SocketAddr,
    /// TLS for those who show a certificate.
    pub guarded: SocketAddr,
    /// Who has signed its certificates.
    pub authority: Authority,
    /// The certificate of a client, whose key is a secret.
    pub client: Identity,
    memory: Memory,
    _runtime: Runtime,
}

impl Parrot {
    /// One that knows what is secret.
    pub fn start(canaries: Vec<Canary>, authority: Authority, client: Identity) -> Self {
        let memory = Memory { canaries: Arc::new(canaries), heard: Arc::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads");
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let serve = |tongue: Tongue| {
            let listener = runtime.block_on(TcpListener::bind(at)).expect("a port");
            let address = listener.local_addr().expect("an address");
            runtime.spawn(listen(listener, tongue, memory.clone()));
            address
        };
        let speaking = authority.issue(&["localhost", "127.0.0.1"], |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, memory.value("BEARER"));
        });
        let saying = authority.issue(&[memory.value("LABEL")], |_| {});
        let (plain, calls, news) = (serve(Tongue::Plain), serve(Tongue::Calls), serve(Tongue::News));
        let mail = serve(Tongue::Mail(acceptor(&speaking, None)));
        let shown = serve(Tongue::Shown(acceptor(&saying, None)));
        let guarded = serve(Tongue::Guarded(acceptor(&speaking, Some(&authority))));
        let socket = runtime.block_on(UdpSocket::bind(at)).expect("a port");
        let names = socket.local_addr().expect("an address");
        runtime.spawn(tongues::names(socket, memory.clone()));
        Self { plain, calls, news, mail, names, shown, guarded, authority, client, memory, _runtime: runtime }
    }

    /// All that it was told.
    pub fn heard(&self) -> Vec<u8> {
        self.memory.heard.lock().expect("no panic").clone()
    }
}

#[derive(Clone)]
enum Tongue {
    Plain,
    Calls,
    News,
    Mail(TlsAcceptor),
    Shown(TlsAcceptor),
    Guarded(TlsAcceptor),
}

async fn listen(listener: TcpListener, tongue: Tongue, memory: Memory) {
    let mut talks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while talks.try_join_next().is_some() {}
        let (tongue, memory) = (tongue.clone(), memory.clone());
        // Whoever goes away in the middle has heard enough.
        talks.spawn(async move {
            match tongue {
                Tongue::Plain => tongues::plain(stream, &memory).await,
                Tongue::Calls => tongues::calls(stream, &memory).await,
                Tongue::News => tongues::news(stream, &memory).await,
                Tongue::Mail(acceptor) => tongues::mail(acceptor.accept(stream).await.ok()?, &memory).await,
                Tongue::Shown(acceptor) | Tongue::Guarded(acceptor) => {
                    let stream = acceptor.accept(stream).await.ok()?;
                    if stream.get_ref().1.peer_certificates().is_some() {
                        memory.take(b"a client has proved that it has its key");
                    }
                    tongues::plain(stream, &memory).await
                }
            }
        });
    }
}

fn acceptor(identity: &Identity, clients_of: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients_of {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM")).expect("a root");
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(clients.build().expect("a verifier"))
        }
    };
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain.expect("PEM"), key).expect("a certificate")))
}

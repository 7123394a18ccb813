//! A TLS server that makes the handshake with whatever chain a test wants, and then says what it wants, or nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Identity};

/// The server; it is gone when this is dropped.
pub struct Secured {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Secured {
    /// Shows a certificate, with those that stand behind it in its text.
    pub async fn showing(identity: &Identity) -> Self {
        Self::answering(identity, 0, b"").await
    }

    /// The same, and answers whatever is said under TLS with these bytes. Where `asked` is more than none, it first agrees
    /// to TLS by `S` after so many bytes in the clear, as PostgreSQL does.
    pub async fn answering(identity: &Identity, asked: usize, answer: &[u8]) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let (chain, key) = pair(identity);
        Self::start(builder.with_single_cert(chain, key).unwrap(), asked, answer).await
    }

    /// Speaks TLS 1.3 and demands a certificate of its clients. It says so after the handshake, when a client without one
    /// believes to be connected; nginx would answer with a page instead.
    pub async fn for_clients_only(authority: &Authority) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (chain, key) = pair(&authority.issue(&["127.0.0.1"], |_| {}));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        Self::start(config, 0, b"").await
    }

    async fn start(config: ServerConfig, asked: usize, answer: &[u8]) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Arc<[u8]> = answer.into();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                connections.spawn(async move {
                    if asked > 0 {
                        stream.read_exact(&mut vec![0; asked]).await.unwrap();
                        stream.write_all(b"S").await.unwrap();
                    }
                    let mut said = [0; 1024];
                    if let Ok(mut secured) = acceptor.accept(&mut stream).await {
                        while secured.read(&mut said).await.is_ok_and(|count| count > 0) {
                            let _ = secured.write_all(&answer).await;
                            let _ = secured.flush().await;
                        }
                    }
                    // An alert has gone out when the handshake has failed; what the client still sends is read, so that its
                    // end is no reset that would overtake the alert.
                    while stream.read(&mut said).await.is_ok_and(|count| count > 0) {}
                });
            }
        });
        Self { address, _tasks: tasks }
    }
}

fn pair(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap())
}

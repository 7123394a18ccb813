//! A TLS server that does no more than the handshake, and shows whatever chain a test wants.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt as _;
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
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let (chain, key) = pair(identity);
        Self::start(builder.with_single_cert(chain, key).unwrap()).await
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
        Self::start(config).await
    }

    async fn start(config: ServerConfig) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    // An alert has gone out when this has failed; what the client still sends is read, so that its end is
                    // no reset that would overtake the alert.
                    let _ = acceptor.accept(&mut stream).await;
                    let mut rest = [0; 1024];
                    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
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

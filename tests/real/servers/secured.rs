//! A server whose TLS is good and whose answer is not: it makes the handshake, and then says what the test wants.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificates::Identity;

/// The server; it is gone when this is dropped.
pub struct Secured {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Secured {
    /// Answers whatever is said under TLS with these bytes. Where `asked` is more than none, it
    /// first agrees to TLS by `S` after so many bytes in the clear, as PostgreSQL does.
    pub async fn answering(identity: &Identity, asked: usize, answer: &[u8]) -> Self {
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = answer.to_vec();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if asked > 0 {
                    stream.read_exact(&mut vec![0; asked]).await.unwrap();
                    stream.write_all(b"S").await.unwrap();
                }
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut said = [0; 1024];
                while stream.read(&mut said).await.is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.flush().await;
                }
            }
        });
        Self { address, _tasks: tasks }
    }
}

//! The client for everything over HTTP that is not a probe: webhooks, and questions to our own daemon.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;

use super::tls;

/// How long a TCP or TLS handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long a call may take as a whole. The deliverer gives an attempt 15 s, so the client's own reason is heard first.
const CALL_MAX: Duration = Duration::from_secs(10);

/// How many connections to one host are kept when nothing is sent.
const IDLE_MAX: usize = 4;

/// How long an idle connection is kept: shorter than servers commonly keep theirs, or a message would meet a closed one.
const IDLE_LENGTH: Duration = Duration::from_secs(30);

/// The client cannot be made, so nothing can be told to anybody.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No TLS of ours.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// No client of reqwest's.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client to be shared: making one reads the machine's certificates, and a machine without any (a bare container) has the
/// built-in ones. It follows no redirect, since a message that was sent elsewhere was not sent, and heeds no proxy of the
/// environment, since what was tested must be what runs at night.
pub fn shared() -> Result<reqwest::Client, ClientError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(tls::machine_roots())
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("roundsman/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .timeout(CALL_MAX)
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_LENGTH);
    Ok(client.build()?)
}

/// The innermost reason of an error, which is the one that people understand: "Connection refused".
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn it_says_who_it_is_and_follows_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4_096];
            let length = stream.read(&mut head).await.unwrap();
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head[..length].to_vec()).unwrap()
        };
        let (answer, head) = tokio::join!(shared().unwrap().get(&url).send(), serve);
        assert_eq!(answer.unwrap().status(), 302);
        let expected = concat!("user-agent: roundsman/", env!("CARGO_PKG_VERSION"));
        assert!(head.to_lowercase().contains(expected), "{head}");
    }

    #[tokio::test]
    async fn it_trusts_nobody_in_particular() {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            acceptor.accept(stream).await.err().map(|error| error.to_string())
        };
        let (answer, refused) = tokio::join!(shared().unwrap().get(&url).send(), serve);
        assert!(answer.unwrap_err().is_connect());
        assert!(refused.unwrap().contains("UnknownCA"));
    }
}

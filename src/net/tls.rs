//! TLS for probes.
//!
//! The handshake accepts any chain, and proves only that the server holds the key of the certificate it shows. Then, in
//! [`handshake_on`] and nowhere else, the chain is verified, before the caller gets a stream to write to. So what is wrong
//! with a certificate can be named with its facts, and no byte of a request goes to a server that is not trusted.

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::Chain;
use super::stopwatch::{Part, Stopwatch};
use super::stream::Stream;
use super::tls_failure;
use crate::domain::outcome::{Failure, FailureKind};
use crate::domain::time::Timestamp;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// One for all probes: it holds no trust of its own.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptForNow(Arc::clone(&PROVIDER))))
        .with_no_client_auth();
    // A probe that resumes a session does not see the certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
});

/// The roots of the machine, read at the first handshake: building a probe does no I/O.
static MACHINE: LazyLock<Result<Arc<WebPkiServerVerifier>, String>> = LazyLock::new(|| verifier(machine_roots()));

/// The roots of the machine, or the built-in ones when it has none. Reads files.
pub fn machine_roots() -> RootCertStore {
    roots(rustls_native_certs::load_native_certs().certs)
}

/// The machine's certificates, or the built-in ones when it has none.
fn roots(native: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(native);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER))
        .build()
        .map_err(|error| error.to_string())
}

/// Whom a probe trusts: the machine's roots, and its own in addition.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    own: Option<Own>,
}

#[derive(Clone, Debug)]
struct Own {
    pem: Arc<str>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.pem() == other.pem()
    }
}

impl Trust {
    /// Trusts the certificates of a PEM text too. The error says what is wrong with the text. An empty text adds nothing,
    /// so that a configuration may leave it to the environment whether there is more to trust.
    pub fn with_pem(pem: &str) -> Result<Self, String> {
        if pem.trim().is_empty() {
            return Ok(Self::default());
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("the PEM text cannot be read: {error}"))?;
            roots.add(certificate).map_err(|error| format!("a certificate of the PEM text cannot be used: {error}"))?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        Ok(Self { own: Some(Own { pem: pem.into(), verifier: verifier(roots)? }) })
    }

    fn pem(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.pem.as_ref())
    }

    fn verify(&self, sent: &[CertificateDer<'_>], name: &ServerName<'_>, now: Timestamp) -> Result<(), rustls::Error> {
        use rustls::CertificateError::UnknownIssuer;
        let Some((leaf, others)) = sent.split_first() else { return Err(rustls::Error::NoCertificatesPresented) };
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        if let Some(own) = &self.own {
            match own.verifier.verify_server_cert(leaf, others, name, &[], now) {
                Err(rustls::Error::InvalidCertificate(UnknownIssuer)) => {}
                result => return result.map(drop),
            }
        }
        let machine = MACHINE.as_ref().map_err(|error| rustls::Error::General(error.clone()))?;
        machine.verify_server_cert(leaf, others, name, &[], now).map(drop)
    }
}

/// A connection to a server whose certificate was found good.
pub struct Secured {
    /// The connection.
    pub stream: TlsStream<Stream>,
    /// What the server showed.
    pub chain: Chain,
    /// `1.2` or `1.3`.
    pub version: &'static str,
}

/// On what terms TLS is spoken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Whom to trust.
    pub trust: Trust,
    /// The protocols that are offered (ALPN, RFC 7301), the preferred one first; none for no such offer.
    pub protocols: &'static [&'static [u8]],
}

/// Makes a TLS connection to `host` and verifies its chain.
pub async fn handshake(tcp: Stream, host: &str, trust: &Trust, watch: &mut Stopwatch<'_>) -> Result<Secured, Failure> {
    handshake_on(&Terms { trust: trust.clone(), protocols: &[] }, tcp, host, watch).await
}

/// The same on given terms. This is the only place where a chain is verified.
pub async fn handshake_on(
    terms: &Terms,
    tcp: Stream,
    host: &str,
    watch: &mut Stopwatch<'_>,
) -> Result<Secured, Failure> {
    // A name that ends with a dot is the same name, and no certificate is written so.
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(FailureKind::TlsWrongName, format!("no certificate can be for `{host}`")))?;
    let config = CONFIG.as_ref().map_err(|error| Failure::new(FailureKind::Internal, error.clone()))?;
    let mut config = Arc::clone(config);
    if !terms.protocols.is_empty() {
        Arc::make_mut(&mut config).alpn_protocols = terms.protocols.iter().map(|protocol| protocol.to_vec()).collect();
    }
    let connector = TlsConnector::from(config);
    let shake = async {
        connector.connect(name.clone(), tcp).await.map_err(|error: io::Error| tls_failure::of_handshake(&error))
    };
    let stream = watch.time(Part::Tls, shake).await?;
    let connection = stream.get_ref().1;
    let sent = connection.peer_certificates().unwrap_or_default();
    let chain = Chain::read(sent)?;
    let now = watch.clock().now();
    terms.trust.verify(sent, &name, now).map_err(|error| tls_failure::of_chain(&error, &chain, host, now))?;
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    Ok(Secured { stream, chain, version })
}

/// Verifies that the server holds the key, and leaves chain, name and time to [`handshake_on`].
#[derive(Debug)]
struct AcceptForNow(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptForNow {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_bundle_the_built_in_roots_serve() {
        assert_eq!(roots(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(roots(vec![own.der().clone()]).len(), 1);
    }

    #[test]
    fn a_text_without_certificates_is_refused() {
        assert!(Trust::with_pem(" \n").unwrap().pem().is_none());
        assert_eq!(Trust::with_pem("hello").unwrap_err(), "there is no certificate in it");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Trust::with_pem(broken).unwrap_err().starts_with("a certificate of the PEM text cannot be used"));
    }
}

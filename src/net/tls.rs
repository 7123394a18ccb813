//! TLS for probes.
//!
//! The handshake accepts any chain, and proves only that the server holds the key of the certificate it shows. Then, in
//! [`handshake`] and nowhere else, the chain is verified, before the caller gets a stream to write to. So what is wrong
//! with a certificate can be named with its facts, and no byte of a request goes to a server that is not trusted. Who shows
//! a certificate of its own ([`Identity`]) would have shown it by then, so its handshake verifies the chain when it comes,
//! by the same rule.

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::Chain;
use super::proven::{self, Proven};
use super::stopwatch::{Part, Stopwatch};
use super::stream::Stream;
use super::tls_failure;
use crate::domain::outcome::{Failure, FailureKind, Observation};
use crate::domain::time::Timestamp;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// For all probes.
static PROVEN: Proven = Proven::new();

/// One for all probes: it holds no trust of its own.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::lenient())).with_no_client_auth();
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

    /// Whether there is more to trust than the machine's roots.
    pub fn has_own(&self) -> bool {
        self.own.is_some()
    }

    fn verify(&self, sent: &[CertificateDer<'_>], name: &ServerName<'_>, now: Timestamp) -> Result<(), rustls::Error> {
        let shown = proven::Shown::new(sent, &name.to_str(), self.pem().unwrap_or_default());
        if PROVEN.holds(shown, now) {
            return Ok(());
        }
        self.prove(sent, name, now)?;
        PROVEN.remember(shown, sent);
        Ok(())
    }

    fn prove(&self, sent: &[CertificateDer<'_>], name: &ServerName<'_>, now: Timestamp) -> Result<(), rustls::Error> {
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

/// Who we are to servers that ask for a certificate.
#[derive(Clone)]
pub struct Identity {
    pem: Arc<str>,
    certified: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(•••)")
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem && self.certified.cert == other.certified.cert
    }
}

/// Why two PEM texts make no identity. The text holds nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate is at fault.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The key is at fault.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Each is well, and they are not of a pair.
    #[error("the key does not belong to the certificate")]
    Mismatch,
}

impl Identity {
    /// Reads a certificate, with those that lead to its issuer behind it, and its key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        use IdentityError::{Certificate, Key, Mismatch};
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let chain = chain.map_err(|error| Certificate(format!("the PEM text cannot be read: {error}")))?;
        if chain.is_empty() {
            return Err(Certificate("there is no certificate in the text".to_owned()));
        }
        let no_key = |_| Key("there is no private key in the text".to_owned());
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(no_key)?;
        let certified = CertifiedKey::from_der(chain, private, &PROVIDER).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Mismatch,
            rustls::Error::InvalidCertificate(_) => Certificate("it is no certificate".to_owned()),
            _ => Key("it is of a sort that is not supported".to_owned()),
        })?;
        Ok(Self { pem: key.into(), certified: Arc::new(certified) })
    }
}

/// On what terms a TLS connection is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Whom to trust.
    pub trust: Trust,
    /// The protocols that are offered (ALPN, RFC 7301), the preferred one first; none for no such offer.
    pub protocols: &'static [&'static [u8]],
    /// Who we are, where the server asks.
    pub identity: Option<Identity>,
}

/// What a server has shown in a handshake.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The certificates.
    pub chain: Arc<Chain>,
    /// `1.2` or `1.3`, where the certificates were found good; none where they were refused.
    pub version: Option<&'static str>,
}

impl Shown {
    /// Adds it to what a step saw: `tls_version`, `cert`, and when the first certificate of the chain ends.
    pub fn tell(&self, observation: &mut Observation, now: Timestamp) {
        if let Some(version) = self.version {
            observation.facts.insert("tls_version", version);
        }
        let chain = Arc::clone(&self.chain);
        observation.facts.insert_late("cert", move || chain.facts(now));
        observation.certificate_expires = Some(self.chain.expires());
    }
}

/// Makes a TLS connection to `host` and verifies its chain. This is the only place where that is done. What the server
/// showed is in `shown`, also when it was refused.
pub async fn handshake(
    terms: &Terms,
    tcp: Stream,
    host: &str,
    watch: &mut Stopwatch<'_>,
    shown: &mut Option<Shown>,
) -> Result<TlsStream<Stream>, Failure> {
    // A name that ends with a dot is the same name, and no certificate is written so.
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(FailureKind::TlsWrongName, format!("no certificate can be for `{host}`")))?;
    let now = watch.clock().now();
    let strict = terms.identity.is_some().then(|| Arc::new(Verifier::strict(terms.trust.clone(), now)));
    let config = config(terms, strict.clone())?;
    let shake = async { TlsConnector::from(config).connect(name.clone(), tcp).await.map_err(Broken) };
    let mut refuse = |sent: &[CertificateDer<'_>], error: &rustls::Error| match Chain::read(sent) {
        Ok(chain) => {
            let failure = tls_failure::of_chain(error, &chain, host, now);
            *shown = Some(Shown { chain: Arc::new(chain), version: None });
            failure
        }
        Err(unreadable) => unreadable,
    };
    // It has room of its own: a run over plain TCP is not to be as large as one with a handshake.
    let shake = Box::pin(async {
        shake.await.map_err(|Broken(error)| match strict.as_ref().and_then(|strict| strict.refused()) {
            Some((sent, why)) => refuse(&sent, &why),
            None => tls_failure::of_handshake(&error),
        })
    });
    let stream = watch.time(Part::Tls, shake).await?;
    let connection = stream.get_ref().1;
    let sent = connection.peer_certificates().unwrap_or_default();
    terms.trust.verify(sent, &name, now).map_err(|error| refuse(sent, &error))?;
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    *shown = Some(Shown { chain: Arc::new(Chain::read(sent)?), version: Some(version) });
    Ok(stream)
}

/// What a handshake ended with, before it has words.
struct Broken(io::Error);

/// The one for all, or a copy of it with what is special.
fn config(terms: &Terms, strict: Option<Arc<Verifier>>) -> Result<Arc<ClientConfig>, Failure> {
    let common = CONFIG.as_ref().map_err(|error| Failure::new(FailureKind::Internal, error.clone()))?;
    if terms.protocols.is_empty() && strict.is_none() {
        return Ok(Arc::clone(common));
    }
    let mut config = ClientConfig::clone(common);
    config.alpn_protocols = terms.protocols.iter().map(|protocol| protocol.to_vec()).collect();
    if let Some(strict) = strict {
        config.dangerous().set_certificate_verifier(strict);
    }
    if let Some(identity) = &terms.identity {
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.certified)));
    }
    Ok(Arc::new(config))
}

/// A chain, and what is wrong with it.
type Refused = (Vec<CertificateDer<'static>>, rustls::Error);

/// Verifies that the server holds the key. Chain, name and time are left to [`handshake`], or looked at when they come.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    strict: Option<Strict>,
}

/// Verifies the chain when it comes, before the client's own certificate is shown, and remembers what it refused.
#[derive(Debug)]
struct Strict {
    trust: Trust,
    now: Timestamp,
    refused: Mutex<Option<Refused>>,
}

impl Verifier {
    fn lenient() -> Self {
        Self { provider: Arc::clone(&PROVIDER), strict: None }
    }

    fn strict(trust: Trust, now: Timestamp) -> Self {
        Self { strict: Some(Strict { trust, now, refused: Mutex::default() }), ..Self::lenient() }
    }

    fn refused(&self) -> Option<Refused> {
        let strict = self.strict.as_ref()?;
        strict.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(strict) = &self.strict {
            let sent: Vec<_> = std::iter::once(leaf).chain(others).map(|one| one.clone().into_owned()).collect();
            if let Err(error) = strict.trust.verify(&sent, name, strict.now) {
                *strict.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((sent, error.clone()));
                return Err(error);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
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
    fn an_identity_is_a_pair() {
        let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (a, b) = (pair("a.example"), pair("b.example"));
        let told = |certificate: &str, key: &str| Identity::from_pem(certificate, key).unwrap_err().to_string();
        let key = a.signing_key.serialize_pem();
        assert!(Identity::from_pem(&a.cert.pem(), &key).is_ok());
        assert_eq!(told(&b.cert.pem(), &key), "the key does not belong to the certificate");
        assert_eq!(told("hello", &key), "the certificate cannot be used: there is no certificate in the text");
        assert_eq!(told(&a.cert.pem(), "hello"), "the key cannot be used: there is no private key in the text");
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(told(&a.cert.pem(), broken), "the key cannot be used: it is of a sort that is not supported");
        let shown = format!("{:?}", Identity::from_pem(&a.cert.pem(), &key).unwrap());
        assert_eq!(shown, "Identity(•••)");
    }

    /// A chain of two under an authority, for this year; and the authority.
    fn chain(name: &str) -> (Vec<CertificateDer<'static>>, String) {
        let dated = |names: &[&str]| {
            let mut params =
                rcgen::CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2027, 1, 1);
            params
        };
        let key = || rcgen::KeyPair::generate().unwrap();
        let (root_key, own_key) = (key(), key());
        let mut root = dated(&[]);
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(root, root_key);
        let own = dated(&[name]).signed_by(&own_key, &issuer).unwrap();
        (vec![own.der().clone()], pem)
    }

    #[test]
    fn what_was_proven_once_is_asked_for_its_time_and_its_name_each_time() {
        use rustls::CertificateError as Is;
        let (sent, pem) = chain("a.example");
        let trust = Trust::with_pem(&pem).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let verify = |trust: &Trust, sent: &[CertificateDer<'_>], name: &str, now: &str| {
            trust.verify(sent, &ServerName::try_from(name.to_owned()).unwrap(), at(now))
        };
        let why = |result: Result<(), rustls::Error>| match result.unwrap_err() {
            rustls::Error::InvalidCertificate(why) => why,
            other => panic!("{other}"),
        };
        let now = "2026-06-01T00:00:00Z";
        let shown = |name: &str| proven::Shown::new(&sent, name, trust.pem().unwrap());
        assert!(!PROVEN.holds(shown("a.example"), at(now)));
        assert_eq!(verify(&trust, &sent, "a.example", now), Ok(()));
        assert!(PROVEN.holds(shown("a.example"), at(now)));
        assert_eq!(verify(&trust, &sent, "a.example", now), Ok(()));
        assert!(matches!(why(verify(&trust, &sent, "a.example", "2027-06-01T00:00:00Z")), Is::ExpiredContext { .. }));
        assert!(matches!(
            why(verify(&trust, &sent, "a.example", "2025-06-01T00:00:00Z")),
            Is::NotValidYetContext { .. }
        ));
        assert!(matches!(why(verify(&trust, &sent, "b.example", now)), Is::NotValidForNameContext { .. }));
        assert_eq!(why(verify(&Trust::default(), &sent, "a.example", now)), Is::UnknownIssuer);
        let (other, _) = chain("a.example");
        assert!(verify(&trust, &other, "a.example", now).is_err(), "another authority of the same name");
        assert!(!PROVEN.holds(shown("b.example"), at(now)), "what was refused is not remembered");
    }

    #[test]
    fn a_text_without_certificates_is_refused() {
        assert!(Trust::with_pem(" \n").unwrap().pem().is_none());
        assert_eq!(Trust::with_pem("hello").unwrap_err(), "there is no certificate in it");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(Trust::with_pem(broken).unwrap_err().starts_with("a certificate of the PEM text cannot be used"));
    }
}

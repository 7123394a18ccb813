//! The certificate that the demo's shop shows, made anew at each start: an authority, and a leaf that it signed.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate in use.
pub struct Certificate {
    /// Accepts TLS with it.
    pub acceptor: TlsAcceptor,
    /// Who signed it, for whoever is to trust it.
    pub authority_pem: String,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key or the signature.
    #[error(transparent)]
    Making(#[from] rcgen::Error),
    /// The server that is to use it.
    #[error(transparent)]
    Using(#[from] rustls::Error),
}

impl Certificate {
    /// A certificate for these names.
    pub fn of(names: &[&str]) -> Result<Self, CertificateError> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Roundsman's demo authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        leaf.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or_default());
        let key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&key, &authority)?;

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), authority_pem: authority.pem() })
    }
}

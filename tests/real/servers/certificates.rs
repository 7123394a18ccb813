//! A certificate authority of the test's own, and certificates good and bad.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority that nobody else trusts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
}

/// A certificate with its key, both PEM.
pub struct Identity {
    /// The certificate, and those that were asked for behind it.
    pub certificate: String,
    /// The key.
    pub key: String,
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

impl Authority {
    /// A new one of that name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names; `adjust` may spoil it.
    pub fn issue(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = params("server", names);
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// A certificate for these names with the others of a chain of that length behind it, each of which signed the one before;
/// and the certificate that signed the last.
pub fn chain_of(length: usize, names: &[&str]) -> (Identity, String) {
    let authority = |name: &str| {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    };
    let (params, key) = authority("root");
    let root = params.self_signed(&key).unwrap().pem();
    let mut issuer = Issuer::new(params, key);
    let mut behind = Vec::new();
    for n in 1..length {
        let (params, key) = authority(&format!("authority {n}"));
        behind.push(params.signed_by(&key, &issuer).unwrap().pem());
        issuer = Issuer::new(params, key);
    }
    let Identity { certificate, key } = Authority { issuer, pem: String::new() }.issue(names, |_| {});
    behind.reverse();
    (Identity { certificate: certificate + &behind.concat(), key }, root)
}

/// A certificate that signed itself.
pub fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params("itself", names).self_signed(&key).unwrap().pem();
    Identity { certificate, key: key.serialize_pem() }
}

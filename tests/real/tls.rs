//! TLS against nginx with good and bad certificates.

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, probe, quoted};
use super::servers::certificates::{Authority, Identity, self_signed};
use super::servers::nginx::{Nginx, Site};
use super::servers::openssl::OpenSsl;
use super::servers::secured::Secured;

fn serving(identities: &[&Identity]) -> Nginx {
    let sites: Vec<Site<'_>> = identities
        .iter()
        .map(|identity| Site { identity: Some(identity), directives: "location / { return 200 secret; }" })
        .collect();
    Nginx::start(&sites, &[])
}

#[tokio::test]
async fn a_good_certificate_gives_its_facts() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost", "127.0.0.1"], |_| {});
    let site = |directives| Site { identity: Some(&identity), directives };
    let nginx = Nginx::start(&[site("ssl_protocols TLSv1.2;"), site("ssl_protocols TLSv1.3;")], &[("index.html", b"")]);
    let ca = quoted(&authority.pem);
    let tls = format!("{{ address: \"localhost:{}\", ca: {ca} }}", nginx.port(0));
    let https = format!("{{ url: \"https://127.0.0.1:{}/\", ca: {ca} }}", nginx.port(1));
    for (kind, yaml, version) in [("tls", tls, "1.2"), ("http", https, "1.3")] {
        let seen = probe(kind, &yaml).await.unwrap();
        let cert = &seen.facts["cert"];
        assert_eq!(cert["names"], serde_json::json!(["localhost", "127.0.0.1"]));
        assert!(cert["issuer"].as_str().unwrap().contains("CN=Test CA"), "{cert}");
        assert!(cert["days_left"].as_f64().unwrap() > 20_000.0, "{cert}");
        assert_eq!(seen.certificate_expires.unwrap().to_rfc3339(), "2099-01-01T00:00:00+00:00");
        assert_eq!(seen.facts["tls_version"], version);
        assert!(seen.phases.tls_ms.unwrap() > 0.0);
    }
}

#[tokio::test]
async fn a_bad_certificate_is_named_and_gets_no_request() {
    let authority = Authority::new("Test CA");
    let stranger = Authority::new("Nobody's CA");
    let expired = authority.issue(&["127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    let early = authority.issue(&["127.0.0.1"], |params| params.not_before = rcgen::date_time_ymd(2098, 1, 1));
    let other = authority.issue(&["a.example"], |_| {});
    let unknown = stranger.issue(&["127.0.0.1"], |_| {});
    let own = self_signed(&["127.0.0.1"]);
    let client_only = authority.issue(&["127.0.0.1"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let nginx = serving(&[&expired, &early, &other, &unknown, &own, &client_only]);
    let ca = quoted(&authority.pem);
    for (site, kind, words) in [
        (0, FailureKind::TlsExpired, "days ago"),
        (1, FailureKind::TlsNotYetValid, "is not valid for another"),
        (2, FailureKind::TlsWrongName, "is for a.example, not 127.0.0.1"),
        (3, FailureKind::TlsUnknownIssuer, "Nobody's CA"),
        (4, FailureKind::TlsSelfSigned, "is signed by itself"),
        (5, FailureKind::TlsCertificate, "cannot be used"),
    ] {
        let port = nginx.port(site);
        for (speaks, yaml) in [
            ("http", format!("{{ url: \"https://127.0.0.1:{port}/\", ca: {ca}, bearer: \"${{secret:key}}\" }}")),
            ("tls", format!("{{ address: \"127.0.0.1:{port}\", ca: {ca} }}")),
        ] {
            let failure = probe(speaks, &yaml).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.message.contains(words), "{failure}");
            assert!(failure.certificate_expires.is_some(), "when it ends is known all the same");
        }
    }
    assert_eq!(nginx.requests(), "", "no byte of a request went to a server that is not trusted");
}

#[tokio::test]
async fn the_machines_roots_do_not_know_a_test_authority() {
    let authority = Authority::new("Test CA");
    let nginx = serving(&[&authority.issue(&["localhost"], |_| {})]);
    let failure = probe("tls", &format!("address: \"localhost:{}\"", nginx.port(0))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TlsUnknownIssuer, "{failure}");
}

#[tokio::test]
async fn another_name_can_be_asked_for() {
    let authority = Authority::new("Test CA");
    let nginx = serving(&[&authority.issue(&["shop.example"], |_| {})]);
    let (ca, port) = (quoted(&authority.pem), nginx.port(0));
    let yaml = format!("{{ address: \"127.0.0.1:{port}\", server_name: shop.example, ca: {ca} }}");
    assert!(probe("tls", &yaml).await.is_ok());
}

#[tokio::test]
async fn a_handshake_is_made_for_each_run() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |_| {});
    let directives = "location / { return 200 $ssl_session_reused; }";
    let nginx = Nginx::start(&[Site { identity: Some(&identity), directives }], &[]);
    let yaml = format!("{{ url: \"https://127.0.0.1:{}/\", ca: {} }}", nginx.port(0), quoted(&authority.pem));
    for _ in 0..2 {
        assert_eq!(probe("http", &yaml).await.unwrap().body.unwrap(), ".");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_know_us_breaks_off_in_its_own_words() {
    let authority = Authority::new("Test CA");
    let server = Secured::for_clients_only(&authority).await;
    let yaml = format!("{{ url: \"https://{}/\", ca: {} }}", server.address, quoted(&authority.pem));
    let failure = probe("http", &yaml).await.unwrap_err();
    assert_eq!(failure.to_string(), "tls.protocol: the server broke off the connection: certificate required");
}

#[tokio::test]
async fn the_trust_of_one_step_is_not_lent_to_another() {
    let authority = Authority::new("Test CA");
    let nginx = serving(&[&authority.issue(&["127.0.0.1"], |_| {})]);
    let url = format!("url: \"https://127.0.0.1:{}/\"", nginx.port(0));
    let run = Run::new();
    run.step("http", &format!("{{ {url}, ca: {} }}", quoted(&authority.pem))).await.unwrap();
    let failure = run.step("http", &format!("{{ {url} }}")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TlsUnknownIssuer, "{failure}");
}

#[tokio::test]
async fn a_server_of_yesterday_is_named() {
    let identity = self_signed(&["127.0.0.1"]);
    for version in ["-tls1", "-tls1_1"] {
        let server = OpenSsl::start(&identity, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        let failure = probe("tls", &format!("address: \"{}\"", server.address)).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "tls.protocol: the server speaks neither TLS 1.2 nor 1.3, and what is older is weak",
            "{version}"
        );
    }
}

//! Who a request is from: tokens of an authorization server, signatures for AWS, client certificates.

use std::process::Output;

use roundsman::domain::outcome::FailureKind;

use super::commands::configuration;
use super::probing::{Run, probe, quoted};
use super::servers::authorization::Authorization;
use super::servers::certificates::{Authority, Identity};
use super::servers::hostile::Hostile;
use super::servers::nginx::{Nginx, Site};
use super::servers::roundsman::output;

fn with_token(server: &Authorization, id: &str, more: &str) -> String {
    let at = server.address;
    format!(
        "{{ url: \"http://{at}/api\", oauth2: {{ token_url: \"http://{at}/token\", client_id: {id}, \
         client_secret: \"${{secret:key}}\"{more} }} }}"
    )
}

#[tokio::test]
async fn a_token_is_kept_from_run_to_run_and_renewed_when_it_is_refused() {
    let server = Authorization::start().await;
    let step = Run::built("http", &with_token(&server, "client", ", scope: read all, audience: shop"));
    for _ in 0..3 {
        assert_eq!(Run::new().perform(&*step).await.0.unwrap().facts["status"], 200);
    }
    assert_eq!(server.known.lock().unwrap().forms, ["grant_type=client_credentials&scope=read+all&audience=shop"]);
    server.known.lock().unwrap().good = Some("another".to_owned());
    let (seen, exchanges) = Run::new().perform(&*step).await;
    assert_eq!(seen.unwrap().facts["status"], 200);
    assert_eq!(server.known.lock().unwrap().statuses, [200, 200, 200, 401, 200]);
    assert_eq!(server.known.lock().unwrap().asked, 2);
    assert_eq!(exchanges.len(), 3, "the refusal, the token, the answer");
    let told = format!("{exchanges:?}");
    assert!(!told.contains("token-") && !told.contains("Y2xpZW50"), "{told}");
}

#[tokio::test]
async fn runs_at_the_same_time_share_one_token_and_a_fresh_one_is_not_renewed() {
    let server = Authorization::start().await;
    let step = Run::built("http", &with_token(&server, "client", ""));
    let (a, b, c) = (Run::new(), Run::new(), Run::new());
    let seen = tokio::join!(a.perform(&*step), b.perform(&*step), c.perform(&*step));
    assert!(seen.0.0.is_ok() && seen.1.0.is_ok() && seen.2.0.is_ok());
    assert_eq!(server.known.lock().unwrap().asked, 1);
    server.known.lock().unwrap().expires_in = serde_json::json!(0);
    let step = Run::built("http", &with_token(&server, "client", ""));
    // One clock for both, since a token is kept by it.
    let run = Run::new();
    for asked in [2, 3] {
        assert_eq!(run.perform(&*step).await.0.unwrap().facts["status"], 200);
        assert_eq!(server.known.lock().unwrap().asked, asked, "it had ended already");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_authorization_server_is_told_as_its_own() {
    let server = Authorization::start().await;
    let failure = probe("http", &with_token(&server, "stranger", "")).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "auth.token: of the authorization server: it refuses a token with status 401, `invalid_client`: no such client"
    );
    let in_body = probe("http", &with_token(&server, "client", ", credentials_in: body")).await.unwrap_err();
    assert_eq!(in_body.kind, FailureKind::AuthToken);
    let form = server.known.lock().unwrap().forms.pop().unwrap();
    assert_eq!(form, "grant_type=client_credentials&client_id=client&client_secret=hunter2");
    assert!(server.known.lock().unwrap().statuses.is_empty(), "the API was not asked");
    let other = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp").await;
    let yaml = |token_url: &str| {
        format!("{{ url: \"{token_url}\", oauth2: {{ token_url: \"{token_url}\", client_id: a, client_secret: b }} }}")
    };
    let failure = probe("http", &yaml(&other.url())).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "auth.token: of the authorization server: its answer has no `access_token`, or is not JSON"
    );
    let failure = probe("http", &yaml("http://169.254.169.254/token")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ConnectBlocked, "{failure}");
}

fn signed(server: &Hostile, environment: &[(&str, &str)]) -> (Output, String) {
    let probe = format!(
        "api: {{ http: {{ url: \"{}a b?q=1\", sigv4: {{ service: execute-api, region: eu-west-1 }} }} }}\n",
        server.url()
    );
    let probe = probe.replace("a b", "a%20b");
    let directory = configuration(&[
        ("probes/p.yaml", probe.as_str()),
        ("schedules/s.yaml", "often: { every: 30s, probes: [api] }\n"),
    ]);
    let output = output(&["once", "--config", directory.path().to_str().unwrap()], environment);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_made_with_the_credentials_of_the_environment() {
    let server = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let key =
        [("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_SESSION_TOKEN", "hunter3")];
    let (output, text) = tokio::task::block_in_place(|| signed(&server, &key));
    assert_eq!(output.status.code(), Some(0), "{text}");
    let head = &server.heads()[0];
    let line = head.lines().find(|line| line.starts_with("authorization: ")).unwrap();
    assert!(line.contains("Credential=AKIDTEST/") && line.contains("/eu-west-1/execute-api/aws4_request"), "{line}");
    assert!(line.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"), "{line}");
    let script = "import sys, botocore.auth, botocore.awsrequest, botocore.credentials\n\
                  url, at = sys.argv[1:]\n\
                  request = botocore.awsrequest.AWSRequest('GET', url)\n\
                  request.context['timestamp'] = at\n\
                  key = botocore.credentials.Credentials('AKIDTEST', 'hunter2', 'hunter3')\n\
                  auth = botocore.auth.SigV4Auth(key, 'execute-api', 'eu-west-1')\n\
                  request.headers['X-Amz-Date'] = at\n\
                  request.headers['X-Amz-Security-Token'] = 'hunter3'\n\
                  print(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))";
    let at = head.lines().find_map(|line| line.strip_prefix("x-amz-date: ")).unwrap();
    let url = format!("{}a%20b?q=1", server.url());
    let botocore = tokio::task::block_in_place(|| super::servers::python::run(script, &[&url, at]));
    assert!(line.ends_with(&format!("Signature={}", botocore.trim())), "{line} and botocore {botocore}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_we_could_not_look() {
    let server = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (output, text) = tokio::task::block_in_place(|| signed(&server, &[("HOME", "/nonexistent")]));
    assert_ne!(output.status.code(), Some(0));
    assert!(text.contains("local.secret") && text.contains("no AWS credentials"), "{text}");
    assert!(server.heads().is_empty(), "nothing was sent unsigned");
}

fn asking_for_certificates(authority: &Authority, identity: &Identity) -> Nginx {
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &authority.pem).unwrap();
    let directives = format!(
        "ssl_client_certificate {}; ssl_verify_client optional; location / {{ return 200 \"$ssl_client_verify\"; }}
         location = /away {{ return 302 https://localhost:$server_port/; }}",
        ca.path().display()
    );
    Nginx::start(&[Site { identity: Some(identity), directives: &directives }], &[])
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_origin_only() {
    let authority = Authority::new("Test CA");
    let nginx = asking_for_certificates(&authority, &authority.issue(&["localhost", "127.0.0.1"], |_| {}));
    let us = authority.issue(&["us.example"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (ca, port) = (quoted(&authority.pem), nginx.port(0));
    let cert = format!("client_cert: {{ cert: {}, key: {} }}", quoted(&us.certificate), quoted(&us.key));
    for version in ["1.1", "2"] {
        let yaml = |path: &str| {
            format!("{{ url: \"https://127.0.0.1:{port}{path}\", ca: {ca}, http_version: \"{version}\", {cert} }}")
        };
        assert_eq!(probe("http", &yaml("/")).await.unwrap().body.unwrap(), "SUCCESS");
        let away = probe("http", &yaml("/away")).await.unwrap();
        assert_eq!((away.facts["redirects"].as_i64(), away.body.as_deref()), (Some(1), Some(&b"NONE"[..])));
    }
    let without = format!("{{ url: \"https://127.0.0.1:{port}/\", ca: {ca} }}");
    assert_eq!(probe("http", &without).await.unwrap().body.unwrap(), "NONE");
    let late = format!(
        "{{ url: \"https://127.0.0.1:{port}/\", ca: {ca}, client_cert: {{ cert: {}, key: \"${{secret:key}}\" }} }}",
        quoted(&us.certificate)
    );
    let failure = probe("http", &late).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "local.secret: the client certificate is of no use: the key cannot be used: there is no private key in the text"
    );
}

#[tokio::test]
async fn a_client_certificate_does_not_go_to_a_server_that_is_not_trusted() {
    let (authority, stranger) = (Authority::new("Test CA"), Authority::new("Nobody's CA"));
    let us = authority.issue(&["us.example"], |_| {});
    let cert = format!("client_cert: {{ cert: {}, key: {} }}", quoted(&us.certificate), quoted(&us.key));
    let old = authority.issue(&["127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2021, 1, 1));
    for (identity, kind, words) in [
        (stranger.issue(&["127.0.0.1"], |_| {}), FailureKind::TlsUnknownIssuer, "Nobody's CA"),
        (authority.issue(&["a.example"], |_| {}), FailureKind::TlsWrongName, "is for a.example, not 127.0.0.1"),
        (old, FailureKind::TlsExpired, "days ago"),
    ] {
        let nginx = asking_for_certificates(&authority, &identity);
        let yaml =
            format!("{{ url: \"https://127.0.0.1:{}/\", ca: {}, {cert} }}", nginx.port(0), quoted(&authority.pem));
        let failure = probe("http", &yaml).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
        assert!(failure.certificate_expires.is_some());
        assert_eq!(nginx.requests(), "");
    }
}

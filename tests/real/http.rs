//! Kind `http` against nginx, and what it sends.

use std::time::Duration;

use roundsman::domain::outcome::{FailureKind, Observation};

use super::probing::{Run, probe};
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};

fn site(directives: &str) -> Nginx {
    let big = vec![b'x'; 2 * 1024 * 1024];
    Nginx::start(
        &[Site { identity: None, directives }],
        &[("page.html", b"<p>Add to cart</p>"), ("big.bin", &big), ("empty.txt", b"")],
    )
}

fn text(observation: &Observation) -> &str {
    std::str::from_utf8(observation.body.as_deref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_page_is_read_with_its_facts_and_its_times() {
    let nginx = site("add_header X-A one; add_header X-A two;");
    let url = format!("http://127.0.0.1:{}/page.html", nginx.port(0));
    let seen = probe("http", &format!("url: {url}")).await.unwrap();
    assert_eq!(text(&seen), "<p>Add to cart</p>");
    assert_eq!(seen.facts["status"], 200);
    assert_eq!(seen.facts["headers"]["x-a"], "one, two");
    assert_eq!(seen.facts["headers"]["content-length"], "18");
    assert_eq!(seen.facts["http_version"], "1.1");
    assert_eq!(seen.facts["remote_ip"], "127.0.0.1");
    assert_eq!(seen.facts["redirects"], 0);
    assert_eq!(seen.facts["url"], url.as_str());
    let phases = seen.phases;
    assert_eq!((phases.dns_ms, phases.tls_ms), (None, None));
    let parts: f64 = phases.parts().iter().filter_map(|(_, ms)| *ms).sum();
    assert!(phases.connect_ms.unwrap() > 0.0 && phases.first_byte_ms.unwrap() > 0.0, "{phases:?}");
    assert!(phases.transfer_ms.is_some() && parts <= phases.total_ms, "{phases:?}");
}

#[tokio::test]
async fn waiting_and_transfer_are_told_apart() {
    let pause = Duration::from_millis(60);
    let script = vec![
        Move::ReadHead,
        Move::Drip(b"H".to_vec(), pause),
        Move::Send(b"TTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no".to_vec()),
        Move::Drip(b"k".to_vec(), pause * 2),
    ];
    let server = Hostile::playing(script).await;
    let phases = probe("http", &format!("url: {}", server.url())).await.unwrap().phases;
    // Client and server take turns on one thread, so the pauses are within these parts, whatever else the machine does.
    assert!(phases.first_byte_ms.unwrap() >= 59.0, "{phases:?}");
    assert!(phases.transfer_ms.unwrap() >= 119.0, "{phases:?}");
    assert!(phases.total_ms >= phases.first_byte_ms.unwrap() + phases.transfer_ms.unwrap(), "{phases:?}");
}

#[tokio::test]
async fn a_name_is_looked_up_and_that_is_measured() {
    let nginx = site("");
    let seen = probe("http", &format!("url: http://localhost:{}/page.html", nginx.port(0))).await.unwrap();
    assert!(seen.phases.dns_ms.is_some(), "{:?}", seen.phases);
    assert_eq!(seen.facts["status"], 200);
}

#[tokio::test]
async fn answers_without_a_body_are_whole() {
    let nginx = site("location = /none { return 204; }");
    for (path, method, status) in
        [("page.html", "HEAD", 200), ("none", "GET", 204), ("empty.txt", "GET", 200), ("gone", "HEAD", 404)]
    {
        let url = format!("http://127.0.0.1:{}/{path}", nginx.port(0));
        let seen = probe("http", &format!("{{ url: \"{url}\", method: {method} }}")).await.unwrap();
        assert_eq!((seen.facts["status"].as_i64(), text(&seen)), (Some(status), ""), "{method} {path}");
    }
}

#[tokio::test]
async fn redirects_are_followed_counted_and_their_times_summed() {
    let nginx = site("location = /a { return 302 /b; } location = /b { return 301 /page.html; }");
    let url = format!("http://127.0.0.1:{}", nginx.port(0));
    let seen = probe("http", &format!("url: {url}/a")).await.unwrap();
    assert_eq!(seen.facts["redirects"], 2);
    assert_eq!(seen.facts["url"], format!("{url}/page.html"));
    assert_eq!(text(&seen), "<p>Add to cart</p>");
    let first = probe("http", &format!("{{ url: \"{url}/a\", follow_redirects: false }}")).await.unwrap();
    assert_eq!(first.facts["status"], 302);
    assert_eq!(first.facts["headers"]["location"], format!("{url}/b"));
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let nginx = site("location / { return 302 /again; }");
    let failure = probe("http", &format!("url: http://127.0.0.1:{}/", nginx.port(0))).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::RedirectLimit);
    assert_eq!(nginx.requests().lines().count(), 11);
}

#[tokio::test]
async fn a_body_has_a_limit_that_can_be_moved() {
    let nginx = site("");
    let url = format!("http://127.0.0.1:{}/big.bin", nginx.port(0));
    let failure = probe("http", &format!("url: {url}")).await.unwrap_err();
    assert_eq!(failure.to_string(), "body.too_large: the body is larger than 1 MiB");
    let seen = probe("http", &format!("{{ url: \"{url}\", max_body: 2097152 }}")).await.unwrap();
    assert_eq!(seen.body.unwrap().len(), 2 * 1024 * 1024);
}

#[tokio::test]
async fn what_is_filled_in_stays_in_its_place() {
    let server = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let run = Run::new().captured("token", "a/b?c=d").captured("item", "x\"y");
    let yaml = format!(
        "{{ method: POST, url: \"{}{{{{token}}}}/x\", bearer: \"${{secret:key}}\", json: {{ name: \"{{{{item}}}}\" }}, \
         headers: {{ X-Run: \"{{{{run.id}}}}\" }} }}",
        server.url()
    );
    run.step("http", &yaml).await.unwrap();
    let heads = server.heads();
    let lines: Vec<&str> = heads[0].lines().collect();
    assert_eq!(lines[0], "POST /a%2Fb%3Fc%3Dd/x HTTP/1.1");
    for line in [
        "authorization: Bearer hunter2",
        "x-run: 01RUN",
        "content-type: application/json",
        "content-length: 15",
        "accept-encoding: gzip, br, zstd, deflate",
        concat!("user-agent: roundsman/", env!("CARGO_PKG_VERSION")),
        &format!("host: {}", server.address),
    ] {
        assert!(lines.contains(&line), "{line} is missing in {lines:#?}");
    }
    let yaml = format!("{{ url: \"{}\", headers: {{ X-A: \"{{{{token}}}}\" }} }}", server.url());
    let failure = Run::new().captured("token", "a\r\nX-Admin: 1").step("http", &yaml).await.unwrap_err();
    assert_eq!(failure.to_string(), "capture: `token` holds a character that cannot stand here");
    assert_eq!(server.heads().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn a_request_without_a_body_says_so_where_a_body_has_a_meaning() {
    let server = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    probe("http", &format!("{{ url: \"{}\", method: POST, basic: {{ user: a, password: b }} }}", server.url()))
        .await
        .unwrap();
    let head = &server.heads()[0];
    assert_eq!(head.matches("content-length: 0\r\n").count(), 1, "{head}");
    assert!(head.contains("authorization: Basic YTpi\r\n"), "{head}");
}

#[tokio::test]
async fn credentials_do_not_leave_their_origin() {
    let other = Hostile::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let location = other.url();
    let first = Hostile::answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nSet-Cookie: session=1\r\nContent-Length: 0\r\n\r\n"
    ))
    .await;
    let yaml = format!(
        "{{ url: \"{}\", bearer: \"${{secret:key}}\", headers: {{ Cookie: a=b, X-Key: \"${{secret:key}}\", X-Plain: c }} }}",
        first.url()
    );
    let seen = probe("http", &yaml).await.unwrap();
    assert_eq!(seen.facts["redirects"], 1);
    assert!(first.heads()[0].contains("hunter2"));
    let head = &other.heads()[0];
    assert!(head.contains("x-plain: c"), "{head}");
    for private in ["hunter2", "authorization", "a=b", "x-key"] {
        assert!(!head.contains(private), "{private} in {head}");
    }
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_refuses() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (kind, yaml) in [
        ("http", format!("url: http://{address}/")),
        ("tcp", format!("address: \"{address}\"")),
        ("tls", format!("address: \"{address}\"")),
    ] {
        let failure = probe(kind, &yaml).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("connect.refused: {address} refused the connection"), "{kind}");
    }
}

#[tokio::test]
async fn a_tcp_connection_is_made_and_measured() {
    let server = Hostile::answering("").await;
    let seen = probe("tcp", &format!("address: \"{}\"", server.address)).await.unwrap();
    assert_eq!(seen.facts["remote_ip"], "127.0.0.1");
    assert!(seen.phases.connect_ms.unwrap() > 0.0 && seen.phases.connect_ms.unwrap() <= seen.phases.total_ms);
}

#[tokio::test]
async fn metadata_services_are_never_asked() {
    for address in ["169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "0.0.0.0", "[fd00:ec2::254]"] {
        let failure = probe("http", &format!("url: \"http://{address}/latest/meta-data/\"")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::ConnectBlocked, "{address}");
        let failure = probe("tcp", &format!("address: \"{address}:80\"")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::ConnectBlocked, "{address}");
    }
}

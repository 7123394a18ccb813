//! Kind `page` against nginx, and `repeat` against a limit.

use roundsman::domain::outcome::FailureKind;

use super::probing::{Run, probe, quoted};
use super::servers::certificates::Authority;
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};

const HTML: &str =
    "<!doctype html><link rel=stylesheet href=/a.css><script src=b.js></script><script src=/b.js></script>";

fn page(html: &str) -> (Nginx, String) {
    let style = "p { }".repeat(100);
    let script = "f();".repeat(250);
    let files = [("page.html", html.as_bytes()), ("a.css", style.as_bytes()), ("b.js", script.as_bytes())];
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &files);
    let url = format!("http://127.0.0.1:{}/page.html", nginx.port(0));
    (nginx, url)
}

#[tokio::test]
async fn a_page_weighs_what_its_parts_do_and_each_is_read_once() {
    let (nginx, url) = page(HTML);
    let seen = probe("page", &format!("url: {url}")).await.unwrap();
    let number = |name: &str| seen.facts[name].as_u64().unwrap();
    assert_eq!(number("resources"), 2);
    assert_eq!(number("html_bytes"), HTML.len() as u64);
    assert_eq!((number("style_bytes"), number("script_bytes")), (500, 1_000));
    assert_eq!(number("weight_bytes"), HTML.len() as u64 + 1_500);
    assert_eq!(seen.facts["failed"], serde_json::json!([]));
    assert_eq!(seen.facts["status"], 200);
    let asked = nginx.requests();
    for path in ["/page.html", "/a.css", "/b.js"] {
        assert_eq!(asked.matches(&format!("GET {path} ")).count(), 1, "{asked}");
    }
}

#[tokio::test]
async fn what_does_not_load_is_named_and_the_rest_is_weighed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let html = format!(
        "<script src=gone.js></script><link rel=stylesheet href=a.css><script src=http://{closed}/x.js></script>\
         <script src=http://169.254.169.254/latest/></script>"
    );
    let (nginx, url) = page(&html);
    let seen = probe("page", &format!("url: {url}")).await.unwrap();
    let failed: Vec<&str> = seen.facts["failed"].as_array().unwrap().iter().filter_map(|why| why.as_str()).collect();
    assert_eq!(failed[0], format!("http://127.0.0.1:{}/gone.js: status 404", nginx.port(0)));
    assert!(failed[1].starts_with(&format!("http://{closed}/x.js: connect.refused: ")), "{failed:?}");
    assert!(failed[2].starts_with("http://169.254.169.254/latest/: connect.blocked: "), "{failed:?}");
    assert_eq!((failed.len(), seen.facts["style_bytes"].as_u64()), (3, Some(500)));
}

#[tokio::test]
async fn a_page_that_is_not_well_is_not_looked_into() {
    let (nginx, url) = page(HTML);
    let seen = probe("page", &format!("url: {url}x")).await.unwrap();
    assert_eq!((&seen.facts["status"], &seen.facts["resources"]), (&404.into(), &0.into()));
    assert_eq!(nginx.requests().lines().count(), 1);
}

#[tokio::test]
async fn a_secure_page_does_not_load_what_is_not() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost"], |_| {});
    let html = "<script src=http://localhost/x.js></script><script src=b.js></script>";
    let site = Site { identity: Some(&identity), directives: "" };
    let nginx = Nginx::start(&[site], &[("page.html", html.as_bytes()), ("b.js", b"f();")]);
    let url = format!("https://localhost:{}/page.html", nginx.port(0));
    let seen = probe("page", &format!("{{ url: {url}, ca: {} }}", quoted(&authority.pem))).await.unwrap();
    assert_eq!(seen.facts["failed"], serde_json::json!(["http://localhost/x.js: it is not over https"]));
    assert_eq!(seen.facts["script_bytes"], 4);
    assert!(seen.certificate_expires.is_some());
}

#[tokio::test]
async fn of_a_server_that_closes_each_request_is_told_once() {
    let answer = |body: &str| {
        let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", body.len());
        vec![Move::ReadHead, Move::Send([head.as_bytes(), body.as_bytes()].concat())]
    };
    let server = Hostile::start(vec![answer(HTML), answer("p { }")]).await;
    let (seen, exchanges) = Run::new().recorded("page", &format!("url: {}", server.url())).await;
    assert_eq!(seen.unwrap().facts["resources"], 2);
    let paths: Vec<_> = exchanges.iter().map(|exchange| exchange.sent.lines().next().unwrap_or_default()).collect();
    assert_eq!(paths, ["GET / HTTP/1.1", "GET /a.css HTTP/1.1", "GET /b.js HTTP/1.1"]);
    assert!(exchanges.iter().all(|exchange| exchange.received.starts_with("HTTP/1.0 200 OK")), "{exchanges:?}");
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn a_page_has_limits() {
    let many = (0..51).map(|number| format!("<script src={number}.js></script>")).collect::<Vec<_>>().concat();
    let (_nginx, url) = page(&many);
    let failure = probe("page", &format!("url: {url}")).await.unwrap_err();
    assert_eq!(failure.to_string(), "body.too_large: the page names more than 50 scripts and styles");

    let large = vec![b' '; 6 * 1024 * 1024];
    let html = b"<script src=a.js></script><script src=b.js></script>";
    let files = [("page.html", &html[..]), ("a.js", &large), ("b.js", &large)];
    let nginx = Nginx::start(&[Site { identity: None, directives: "" }], &files);
    let url = format!("http://127.0.0.1:{}/page.html", nginx.port(0));
    let failure = probe("page", &format!("url: {url}")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BodyTooLarge);
    assert!(failure.message.ends_with("/b.js"), "{failure}");
}

#[tokio::test]
async fn a_silent_script_costs_the_step_its_time_and_no_more() {
    let silent = Hostile::playing(vec![Move::Hang]).await;
    let (_nginx, url) = page(&format!("<script src={}x.js></script>", silent.url()));
    let failure = Run::within(300).step("page", &format!("url: {url}")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutFirstByte);
}

#[tokio::test]
async fn a_limit_is_met_and_the_first_refusal_is_the_last_request() {
    let answer = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let script = |status: &str| vec![Move::ReadHead, Move::Send(answer(status))];
    let mut scripts = vec![script("200 OK"); 5];
    scripts.push(script("429 Too Many Requests"));
    let server = Hostile::start(scripts).await;
    let seen = probe("http", &format!("{{ url: {}, repeat: 60 }}", server.url())).await.unwrap();
    assert_eq!((&seen.facts["status"], &seen.facts["requests"]), (&429.into(), &6.into()));
    assert_eq!(server.heads().len(), 6);
}

#[tokio::test]
async fn where_there_is_no_limit_the_requests_end_all_the_same() {
    let (nginx, url) = page(HTML);
    let seen = probe("http", &format!("{{ url: {url}, repeat: 20 }}")).await.unwrap();
    assert_eq!((&seen.facts["status"], &seen.facts["requests"]), (&200.into(), &20.into()));
    assert_eq!(nginx.requests().lines().count(), 20);
    let parts: f64 = seen.phases.parts().iter().filter_map(|(_, ms)| *ms).sum();
    assert!(parts <= seen.phases.total_ms, "{:?}", seen.phases);
}

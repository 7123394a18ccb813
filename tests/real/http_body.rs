//! Bodies that are sent, and bodies that come packed. Those that are not what they say are in the table of hostile targets.

use std::time::Duration;

use roundsman::domain::outcome::{Failure, Observation};

use super::packing::{answer, packed};
use super::probing::{Run, probe};
use super::servers::hostile::{Hostile, Move};
use super::servers::nginx::{Nginx, Site};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_form_and_a_file_arrive_as_they_were_written() {
    let server = Hostile::playing(vec![Move::ReadHead, Move::ReadBytes(31), Move::Send(OK.into())]).await;
    let url = server.url();
    let run = Run::new().captured("token", "a&b=c d");
    let form = "form: { user: probe, token: \"{{token}}\", a: \"\" }";
    run.step("http", &format!("{{ url: \"{url}\", method: POST, {form} }}")).await.unwrap();
    let heads = server.heads();
    assert!(heads[0].contains("content-type: application/x-www-form-urlencoded\r\n"), "{}", heads[0]);
    assert_eq!(heads[1], "user=probe&token=a%26b%3Dc+d&a=");
    let bytes = [&b"\0\xff\r\n"[..], &[b'x'; 27]].concat();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &bytes).unwrap();
    let file = format!("file: {}", path.path().display());
    run.step("http", &format!("{{ url: \"{url}\", method: PUT, {file} }}")).await.unwrap();
    assert!(!server.heads()[2].contains("content-type"), "{}", server.heads()[2]);
    assert_eq!(server.heads()[3], String::from_utf8_lossy(&bytes));
}

async fn told(encoding: &str, body: &[u8]) -> Result<Observation, Failure> {
    let server = Hostile::answering(answer(encoding, body)).await;
    probe("http", &format!("url: {}", server.url())).await
}

#[tokio::test]
async fn nginx_packs_and_we_unpack() {
    let page = "<p>Add to cart</p>".repeat(1_000);
    let directives = "gzip on; gzip_types *; gzip_min_length 1;";
    let nginx = Nginx::start(&[Site { identity: None, directives }], &[("page.html", page.as_bytes())]);
    let url = format!("http://127.0.0.1:{}/page.html", nginx.port(0));
    let seen = probe("http", &format!("url: {url}")).await.unwrap();
    assert_eq!(seen.body.as_deref(), Some(page.as_bytes()));
    assert_eq!(seen.facts["headers"]["content-encoding"], "gzip");
    assert!(seen.facts["wire_bytes"].as_u64().unwrap() < 1_000, "{}", seen.facts["wire_bytes"]);
    let head = probe("http", &format!("{{ url: \"{url}\", method: HEAD }}")).await.unwrap();
    assert_eq!((head.body.as_deref(), &head.facts["wire_bytes"]), (Some(&b""[..]), &0.into()));
    let plain = format!("{{ url: \"{url}\", headers: {{ Accept-Encoding: identity }} }}");
    let plain = probe("http", &plain).await.unwrap();
    assert_eq!(plain.facts["wire_bytes"], page.len());
}

#[tokio::test]
async fn every_packing_that_is_asked_for_is_undone() {
    let text = "words ".repeat(5_000).into_bytes();
    let (first, second) = text.split_at(100);
    for (encoding, body) in [
        ("gzip", packed("gzip", &text).await),
        ("br", packed("br", &text).await),
        ("zstd", packed("zstd", &text).await),
        ("deflate", packed("deflate", &text).await),
        ("deflate", packed("raw deflate", &text).await),
        ("identity", text.clone()),
        ("gzip, br", packed("br", &packed("gzip", &text).await).await),
        ("gzip", [packed("gzip", first).await, packed("gzip", second).await].concat()),
    ] {
        let seen = told(encoding, &body).await.unwrap_or_else(|failure| panic!("{encoding}: {failure}"));
        assert_eq!(seen.body.as_deref(), Some(&text[..]), "{encoding}");
        assert_eq!(seen.facts["wire_bytes"], body.len(), "{encoding}");
    }
    assert_eq!(told("gzip", b"").await.unwrap().body.as_deref(), Some(&b""[..]), "nothing was packed");
}

#[tokio::test]
async fn a_packed_body_may_come_in_pieces() {
    let gzip = packed("gzip", "words ".repeat(5_000).as_bytes()).await;
    let pieces = Move::Drip(answer("gzip", &gzip), Duration::from_micros(1));
    let server = Hostile::playing(vec![Move::ReadHead, pieces]).await;
    assert!(probe("http", &format!("url: {}", server.url())).await.is_ok());
}

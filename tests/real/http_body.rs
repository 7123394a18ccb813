//! Bodies that are sent, and bodies that come packed.

use std::time::Duration;

use async_compression::tokio::write::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use roundsman::domain::outcome::{Failure, FailureKind, Observation};
use tokio::io::AsyncWriteExt as _;

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

macro_rules! packed {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        encoder.write_all($bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

fn answer(encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
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
    for (encoding, body) in [
        ("gzip", packed!(GzipEncoder, &text)),
        ("br", packed!(BrotliEncoder, &text)),
        ("zstd", packed!(ZstdEncoder, &text)),
        ("deflate", packed!(ZlibEncoder, &text)),
        ("deflate", packed!(DeflateEncoder, &text)),
        ("identity", text.clone()),
        ("gzip, br", packed!(BrotliEncoder, &packed!(GzipEncoder, &text))),
        ("gzip", [packed!(GzipEncoder, &text[..100]), packed!(GzipEncoder, &text[100..])].concat()),
    ] {
        let seen = told(encoding, &body).await.unwrap_or_else(|failure| panic!("{encoding}: {failure}"));
        assert_eq!(seen.body.as_deref(), Some(&text[..]), "{encoding}");
        assert_eq!(seen.facts["wire_bytes"], body.len(), "{encoding}");
    }
    assert_eq!(told("gzip", b"").await.unwrap().body.as_deref(), Some(&b""[..]), "nothing was packed");
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_no_answer() {
    let text = "words ".repeat(5_000).into_bytes();
    let gzip = packed!(GzipEncoder, &text);
    let cut = &gzip[..gzip.len() - 9];
    let mut flipped = gzip.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    for (what, encoding, body) in [
        ("a part", "gzip", cut),
        ("a wrong sum", "gzip", &flipped[..]),
        ("plain text", "gzip", b"<p>Add to cart</p>"),
        ("another packing", "br", &gzip),
        ("another packing", "zstd", &gzip),
        ("a part", "deflate", &packed!(ZlibEncoder, &text)[..20]),
        ("a part", "br", &packed!(BrotliEncoder, &text)[..10]),
        ("a part", "zstd", &packed!(ZstdEncoder, &text)[..20]),
        ("more behind its end", "br", &[packed!(BrotliEncoder, &text), b"more".to_vec()].concat()),
        ("nobody's packing", "lzma", &gzip),
        ("too many packings", "gzip, gzip, gzip, gzip", &gzip),
    ] {
        let failure = told(encoding, body).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::BodyDecode, "{what} as {encoding}: {failure}");
    }
    let failure = told("gzip", cut).await.unwrap_err();
    assert_eq!(failure.to_string(), "body.decode: the body cannot be unpacked as gzip: it ends too early");
}

#[tokio::test]
async fn a_bomb_is_cut_at_the_limit() {
    let zeros = vec![0; 64 * 1024 * 1024];
    let gzip = packed!(GzipEncoder, &zeros);
    for (encoding, body) in [
        ("gzip", gzip.clone()),
        ("br", packed!(BrotliEncoder, &zeros[..8 * 1024 * 1024])),
        ("zstd", packed!(ZstdEncoder, &zeros)),
    ] {
        let failure = told(encoding, &body).await.unwrap_err();
        assert_eq!(failure.to_string(), "body.too_large: the body is larger than 1 MiB", "{encoding}");
    }
    let nested = told("gzip, gzip", &packed!(GzipEncoder, &gzip)).await.unwrap_err();
    assert!(matches!(nested.kind, FailureKind::BodyTooLarge | FailureKind::BodyDecode), "{nested}");
    // Blocks that unpack to nothing, again and again: it is their own size that ends them.
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n".to_vec();
    let nothing = Move::Endless([0, 0, 0, 0xff, 0xff].repeat(1_000));
    let server = Hostile::playing(vec![Move::ReadHead, Move::Send(head), nothing]).await;
    let failure = probe("http", &format!("url: {}", server.url())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BodyTooLarge, "{failure}");
}

#[tokio::test]
async fn a_packed_body_that_stops_or_breaks_off_is_told_as_that() {
    let gzip = packed!(GzipEncoder, "words ".repeat(5_000).as_bytes());
    let part = answer("gzip", &gzip)[..answer("gzip", &gzip).len() - 5].to_vec();
    let server = Hostile::playing(vec![Move::ReadHead, Move::Send(part.clone()), Move::Hang]).await;
    let failure = Run::within(300).step("http", &format!("url: {}", server.url())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutTransfer, "{failure}");
    let server = Hostile::playing(vec![Move::ReadHead, Move::Send(part)]).await;
    let failure = probe("http", &format!("url: {}", server.url())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ProtocolClosed, "{failure}");
    let pieces = Move::Drip(answer("gzip", &gzip), Duration::from_micros(1));
    let server = Hostile::playing(vec![Move::ReadHead, pieces]).await;
    assert!(probe("http", &format!("url: {}", server.url())).await.is_ok());
}

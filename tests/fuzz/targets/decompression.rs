//! Bodies as targets compress them.

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use futures::FutureExt as _;
use roundsman::domain::outcome::FailureKind;
use tokio::io::AsyncReadExt as _;

use super::Taken;
use super::bench::{is_a_targets, meet};

/// The limit of a body here, in bytes.
const CAP: usize = 1024;

/// The first byte chooses the coding. With a small letter the rest is the body as it travels: nothing beyond the limit is
/// kept of what it becomes. With a capital letter the rest is the body as it was, which the peer compresses if the request
/// allows it: it arrives as it was, or is refused because it is larger than the limit.
pub fn target(data: &[u8]) -> Taken {
    let [coding, body @ ..] = data else { return Taken::No };
    let name = match coding.to_ascii_lowercase() {
        b'g' => "gzip",
        b'b' => "br",
        b'z' => "zstd",
        b'd' => "deflate",
        b'r' => "deflate, gzip",
        _ => "x-unknown",
    };
    let honest = coding.is_ascii_uppercase();
    let settings = format!("{{ url: \"http://HOST/\", max_body: {CAP} }}");
    let met = meet(&settings, "", 97, |request| {
        let head = String::from_utf8_lossy(request).to_lowercase();
        let accepts = head.lines().find_map(|line| line.strip_prefix("accept-encoding:")).unwrap_or_default();
        let allowed = name.split(", ").all(|coding| accepts.split([',', ';']).any(|known| known.trim() == coding));
        if honest && !allowed {
            return answer("identity", body);
        }
        if honest {
            let compressed = name.split(", ").fold(body.to_vec(), |body, coding| compress(coding, &body));
            return answer(name, &compressed);
        }
        answer(name, body)
    });
    match met.seen {
        Ok(seen) => {
            let read = seen.body.unwrap_or_default();
            assert!(read.len() <= CAP, "{} bytes were kept", read.len());
            assert!(!honest || read == body, "{body:?} became {read:?}");
            Taken::Yes
        }
        Err(failure) => {
            is_a_targets(&failure);
            let too_large = failure.kind == FailureKind::BodyTooLarge;
            assert!(!honest || (too_large && body.len() > CAP), "{failure} for {} bytes", body.len());
            Taken::No
        }
    }
}

fn answer(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn compress(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let done = async {
        match coding {
            "gzip" => GzipEncoder::new(body).read_to_end(&mut out).await,
            "br" => BrotliEncoder::new(body).read_to_end(&mut out).await,
            "zstd" => ZstdEncoder::new(body).read_to_end(&mut out).await,
            // What HTTP calls deflate is zlib (RFC 9110, section 8.4.1.2).
            _ => ZlibEncoder::new(body).read_to_end(&mut out).await,
        }
    };
    done.now_or_never().expect("memory is never waited for").unwrap();
    out
}

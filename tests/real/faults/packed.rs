//! Bodies that are not packed as they say, or that grow without end.

use roundsman::domain::outcome::FailureKind as Is;

use super::row::Row;
use crate::packing::{answer, packed};
use crate::servers::hostile::Move::{Endless, Hang, ReadHead, Send};

/// Every row.
pub async fn rows() -> Vec<Row> {
    let mut rows = undecodable().await;
    rows.extend(bombs().await);
    rows
}

async fn undecodable() -> Vec<Row> {
    let text = "words ".repeat(5_000).into_bytes();
    let gzip = packed("gzip", &text).await;
    let cut = gzip[..gzip.len() - 9].to_vec();
    let mut flipped = gzip.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    let mut rows = Vec::new();
    for (peer, encoding, body) in [
        ("sends a part of gzip", "gzip", cut),
        ("sends gzip with a wrong sum", "gzip", flipped),
        ("says gzip of plain text", "gzip", b"<p>Add to cart</p>".to_vec()),
        ("says br of gzip", "br", gzip.clone()),
        ("says zstd of gzip", "zstd", gzip.clone()),
        ("says deflate of gzip", "deflate", gzip.clone()),
        ("sends a part of deflate", "deflate", packed("deflate", &text).await[..20].to_vec()),
        ("sends a part of deflate without its frame", "deflate", packed("raw deflate", &text).await[..20].to_vec()),
        ("sends a part of br", "br", packed("br", &text).await[..10].to_vec()),
        ("sends a part of zstd", "zstd", packed("zstd", &text).await[..20].to_vec()),
        ("sends more behind the end of br", "br", [packed("br", &text).await, b"more".to_vec()].concat()),
        ("packs as nobody does", "lzma", gzip.clone()),
        ("packs four times", "gzip, gzip, gzip, gzip", gzip.clone()),
    ] {
        rows.push(Row::sends(peer, answer(encoding, &body), Is::BodyDecode));
    }
    rows[0] = rows.swap_remove(0).saying("the body cannot be unpacked as gzip: it ends too early");
    let part = answer("gzip", &gzip)[..answer("gzip", &gzip).len() - 5].to_vec();
    rows.push(Row::sends("closes in a packed body", &part, Is::ProtocolClosed));
    let silent = vec![ReadHead, Send(part), Hang];
    rows.push(Row::new("falls silent in a packed body", silent, Is::TimeoutTransfer).within(300));
    rows
}

/// Each is cut at its limit, which is that of what was unpacked.
async fn bombs() -> Vec<Row> {
    let zeros = vec![0; 16 * 1024 * 1024];
    let gzip = packed("gzip", &zeros).await;
    let mut rows = Vec::new();
    for (peer, encoding, body) in [
        ("sends a bomb of br", "br", packed("br", &zeros[..4 * 1024 * 1024]).await),
        ("sends a bomb of zstd", "zstd", packed("zstd", &zeros).await),
        ("sends a bomb of deflate", "deflate", packed("deflate", &zeros).await),
        ("sends a bomb of deflate without its frame", "deflate", packed("raw deflate", &zeros).await),
        ("sends a bomb in a bomb", "gzip, gzip", packed("gzip", &gzip.repeat(100)).await),
    ] {
        let row = Row::sends(peer, answer(encoding, &body), Is::BodyTooLarge);
        rows.push(row.saying("the body is larger than 1 MiB"));
    }
    let head = |encoding: &str| Send(format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n\r\n").into_bytes());
    // 16 MiB of zeros are as many KiB, again and again: 10 GiB in 10 MiB.
    rows.push(Row::new(
        "sends a bomb of gzip without end",
        vec![ReadHead, head("gzip"), Endless(gzip)],
        Is::BodyTooLarge,
    ));
    // Blocks that unpack to nothing, again and again: it is their own size that ends them.
    let nothing = Endless([0, 0, 0, 0xff, 0xff].repeat(1_000));
    rows.push(Row::new("packs nothing, without end", vec![ReadHead, head("deflate"), nothing], Is::BodyTooLarge));
    rows
}

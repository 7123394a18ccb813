//! The protocols in which the parrot speaks. Each says again what it was told where people may read it, and goes wrong.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::parrot::{Echo, Memory};
use crate::servers::dns::answered_with;

/// How long somebody may think before the next word.
const PATIENCE: Duration = Duration::from_secs(5);

/// HTTP/1.1, Redis, PostgreSQL or a line, as the first bytes say.
pub async fn plain<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, memory: &Memory) -> Option<()> {
    let first = read(&mut stream).await?;
    match first.as_slice() {
        [b'*', ..] => redis(stream, first, memory).await,
        [0, 0, ..] => postgres(stream, &first, memory).await,
        _ if first.starts_with(b"hello ") => {
            let said = memory.take(&first).line(4_000);
            stream.write_all(format!("{said}\r\n").as_bytes()).await.ok()
        }
        _ => http(stream, first, memory).await,
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16_384];
    let length = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.ok()?.ok()?;
    bytes.truncate(length);
    (length > 0).then_some(bytes)
}

/// A request with its whole body.
async fn request<S: AsyncRead + Unpin>(stream: &mut S, mut asked: Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let text = String::from_utf8_lossy(&asked).to_lowercase();
        if let Some(head) = asked.windows(4).position(|window| window == b"\r\n\r\n") {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if asked.len() >= head + 4 + length.unwrap_or(0) {
                return Some(asked);
            }
        }
        asked.extend(read(stream).await?);
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, first: Vec<u8>, memory: &Memory) -> Option<()> {
    let asked = request(&mut stream, first).await?;
    let echo = memory.take(&asked);
    let path = echo.told.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let way = path.split(['/', '?']).next().unwrap_or_default();
    let answer = match way {
        "login" => {
            let cookie = format!("sid={}; Path=/", memory.value("COOKIE"));
            answer(
                "200 OK",
                &format!("set-cookie: {cookie}\r\n"),
                json!({ "token": memory.value("CAPTURED") }).to_string(),
            )
        }
        "logout" => answer("204 No Content", "", ""),
        "grant" => {
            answer("200 OK", "", json!({ "access_token": memory.value("GRANTED"), "expires_in": 3_600 }).to_string())
        }
        "deny" => {
            let why = json!({ "error": echo.line(60), "error_description": echo.line(4_000) });
            answer("401 Unauthorized", "", why.to_string())
        }
        "moved" => {
            let [raw, .., percent] = [&echo.forms[0], &echo.forms[8]];
            let raw = raw.replace(['\r', '\n'], "");
            answer("302 Found", &format!("location: http://probe:{percent}@127.0.0.1:9/{percent}?k={raw}\r\n"), "")
        }
        "reset" => return None,
        "torn" => {
            let text = echo.text();
            format!("HTTP/1.1 500 Torn\r\ncontent-length: {}\r\n\r\n{text}", text.len() + 1_000).into_bytes()
        }
        "slow" => {
            let head = format!("HTTP/1.1 200 OK\r\nx-said: {}\r\ncontent-length: 100000\r\n\r\n", echo.line(2_000));
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(echo.text().as_bytes()).await.ok()?;
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return None;
        }
        "packed" => packed(&echo).await,
        "split" => return split(stream, &echo).await,
        "bad" => format!("HTTP/1.1 {}\r\n\r\n", echo.line(2_000)).into_bytes(),
        "reason" => format!("HTTP/1.1 500 {}\r\ncontent-length: 0\r\n\r\n", echo.line(2_000)).into_bytes(),
        "colon" => format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", echo.line(2_000).replace(':', "")).into_bytes(),
        "sns" => {
            let message = echo.text().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let error = format!("<Type>Sender</Type><Code>InvalidParameter</Code><Message>{message}</Message>");
            let body = format!("<ErrorResponse><Error>{error}</Error><RequestId>r</RequestId></ErrorResponse>");
            answer("400 Bad Request", "content-type: text/xml\r\n", body)
        }
        "api" => answer("200 OK", "", json!({ "ok": false, "error": echo.line(4_000) }).to_string()),
        "pings" => answer("500 Internal Server Error", "", echo.text()),
        "s400" => answer("400 Bad Request", "", echo.text()),
        "s401" => answer("401 Unauthorized", "www-authenticate: Basic realm=x\r\n", echo.text()),
        "s429" => answer("429 Too Many Requests", "retry-after: 1\r\n", json!({ "message": echo.text() }).to_string()),
        _ => answer("500 Internal Server Error", &format!("x-said: {}\r\n", echo.line(2_000)), echo.text()),
    };
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()
}

fn answer(status: &str, headers: &str, body: impl Into<String>) -> Vec<u8> {
    let body = body.into();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

async fn packed(echo: &Echo) -> Vec<u8> {
    let mut gzip = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    gzip.write_all(echo.text().as_bytes()).await.expect("memory takes all");
    gzip.shutdown().await.expect("memory takes all");
    let body = gzip.into_inner();
    let length = body.len();
    let head = format!("HTTP/1.1 500 Packed\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
    [head.into_bytes(), body].concat()
}

/// In chunks of seven bytes, each of which leaves alone: no chunk holds a secret.
async fn split<S: AsyncWrite + Unpin>(mut stream: S, echo: &Echo) -> Option<()> {
    stream.write_all(b"HTTP/1.1 500 Split\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
    for chunk in echo.text().as_bytes().chunks(7) {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        stream.write_all(&bytes).await.ok()?;
        stream.flush().await.ok()?;
    }
    stream.write_all(b"0\r\n\r\n").await.ok()
}

/// Refuses the password, and says any other command again as its reply.
async fn redis<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, mut told: Vec<u8>, memory: &Memory) -> Option<()> {
    loop {
        let echo = memory.take(&told);
        let reply = if told.windows(4).any(|word| word == b"AUTH") {
            format!("-WRONGPASS {}\r\n", echo.line(2_000))
        } else {
            let text = echo.text();
            format!("${}\r\n{text}\r\n", text.len())
        };
        stream.write_all(reply.as_bytes()).await.ok()?;
        told = read(&mut stream).await?;
    }
}

/// Asks for the password in the clear, and refuses it; without one it takes the question and refuses that.
async fn postgres<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, first: &[u8], memory: &Memory) -> Option<()> {
    let asks_for_password = first.windows(5).any(|word| word == b"probe");
    memory.take(first);
    if asks_for_password {
        stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await.ok()?;
    } else {
        stream.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0, b'Z', 0, 0, 0, 5, b'I']).await.ok()?;
    }
    loop {
        let told = read(&mut stream).await?;
        let echo = memory.take(&told);
        if echo.forms.is_empty() {
            // The transaction begins.
            stream.write_all(b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05T").await.ok()?;
            continue;
        }
        let mut fields = Vec::new();
        for (field, text) in
            [(b'S', "FATAL"), (b'C', "28P01"), (b'M', &echo.line(1_500)), (b'D', &echo.line(1_500)), (b'H', "none")]
        {
            fields.push(field);
            fields.extend_from_slice(text.replace('\0', "").as_bytes());
            fields.push(0);
        }
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).expect("a length");
        stream.write_all(&[b"E".as_slice(), &length.to_be_bytes(), &fields].concat()).await.ok()?;
    }
}

/// HTTP/2, and gRPC on it.
pub async fn calls(stream: TcpStream, memory: &Memory) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let mut told = format!("{} {}\n", request.method(), request.uri()).into_bytes();
        for (name, value) in request.headers() {
            told.extend_from_slice(format!("{name}: ").as_bytes());
            told.extend_from_slice(value.as_bytes());
            told.push(b'\n');
        }
        let echo = memory.take(&told);
        let is_grpc =
            request.headers().get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let answer = http::Response::builder();
        if is_grpc {
            let line = echo.line(3_000);
            let message = percent_encoding::utf8_percent_encode(&line, percent_encoding::CONTROLS).to_string();
            let answer = answer.header("content-type", "application/grpc").header("grpc-status", "16");
            respond.send_response(answer.header("grpc-message", message).body(()).ok()?, true).ok()?;
        } else {
            let answer = answer.status(500).header("x-said", echo.line(2_000)).body(()).ok()?;
            let mut body = respond.send_response(answer, false).ok()?;
            body.send_data(Bytes::from(echo.text()), true).ok()?;
        }
    }
    Some(())
}

/// Says the message again, with what came in the handshake, and closes with as much of it as a reason may have.
pub async fn news(stream: TcpStream, memory: &Memory) -> Option<()> {
    let mut told = Vec::new();
    let hear = |request: &Request, response: Response| {
        told.extend_from_slice(request.uri().to_string().as_bytes());
        for (name, value) in request.headers() {
            told.extend_from_slice(format!("\n{name}: ").as_bytes());
            told.extend_from_slice(value.as_bytes());
        }
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, hear).await.ok()?;
    if let Ok(Some(Ok(message))) = tokio::time::timeout(PATIENCE, socket.next()).await {
        told.extend_from_slice(&message.into_data());
    }
    let echo = memory.take(&told);
    socket.send(Message::text(echo.text())).await.ok()?;
    let reason = echo.line(120).into();
    socket.close(Some(CloseFrame { code: 4_000.into(), reason })).await.ok()
}

/// Hears a login, and refuses it.
pub async fn mail<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, memory: &Memory) -> Option<()> {
    stream.write_all(b"220 parrot ESMTP\r\n").await.ok()?;
    loop {
        let told = read(&mut stream).await?;
        let echo = memory.take(&told);
        let mut answer = Vec::new();
        if told.starts_with(b"EHLO") {
            answer.extend_from_slice(b"250-parrot\r\n250 AUTH PLAIN\r\n");
        } else if told.starts_with(b"AUTH") {
            for form in &echo.forms {
                write!(answer, "535-5.7.8 {}\r\n", form.replace(['\r', '\n'], " ")).ok()?;
            }
            write!(answer, "535 5.7.8 {}\r\n", echo.told.trim()).ok()?;
        } else {
            answer.extend_from_slice(b"250 ok\r\n");
        }
        stream.write_all(&answer).await.ok()?;
    }
}

/// Answers every question about a name with a text that says the name again, in pieces of a hundred bytes.
pub async fn names(socket: UdpSocket, memory: Memory) {
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question).await {
        let echo = memory.take(&question[12..length]);
        let text: Vec<u8> = echo
            .line(300)
            .as_bytes()
            .chunks(100)
            .flat_map(|piece| [&[u8::try_from(piece.len()).expect("a hundred at most")], piece].concat())
            .collect();
        let _ = socket.send_to(&answered_with(&question[..length], &[(16, 60, text)]), from).await;
    }
}

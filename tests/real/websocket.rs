//! WebSockets against the Python library `websockets`. Peers that break the rules are in the table of hostile targets.

use roundsman::domain::outcome::FailureKind;
use serde_json::json;

use crate::probing::{Run, probe};
use crate::servers::hostile::Hostile;
use crate::servers::python::Server;

/// Answers `close N` by closing with that code, anything else with what came and who asked.
const ECHO: &str = r#"
import asyncio, json, sys
from websockets.asyncio.server import serve

async def handle(socket):
    async for message in socket:
        if message.startswith("close "):
            await socket.close(int(message[6:]), "as you wish")
        elif message == "bytes":
            await socket.send(b"\xff\x00")
        elif message == "large":
            await socket.send("x" * 2_000_000)
        else:
            await socket.send(json.dumps({"said": message, "by": socket.request.headers.get("Authorization")}))

async def main():
    async with serve(handle, "127.0.0.1", 0, select_subprotocol=lambda _, offered: offered[-1] if offered else None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
"#;

#[tokio::test]
async fn a_message_is_answered_and_the_talk_put_down() {
    let server = Server::start(ECHO);
    let yaml = format!(
        "{{ url: \"ws://127.0.0.1:{}/room\", subprotocols: [v1], bearer: \"${{secret:key}}\", send: \"hello {{{{run.id}}}}\" }}",
        server.port
    );
    let (seen, exchanges) = Run::new().recorded("websocket", &yaml).await;
    let seen = seen.unwrap();
    let body = json!({ "said": "hello 01RUN", "by": "Bearer hunter2" });
    assert_eq!(seen.facts["message"].as_str().map(|text| serde_json::from_str(text).unwrap()), Some(body));
    assert_eq!((&seen.facts["subprotocol"], &seen.facts["close_code"]), (&json!("v1"), &json!(1000)));
    assert!(seen.phases.first_byte_ms.is_some() && seen.phases.transfer_ms.is_some());
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert!(exchange.sent.starts_with("GET /room HTTP/1.1\n") && exchange.sent.ends_with("\nhello 01RUN"));
    assert!(exchange.received.starts_with("HTTP/1.1 101 Switching Protocols\n"), "{}", exchange.received);
    assert!(exchange.received.contains("\"said\": \"hello 01RUN\""), "{}", exchange.received);
    let command = format!(
        "printf '%s\\n' 'hello 01RUN' | websocat --protocol v1 --header='authorization: Bearer hunter2' ws://127.0.0.1:{}/room",
        server.port
    );
    assert_eq!(exchange.command, Some(command));
}

#[tokio::test]
async fn the_handshake_alone_is_enough_and_bytes_are_no_text() {
    let server = Server::start(ECHO);
    let url = format!("url: \"ws://127.0.0.1:{}/\"", server.port);
    let seen = probe("websocket", &format!("{{ {url} }}")).await.unwrap();
    assert!(!seen.facts.contains_key("message") && seen.body.is_none());
    let seen = probe("websocket", &format!("{{ {url}, send: bytes }}")).await.unwrap();
    assert!(!seen.facts.contains_key("message"));
    assert_eq!(seen.body.unwrap().as_ref(), b"\xff\0");
}

#[tokio::test]
async fn a_close_is_a_failure_unless_it_is_waited_for() {
    let server = Server::start(ECHO);
    let url = format!("url: \"ws://127.0.0.1:{}/\"", server.port);
    let failure = probe("websocket", &format!("{{ {url}, send: \"close 1011\" }}")).await.unwrap_err();
    assert_eq!(failure.to_string(), "websocket.closed: the server closed with 1011 (internal error): as you wish");
    let yaml = format!("{{ {url}, send: \"close 4401\", receive: 0, until_closed: true }}");
    let seen = probe("websocket", &yaml).await.unwrap();
    assert_eq!((&seen.facts["close_code"], &seen.facts["close_reason"]), (&json!(4401), &json!("as you wish")));
    let failure = Run::within(300).step("websocket", &format!("{{ {url}, until_closed: true }}")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeoutTransfer, "{failure}");
}

#[tokio::test]
async fn messages_have_a_limit() {
    let server = Server::start(ECHO);
    let url = format!("url: \"ws://127.0.0.1:{}/\", send: large", server.port);
    let failure = probe("websocket", &format!("{{ {url} }}")).await.unwrap_err();
    assert_eq!(failure.to_string(), "body.too_large: a message is larger than 1048576 bytes");
    let seen = probe("websocket", &format!("{{ {url}, max_message: 2000000 }}")).await.unwrap();
    assert_eq!(seen.body.unwrap().len(), 2_000_000);
}

#[tokio::test]
async fn a_handshake_that_is_refused_has_its_status() {
    let server = Hostile::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let failure = probe("websocket", &format!("url: \"ws://{}/\"", server.address)).await.unwrap_err();
    assert_eq!(failure.to_string(), "websocket.refused: the handshake was answered with 403 Forbidden");
    let head = server.heads().concat();
    assert!(head.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
}

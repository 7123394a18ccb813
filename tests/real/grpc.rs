//! gRPC's health service against Python's `grpcio`, and answers that are none of gRPC. Peers that break HTTP/2 are in the
//! table of hostile targets.

use bytes::Bytes;
use roundsman::domain::outcome::FailureKind;
use serde_json::json;
use tokio::task::JoinSet;

use crate::probing::{Run, probe, quoted};
use crate::servers::certificates::Authority;
use crate::servers::python::Server;

/// The health service, plain on the first port and with TLS on the second; who comes without the token is turned away
/// where the service is `private`.
const HEALTH: &str = r#"
import sys
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

class Service(health.HealthServicer):
    def Check(self, request, context):
        if request.service == "private" and ("authorization", "Bearer hunter2") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you? ✕")
        return super().Check(request, context)

service = Service()
service.set("", health_pb2.HealthCheckResponse.SERVING)
service.set("private", health_pb2.HealthCheckResponse.SERVING)
service.set("shop.v1.Orders", health_pb2.HealthCheckResponse.NOT_SERVING)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
health_pb2_grpc.add_HealthServicer_to_server(service, server)
key, certificate = (open(path, "rb").read() for path in sys.argv[1:3])
ports = (server.add_insecure_port("127.0.0.1:0"),
         server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)])))
server.start()
print(*ports, flush=True)
server.wait_for_termination()
"#;

#[tokio::test]
async fn a_health_service_says_how_it_is() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["127.0.0.1"], |_| {});
    let directory = tempfile::tempdir().unwrap();
    let (key, certificate) = (directory.path().join("key"), directory.path().join("certificate"));
    std::fs::write(&key, identity.key).unwrap();
    std::fs::write(&certificate, identity.certificate).unwrap();
    let server = Server::start_with(HEALTH, &[key.to_str().unwrap(), certificate.to_str().unwrap()]);
    let [plain, secured] = server.ports[..] else { panic!("{:?}", server.ports) };
    let ca = quoted(&authority.pem);
    let ask = async |rest: &str| {
        let seen = probe("grpc", &format!("{{ url: \"grpc://127.0.0.1:{plain}\"{rest} }}")).await.unwrap();
        let (status, message) = (seen.facts["grpc_status"].clone(), seen.facts["grpc_message"].clone());
        (seen.facts.get("serving").cloned(), status, message)
    };
    let well = (Some(json!("SERVING")), json!("OK"), json!(""));
    assert_eq!(ask("").await, well);
    assert_eq!(ask(", service: shop.v1.Orders").await.0, Some(json!("NOT_SERVING")));
    let (serving, status, _) = ask(", service: nothing").await;
    assert_eq!((serving, status), (None, json!("NOT_FOUND")));
    assert_eq!(ask(", service: private").await, (None, json!("UNAUTHENTICATED"), json!("who are you? ✕")));
    assert_eq!(ask(", service: private, bearer: \"${secret:key}\"").await, well);
    assert_eq!(ask(", service: private, metadata: { Authorization: \"Bearer ${secret:key}\" }").await, well);

    let yaml = format!("{{ url: \"grpcs://127.0.0.1:{secured}\", ca: {ca} }}");
    let (seen, exchanges) = Run::new().recorded("grpc", &yaml).await;
    let seen = seen.unwrap();
    assert_eq!(seen.facts["serving"], "SERVING");
    assert!(seen.facts["cert"]["issuer"].as_str().unwrap().contains("CN=Test CA"));
    assert!(seen.phases.tls_ms.is_some() && seen.phases.first_byte_ms.is_some());
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert_eq!(exchange.received, "grpc-status: OK\nserving: SERVING");
    assert_eq!(exchange.certificates.len(), 1);

    let failure = probe("grpc", &format!("url: \"grpcs://127.0.0.1:{secured}\"")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TlsUnknownIssuer, "{failure}");
}

/// A server of HTTP/2 that answers the first call so.
async fn answering(
    status: u16,
    content_type: &'static str,
    body: Bytes,
    trailers: &'static [(&'static str, &'static str)],
) -> (std::net::SocketAddr, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let head = http::Response::builder().status(status).header("content-type", content_type).body(()).unwrap();
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(body, trailers.is_empty()).unwrap();
        if !trailers.is_empty() {
            let pairs = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            stream.send_trailers(pairs.collect::<http::HeaderMap>()).unwrap();
        }
        while let Some(Ok(_)) = connection.accept().await {}
    });
    (address, tasks)
}

#[tokio::test]
async fn answers_that_are_not_grpc_are_told() {
    static ZEROS: [u8; 200_000] = [0; 200_000];
    let good: &[u8] = b"\0\0\0\0\x02\x08\x01";
    let ok: &[(&str, &str)] = &[("grpc-status", "0")];
    for (status, content_type, body, trailers, kind, words) in [
        (503, "text/html", good, ok, FailureKind::ProtocolInvalid, "it is HTTP 503"),
        (200, "text/html", good, ok, FailureKind::ProtocolInvalid, "its Content-Type is `text/html`"),
        (200, "application/grpc", good, &[], FailureKind::ProtocolInvalid, "ends without a grpc-status"),
        (200, "application/grpc", good, &[("grpc-status", "x")], FailureKind::ProtocolInvalid, "is no number"),
        (200, "application/grpc", b"", ok, FailureKind::ProtocolInvalid, "it has no message"),
        (200, "application/grpc", &ZEROS, ok, FailureKind::BodyTooLarge, "larger than 64 KiB"),
    ] {
        let (address, _tasks) = answering(status, content_type, Bytes::from_static(body), trailers).await;
        let failure = probe("grpc", &format!("url: \"grpc://{address}\"")).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
}

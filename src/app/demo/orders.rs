//! The health of the shop's orders, over gRPC.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use tokio::net::{TcpListener, TcpStream};

/// The message `HealthCheckResponse { status: SERVING }` with gRPC's five bytes before it.
const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";

/// Answers until it is dropped. One connection at a time is enough for a shop with one customer.
pub async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if let Err(error) = answer(stream).await {
            tracing::debug!("the demo's gRPC server could not answer: {error}");
        }
    }
}

async fn answer(stream: TcpStream) -> Result<(), h2::Error> {
    // Else the answer would wait behind our settings until the other side acknowledges them, which takes it 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("the demo's gRPC server answers slowly: {error}");
    }
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (_, mut respond) = call?;
        let mut head = Response::new(());
        head.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let mut body = respond.send_response(head, false)?;
        body.send_data(Bytes::from_static(SERVING), false)?;
        let trailers: HeaderMap = [("grpc-status", "0")]
            .into_iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        body.send_trailers(trailers)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ports::Clock as _;
    use tokio::task::JoinSet;

    /// How long a call takes over a connection of its own.
    async fn call(address: std::net::SocketAddr, clock: &SystemClock) -> Duration {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let began = clock.monotonic();
        let request = http::Request::post("http://orders/grpc.health.v1.Health/Check").body(()).unwrap();
        let (answer, _) = sender.send_request(request, true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        while body.data().await.is_some() {}
        clock.monotonic().since(began)
    }

    #[tokio::test]
    async fn an_answer_waits_for_no_acknowledgement() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener));
        let clock = SystemClock::start();
        let mut shortest = Duration::MAX;
        for _ in 0..5 {
            shortest = shortest.min(call(address, &clock).await);
        }
        assert!(shortest < Duration::from_millis(30), "the fastest of five took {shortest:?}");
    }
}

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
